"""Faults of streams: what there is, how one is asked for, and whom it strikes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from ingestion_server.sandbox.faults import FaultError

_WHOM: Final = frozenset({"key", "symbols"})
_WHILE: Final = frozenset({"count", "seconds"})
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "disconnect": _WHOM,
    "clean_close": _WHOM,
    "hang": _WHOM | {"count"},
    "half_open": _WHOM | {"count"},
    "malformed_frame": _WHOM | {"count"},
    "error_frame": _WHOM | {"message"},
    "lag": _WHOM | {"seconds"},
    "flap": frozenset({"key", "seconds"}),
    "reorder": _WHOM | _WHILE,
    "duplicate": _WHOM | _WHILE,
    "drop_n": _WHOM | {"count"},
    "silence": _WHOM | {"seconds"},
    "refuse": frozenset({"key", "status"}) | _WHILE,
}
"""The faults that streams can have, and what may be said about each."""
AT_ONCE: Final = frozenset(
    {
        "disconnect",
        "clean_close",
        "hang",
        "half_open",
        "malformed_frame",
        "error_frame",
    }
)
"""Those that strike the open connections once."""
STICKING: Final = frozenset({"hang", "half_open"})
"""Those of them that strike as many new connections as ``count`` says."""
MOST_FAULTS: Final = 100
"""Lasting faults of one vendor."""

_LENGTHS: Final = frozenset({"lag", "flap"})
"""Faults whose ``seconds`` do not say how long they last."""
_STATUSES: Final = (401, 403, 429, 503)
_MOST_SECONDS: Final = 86_400.0
_MOST_COUNT: Final = 1_000_000
_MOST_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class StreamFault:
    """Hold one fault as it was asked for."""

    name: str
    seconds: float | None = None
    """Length of a ``lag`` or a ``flap``; of others how long they last."""
    count: int | None = None
    status: int = 503
    message: str = "Internal server error"
    key: str = ""
    """The only key whose connections it strikes; empty = all."""
    symbols: frozenset[str] = frozenset()
    """The only symbols; connections that have none of them are spared."""

    @property
    def length_seconds(self) -> float:
        """Return how late a ``lag`` makes, or how soon a ``flap`` cuts."""
        return 1.0 if self.seconds is None else self.seconds

    def strikes(self, key: str, symbols: Collection[str]) -> bool:
        """Tell whether it is about such a connection, or such a trade."""
        return (not self.key or self.key == key) and (
            not self.symbols or not self.symbols.isdisjoint(symbols)
        )

    def document(self) -> dict[str, object]:
        """Return the fault as it is shown."""
        said: dict[str, object] = {
            "seconds": self.seconds,
            "count": self.count,
            "status": self.status,
            "message": self.message,
            "key": self.key,
            "symbols": sorted(self.symbols),
        }
        allowed = FIELDS[self.name]
        return {"fault": self.name} | {
            field: value for field, value in said.items() if field in allowed
        }


@dataclass(slots=True)
class _Lasting:
    """Hold one fault that goes on."""

    fault: StreamFault
    since: float
    left: int | None

    def over(self, now: float) -> bool:
        """Tell whether it has ended."""
        fault = self.fault
        if self.left == 0:
            return True
        if fault.seconds is None or fault.name in _LENGTHS:
            return False
        return now >= self.since + fault.seconds


def parsed(name: str, document: Mapping[str, object]) -> StreamFault:
    """Read one fault of a known name from the JSON of a control call."""
    allowed = FIELDS[name]
    if unknown := sorted(set(document) - allowed - {"fault"}):
        raise FaultError(
            f"{name} has no {', '.join(unknown)}; allowed: {', '.join(sorted(allowed))}"
        )
    count = _whole(document, "count")
    if count is None and name in {"drop_n", "malformed_frame"}:
        count = 1
    if name == "malformed_frame" and count is not None and count > _MOST_AT_ONCE:
        raise FaultError(f"count must be at most {_MOST_AT_ONCE}")
    status = document.get("status", 503)
    if not isinstance(status, int) or status not in _STATUSES:
        raise FaultError(f"status must be one of {', '.join(map(str, _STATUSES))}")
    return StreamFault(
        name=name,
        seconds=_seconds(document),
        count=count,
        status=status,
        message=_text(document, "message", "Internal server error"),
        key=_text(document, "key", ""),
        symbols=_symbols(document),
    )


class Mischief:
    """Hold the lasting faults of one vendor's streams; ``now`` is the loop's time."""

    def __init__(self) -> None:
        self._lasting: list[_Lasting] = []

    def add(self, fault: StreamFault, now: float) -> None:
        """Let a fault last until it is cleared, has expired, or is used up."""
        self._end(now)
        if len(self._lasting) >= MOST_FAULTS:
            raise FaultError(f"there are {MOST_FAULTS} faults already; clear them")
        self._lasting.append(_Lasting(fault, now, fault.count))

    def clear(self) -> None:
        """End all faults."""
        self._lasting.clear()

    def documents(self, now: float) -> list[dict[str, object]]:
        """Return the active faults, ``count`` being what is left."""
        self._end(now)
        return [
            lasting.fault.document()
            | ({} if lasting.left is None else {"count": lasting.left})
            for lasting in self._lasting
        ]

    def active(
        self, name: str, now: float, key: str, symbols: Collection[str] = ()
    ) -> StreamFault | None:
        """Return the first fault of a name that strikes such a connection."""
        found = self._found(name, now, key, symbols)
        return None if found is None else found.fault

    def take(
        self, name: str, now: float, key: str, symbols: Collection[str] = ()
    ) -> StreamFault | None:
        """Return it as ``active`` does, and count one strike."""
        found = self._found(name, now, key, symbols)
        if found is None:
            return None
        if found.left is not None:
            found.left -= 1
        return found.fault

    def cuts(self, opened: float, now: float, key: str) -> bool:
        """Tell whether a connection opened at such a time is cut by now."""
        return any(
            lasting.fault.name == "flap"
            and lasting.since <= opened
            and now >= opened + lasting.fault.length_seconds
            and lasting.fault.strikes(key, ())
            for lasting in self._lasting
        )

    def _found(
        self, name: str, now: float, key: str, symbols: Collection[str]
    ) -> _Lasting | None:
        # Most of the time there is none, and this is asked for each trade.
        if not self._lasting:
            return None
        self._end(now)
        for lasting in self._lasting:
            if lasting.fault.name == name and lasting.fault.strikes(key, symbols):
                return lasting
        return None

    def _end(self, now: float) -> None:
        if any(lasting.over(now) for lasting in self._lasting):
            self._lasting = [
                lasting for lasting in self._lasting if not lasting.over(now)
            ]


def _seconds(document: Mapping[str, object]) -> float | None:
    value = document.get("seconds")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaultError("seconds must be a number")
    if not 0 <= value <= _MOST_SECONDS:
        raise FaultError(f"seconds must be between 0 and {_MOST_SECONDS:g}")
    return float(value)


def _whole(document: Mapping[str, object], field: str) -> int | None:
    value = document.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise FaultError(f"{field} must be a whole number")
    if not 1 <= value <= _MOST_COUNT:
        raise FaultError(f"{field} must be between 1 and {_MOST_COUNT}")
    return value


def _text(document: Mapping[str, object], field: str, default: str) -> str:
    value = document.get(field, default)
    if not isinstance(value, str):
        raise FaultError(f"{field} must be a string")
    return value


def _symbols(document: Mapping[str, object]) -> frozenset[str]:
    value = document.get("symbols", [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FaultError("symbols must be a list of strings")
    return frozenset(value)
