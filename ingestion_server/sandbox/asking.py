"""What the body of a control call asks for: a fault of calls, of streams, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ingestion_server.sandbox import faults
from ingestion_server.sandbox.faults import FINNHUB, YAHOO, Fault, FaultError
from ingestion_server.sandbox.sockets import mischief
from ingestion_server.sandbox.sockets.mischief import StreamFault

STREAMING: Final = frozenset({FINNHUB, YAHOO})
"""Vendors that have a stream."""

_DOOR: Final = "door"
_CALLS, _STREAM = _DOORS = ("calls", "stream")
_NOT_OF_CALLS: Final = frozenset({"key", "count"})
"""What a fault of both doors says of the stream alone."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold the faults asked for; None = none at that door."""

    calls: Fault | None
    stream: StreamFault | None

    def document(self) -> dict[str, object]:
        """Return what was asked for as it is shown."""
        of_calls = {} if self.calls is None else self.calls.document()
        return of_calls | ({} if self.stream is None else self.stream.document())


def asked(vendor: str, document: object) -> Asked:
    """
    Read the JSON of a control call; blanks and hyphens in a name are underscores.

    What cannot be had raises ``FaultError``.
    """
    if not isinstance(document, dict):
        raise FaultError('the body must be a JSON object like {"fault": "latency"}')
    name = document.get("fault")
    if isinstance(name, str):
        name = name.strip().replace("-", "_").replace(" ", "_")
    of_calls = name in faults.names_for(vendor)
    of_streams = vendor in STREAMING and name in mischief.FIELDS
    if not isinstance(name, str) or not (of_calls or of_streams):
        raise FaultError(
            f"{vendor} has no fault {document.get('fault')!r}; "
            f"allowed: {', '.join(_names(vendor))}"
        )
    said = document | {"fault": name}
    if not (of_calls and of_streams):
        return Asked(
            calls=faults.parsed(vendor, said) if of_calls else None,
            stream=mischief.parsed(name, said) if of_streams else None,
        )
    return _of_both(vendor, name, said)


def _of_both(vendor: str, name: str, said: dict[str, object]) -> Asked:
    door = said.pop(_DOOR, None)
    if door not in (None, *_DOORS):
        raise FaultError(f"{_DOOR} must be one of {', '.join(_DOORS)}")
    if door == _CALLS:
        return Asked(faults.parsed(vendor, said), None)
    if door == _STREAM:
        return Asked(None, mischief.parsed(name, said))
    of_streams = mischief.FIELDS[name]
    return Asked(
        faults.parsed(
            vendor, {key: said[key] for key in said if key not in _NOT_OF_CALLS}
        ),
        mischief.parsed(name, {key: said[key] for key in said if key in of_streams}),
    )


def _names(vendor: str) -> list[str]:
    of_streams = mischief.FIELDS if vendor in STREAMING else ()
    return list(dict.fromkeys((*faults.names_for(vendor), *of_streams)))
