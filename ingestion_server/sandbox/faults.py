"""Faults on demand: what there is, how one is asked for, and which call it hits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np

from ingestion_server.sandbox.headers import HeadersError, checked_headers
from ingestion_server.sandbox.seeding import generator

ALPHA_VANTAGE: Final = "alpha_vantage"
YAHOO: Final = "yahoo"
FINNHUB: Final = "finnhub"
IEX_CLOUD: Final = "iex_cloud"

_ALL: Final = frozenset({ALPHA_VANTAGE, YAHOO, FINNHUB, IEX_CLOUD})
_HERS: Final = frozenset({ALPHA_VANTAGE})
_YAHOOS: Final = frozenset({YAHOO})
_FINNHUBS: Final = frozenset({FINNHUB})
_KEYED: Final = frozenset({ALPHA_VANTAGE, FINNHUB, IEX_CLOUD})
_SCOPED: Final = frozenset({FINNHUB, IEX_CLOUD})
_SERIES: Final = frozenset({"series", "chart", "candle"})
_CHART: Final = frozenset({"chart"})
_DATA: Final = frozenset({"series", "reference", "chart", "quote", "candle", "tick"})

DEFAULT_HANG_SECONDS: Final = 3600.0
DEFAULT_FRACTION: Final = 0.6


class Effect(Enum):
    """Say at which step of a reply a fault strikes."""

    DELAY = "delay"
    REFUSAL = "refusal"
    DATA = "data"
    BYTES = "bytes"
    HEADERS = "headers"


EVERY_EFFECT: Final = frozenset(Effect)
_OF_ANY_REPLY: Final = frozenset({Effect.DELAY, Effect.HEADERS})
"""Also of a reply that another fault has made."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Describe one fault that can be asked for."""

    effect: Effect
    vendors: frozenset[str]
    scopes: frozenset[str] | None
    """Kinds of call it suits; None = every call of the vendor."""


KINDS: Final[Mapping[str, Kind]] = {
    "latency": Kind(Effect.DELAY, _ALL, None),
    "hang": Kind(Effect.DELAY, _ALL, None),
    "status_429": Kind(Effect.REFUSAL, _ALL, None),
    "status_500": Kind(Effect.REFUSAL, _ALL, None),
    "html": Kind(Effect.REFUSAL, _ALL, None),
    "empty": Kind(Effect.REFUSAL, _ALL, _DATA),
    "note": Kind(Effect.REFUSAL, _HERS, None),
    "information_daily": Kind(Effect.REFUSAL, _HERS, None),
    "information_key": Kind(Effect.REFUSAL, _HERS, None),
    "information_burst": Kind(Effect.REFUSAL, _HERS, None),
    "information_premium": Kind(Effect.REFUSAL, _HERS, None),
    "error_message": Kind(Effect.REFUSAL, _HERS, None),
    "error_key": Kind(Effect.REFUSAL, _KEYED, None),
    "information_beside": Kind(Effect.DATA, _HERS, None),
    "not_found": Kind(Effect.REFUSAL, _YAHOOS, _CHART),
    "status_422": Kind(Effect.REFUSAL, _YAHOOS, _CHART),
    "crumb_required": Kind(Effect.DATA, _YAHOOS, _CHART),
    "consent_required": Kind(Effect.DATA, _YAHOOS, frozenset({"home"})),
    "live_row": Kind(Effect.DATA, _YAHOOS, _CHART),
    "nulls": Kind(Effect.DATA, _YAHOOS, _CHART),
    "premium": Kind(Effect.REFUSAL, _SCOPED, None),
    "omit_rows": Kind(Effect.DATA, _FINNHUBS, frozenset({"tick"})),
    "partial": Kind(Effect.DATA, _ALL, _SERIES),
    "bad_row": Kind(Effect.DATA, _ALL, _SERIES),
    "truncated": Kind(Effect.BYTES, _ALL, None),
    "malformed": Kind(Effect.BYTES, _ALL, None),
    "cut": Kind(Effect.BYTES, _ALL, None),
    "headers": Kind(Effect.HEADERS, _ALL, None),
}

_NUMBERS: Final = {
    "probability": (0.0, 1.0),
    "seconds": (0.0, 86_400.0),
    "retry_after": (0.0, 86_400.0),
    "fraction": (0.0, 1.0),
}
_WHOLES: Final = ("times", "count")


class FaultError(ValueError):
    """A fault that cannot be had, with what can be said about it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Hold one active fault."""

    name: str
    probability: float = 1.0
    """Chance to strike a call it suits."""
    seconds: float | None = None
    """Length of a delay; None = 1 for ``latency``, an hour for ``hang``."""
    symbols: frozenset[str] = frozenset()
    """The only symbols it strikes; empty = all calls."""
    times: int | None = None
    """How often it still strikes; None = until cleared."""
    retry_after: float | None = None
    """Value of ``Retry-After`` of ``status_429``; None = no such header."""
    fraction: float = DEFAULT_FRACTION
    """Part of the rows: that ``partial`` leaves, or ``omit_rows`` leaves out."""
    count: int | None = None
    """How many rows ``omit_rows`` leaves out; None = by the part."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Response headers of the answers it strikes; ``headers`` does nothing else."""

    @property
    def kind(self) -> Kind:
        """Return what this fault does."""
        return KINDS[self.name]

    @property
    def delay_seconds(self) -> float:
        """Return how long a delay lasts."""
        if self.seconds is not None:
            return self.seconds
        return DEFAULT_HANG_SECONDS if self.name == "hang" else 1.0

    def suits(self, scope: str, symbols: frozenset[str]) -> bool:
        """Tell whether it may strike such a call."""
        scopes = self.kind.scopes
        return (scopes is None or scope in scopes) and (
            not self.symbols or not self.symbols.isdisjoint(symbols)
        )

    def document(self) -> dict[str, object]:
        """Return the fault as it is shown."""
        return {
            "fault": self.name,
            "probability": self.probability,
            "seconds": self.seconds,
            "symbols": sorted(self.symbols),
            "times": self.times,
            "retry_after": self.retry_after,
            "fraction": self.fraction,
            "count": self.count,
            "headers": dict(self.headers),
        }


def names_for(vendor: str) -> list[str]:
    """Return the faults a vendor can have."""
    return [name for name, kind in KINDS.items() if vendor in kind.vendors]


def parsed(vendor: str, document: object) -> Fault:
    """Read one fault from the JSON of a control call."""
    if not isinstance(document, dict):
        raise FaultError('the body must be a JSON object like {"fault": "latency"}')
    name = document.get("fault")
    if not isinstance(name, str) or name not in names_for(vendor):
        raise FaultError(
            f"{vendor} has no fault {name!r}; allowed: {', '.join(names_for(vendor))}"
        )
    known = {"fault", "headers", "symbols", *_WHOLES, *_NUMBERS}
    if unknown := sorted(set(document) - known):
        raise FaultError(
            f"unknown fields {', '.join(unknown)}; allowed: {', '.join(sorted(known))}"
        )
    number = {field: _number(document, field) for field in _NUMBERS}
    probability, fraction = number["probability"], number["fraction"]
    headers = _headers(document.get("headers"))
    if name == "headers" and not headers:
        raise FaultError('headers must be given, like {"X-RateLimit-Remaining": "3"}')
    return Fault(
        name=name,
        probability=1.0 if probability is None else probability,
        seconds=number["seconds"],
        symbols=_symbols(document.get("symbols")),
        times=_whole(document, "times"),
        retry_after=number["retry_after"],
        fraction=DEFAULT_FRACTION if fraction is None else fraction,
        count=_whole(document, "count"),
        headers=headers,
    )


class FaultBook:
    """Hold the active faults of one vendor and draw those that strike a call."""

    def __init__(self, *seed: object) -> None:
        self._seed = seed
        self._random: np.random.Generator
        self._left: list[tuple[Fault, int | None]]
        self.clear()

    def add(self, fault: Fault) -> None:
        """Make a fault active."""
        self._left.append((fault, fault.times))

    def clear(self) -> None:
        """End all faults and start the dice anew."""
        self._left = []
        self._random = generator(*self._seed, "faults")

    def documents(self) -> list[dict[str, object]]:
        """Return the active faults, ``times`` being what is left."""
        return [fault.document() | {"times": left} for fault, left in self._left]

    def draw(
        self,
        scope: str,
        symbols: frozenset[str],
        effects: Collection[Effect] = EVERY_EFFECT,
    ) -> list[Fault]:
        """Return the faults that strike this call: of refusals only the first."""
        struck: list[Fault] = []
        remaining: list[tuple[Fault, int | None]] = []
        for fault, left in self._left:
            refused = any(other.kind.effect is Effect.REFUSAL for other in struck)
            effect = fault.kind.effect
            open_for = effect in effects and (not refused or effect in _OF_ANY_REPLY)
            hit = open_for and fault.suits(scope, symbols) and self._dice(fault)
            if hit:
                struck.append(fault)
            after = left - 1 if hit and left is not None else left
            if after is None or after > 0:
                remaining.append((fault, after))
        self._left = remaining
        return struck

    def _dice(self, fault: Fault) -> bool:
        return fault.probability >= 1 or self._random.random() < fault.probability


def named(faults: Iterable[Fault], name: str) -> Fault | None:
    """Return the first fault of a name."""
    return next((fault for fault in faults if fault.name == name), None)


def _number(document: Mapping[str, object], field: str) -> float | None:
    value = document.get(field)
    if value is None:
        return None
    low, high = _NUMBERS[field]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaultError(f"{field} must be a number")
    if not low <= value <= high:
        raise FaultError(f"{field} must be between {low:g} and {high:g}")
    return float(value)


def _whole(document: Mapping[str, object], field: str) -> int | None:
    value = document.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise FaultError(f"{field} must be a whole number of at least 1")
    return value


def _symbols(value: object) -> frozenset[str]:
    if value is None:
        return frozenset()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FaultError("symbols must be a list of strings")
    return frozenset(value)


def _headers(value: object) -> Mapping[str, str]:
    try:
        return checked_headers(value)
    except HeadersError as error:
        raise FaultError(str(error)) from error
