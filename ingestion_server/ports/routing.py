"""Whom to ask, and why: as those who choose see it, and as those who look at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from ingestion_server.domain.query import BarQuery
from ingestion_server.ports.policy import BreakerPosition
from ingestion_server.ports.provider import Capability, Lifecycle


class Factor(msgspec.Struct, frozen=True):
    """Be one part of a score."""

    name: str
    value: float
    """From 0 (worst) to 1."""
    weight: float
    """The weights of all factors add up to 1."""
    detail: str
    """What it was computed from, in plain words."""


class Score(msgspec.Struct, frozen=True):
    """Say how good a choice a vendor is, and why."""

    value: float
    """From 0 (worst) to 1: the weighted sum of the factors."""
    judged: bool
    """False where there were too few calls to judge by."""
    factors: tuple[Factor, ...]


class BreakerView(msgspec.Struct, frozen=True, kw_only=True):
    """Tell where a breaker stands, in wall clock time."""

    position: BreakerPosition
    opened_at_ns: int | None = None
    reason: str = ""
    retry_at_ns: int | None = None
    """When a probe may pass; None while it is closed."""
    failures: int = 0
    rest_seconds: float = 0.0
    """How long it rests after the next failure that opens it."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Tell how a vendor has done of late with one kind of data."""

    kind: str
    samples: float
    score: Score
    p50_seconds: float | None
    p95_seconds: float | None
    last_success_ns: int | None
    last_failure_ns: int | None
    last_failure: str
    breaker: BreakerView


class ProviderReport(msgspec.Struct, frozen=True, kw_only=True):
    """Tell all that is known of a vendor."""

    name: str
    lifecycle: Lifecycle
    enabled: bool
    priority: int
    """Smaller is asked first; equals share the load."""
    priority_configured: bool
    unusable_reason: str
    capabilities: Sequence[Capability]
    feed_delay_seconds: float | None
    plan: str
    monthly_usd: Decimal
    per_unit_usd: Decimal
    health: Sequence[Health]


class RouteCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """Be one vendor of a route, or one that was left out of it."""

    provider: str
    excluded_reason: str = ""
    """An ErrorInfo reason, a colon, and plain words; empty if it is in the route."""
    excluded_until_ns: int | None = None
    """None = not before something is changed, or it is in the route."""
    derivation: str = ""
    """How its own bars become the wanted ones; empty if they are the wanted ones."""
    score: Score | None = None
    price_usd: Decimal = Decimal(0)
    why: str = ""
    """Why it stands at this place, in plain words."""


class EventKind(StrEnum):
    """Name what happened to a vendor."""

    BREAKER_OPENED = "breaker_opened"
    BREAKER_HALF_OPEN = "breaker_half_open"
    BREAKER_CLOSED = "breaker_closed"
    UPDATED = "updated"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Be one change of a vendor."""

    number: int
    """Ascending, without holes."""
    kind: EventKind
    provider: str
    data_kind: str
    """Empty if it is about all kinds."""
    at_ns: int
    detail: str


class BreakerChange(msgspec.Struct, frozen=True):
    """Tell that a breaker has moved."""

    provider: str
    kind: str
    position: BreakerPosition
    reason: str
    rest_seconds: float
    """How long it stays open; 0 unless it opened."""


class OnBreaker(Protocol):
    """Listen to breakers."""

    def __call__(self, change: BreakerChange) -> None:
        """Hear of one move; must not fail and must not wait."""
        ...


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Be what an operator changed of a vendor; None = as the settings say."""

    enabled: bool | None = None
    priority: int | None = None


class OverridesError(Exception):
    """Say that what operators changed cannot be read or kept, and why."""


class Overrides(Protocol):
    """Keep what operators changed, over restarts."""

    def load(self) -> Mapping[str, Override]:
        """
        Return what was changed, by vendor.

        Raises:
            OverridesError: It cannot be read.

        """
        ...

    async def save(self, overrides: Mapping[str, Override]) -> None:
        """
        Keep what was changed instead of what was kept before; one at a time.

        Who cancels this does not know what is kept.

        Raises:
            OverridesError: It is not kept.

        """
        ...


class Directory(Protocol):
    """Know all vendors."""

    def reports(self) -> Sequence[ProviderReport]:
        """Return what is known of each, in the order in which they are asked."""
        ...

    def events(self, after: int) -> Sequence[Event]:
        """Return the latest events with higher numbers, oldest first."""
        ...

    async def changed(self, after_event: int, *, within_seconds: float) -> None:
        """Wait until there is a newer event, but not longer."""
        ...

    async def update(
        self, name: str, *, enabled: bool | None, priority: int | None
    ) -> ProviderReport:
        """
        Change a vendor for good: it survives a restart.

        A change that was begun is made, though the caller may be gone.

        Raises:
            InvalidQueryError: There is no such vendor, or the bounds that the
                operator has set do not allow it.

        """
        ...


class Router(Protocol):
    """Say whom a question would be asked of."""

    async def explain(self, query: BarQuery) -> Sequence[RouteCandidate]:
        """Return the vendors, first choice first, then those left out."""
        ...
