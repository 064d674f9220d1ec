"""Vendors, and an order of them, as a test says they are."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import BarQuery
from ingestion_server.ports.caching import CacheCounts, CacheUse
from ingestion_server.ports.policy import BreakerPosition
from ingestion_server.ports.provider import Capability, Lifecycle
from ingestion_server.ports.routing import (
    BreakerView,
    Event,
    EventKind,
    Factor,
    Health,
    ProviderReport,
    RouteCandidate,
    Score,
)
from tests.clocks import NOW_NS, SECOND_NS, ManualClock
from tests.service.waits import Waits

SCORE = Score(
    0.75,
    judged=True,
    factors=(
        Factor("success", 0.9, 0.5, "9.0 of 10.0 calls"),
        Factor("latency", 0.6, 0.5, "half within 0.2 s"),
    ),
)
EQUITIES = Health(
    kind="bars:equity",
    samples=10.0,
    score=SCORE,
    p50_seconds=0.2,
    p95_seconds=1.5,
    last_success_ns=NOW_NS - 9 * SECOND_NS,
    last_failure_ns=NOW_NS - SECOND_NS,
    last_failure="HTTP 503",
    breaker=BreakerView(
        position=BreakerPosition.OPEN,
        opened_at_ns=NOW_NS - SECOND_NS,
        reason="HTTP 503",
        retry_at_ns=NOW_NS + 29 * SECOND_NS,
        failures=5,
        rest_seconds=30.0,
    ),
)
UNTRIED = Health(
    kind="bars:fx",
    samples=0.0,
    score=Score(0.5, judged=False, factors=()),
    p50_seconds=None,
    p95_seconds=None,
    last_success_ns=None,
    last_failure_ns=None,
    last_failure="",
    breaker=BreakerView(position=BreakerPosition.CLOSED),
)
ALPHA_VANTAGE = ProviderReport(
    name="alpha_vantage",
    lifecycle=Lifecycle(),
    enabled=True,
    priority=10,
    priority_configured=True,
    unusable_reason="",
    capabilities=[
        Capability(
            asset_classes=frozenset({AssetClass.FX, AssetClass.EQUITY}),
            intervals=frozenset({Interval.DAY_1, Interval.MINUTE_1}),
            adjustments=frozenset({Adjustment.SPLIT, Adjustment.RAW}),
            extended_hours=True,
            oldest_seconds=86_400.0,
            earliest_ns=SECOND_NS,
        )
    ],
    feed_delay_seconds=900.0,
    plan="premium",
    monthly_usd=Decimal("49.99"),
    per_unit_usd=Decimal("0.002"),
    health=[EQUITIES],
)
YAHOO = msgspec.structs.replace(
    ALPHA_VANTAGE,
    name="yahoo",
    lifecycle=Lifecycle("retired", "2025-01-01"),
    enabled=False,
    priority=20,
    priority_configured=False,
    unusable_reason="it has ended",
    capabilities=[
        Capability(
            asset_classes=frozenset({AssetClass.CRYPTO}),
            intervals=frozenset({Interval.WEEK_1}),
            adjustments=frozenset({Adjustment.RAW}),
        )
    ],
    feed_delay_seconds=None,
    health=[UNTRIED],
)
ROUTE = (
    RouteCandidate(
        provider="yahoo",
        derivation="30m from 15m",
        score=SCORE,
        price_usd=Decimal("0.01"),
        why="the better score",
    ),
    RouteCandidate(
        provider="alpha_vantage",
        excluded_reason="QUOTA_EXHAUSTED: 25 a day",
        excluded_until_ns=NOW_NS + SECOND_NS,
    ),
)

CACHE = CacheUse(
    enabled=True,
    counts=CacheCounts(
        hits=6,
        partial_hits=1,
        misses=1,
        encoded_hits=4,
        shared=2,
        negative_hits=3,
        stale=5,
        evictions=7,
        rebased=8,
        revised=9,
    ),
    bytes=1_000,
    limit_bytes=64_000,
    file_bytes=4_096,
    limit_file_bytes=256_000,
    series=10,
    bars=11,
    oldest_forming_seconds=1.5,
    file_problem="the disk is full",
)


def event(number: int, provider: str = "alpha_vantage") -> Event:
    """Tell that a breaker opened."""
    return Event(
        number=number,
        kind=EventKind.BREAKER_OPENED,
        provider=provider,
        data_kind="bars:equity",
        at_ns=NOW_NS,
        detail="HTTP 503",
    )


def with_health(**changes: object) -> ProviderReport:
    """Change what is known of Alpha Vantage's equities."""
    health = msgspec.structs.replace(EQUITIES, **changes)
    return msgspec.structs.replace(ALPHA_VANTAGE, health=[health])


class FakeDirectory:
    """Be a ``Directory`` whose vendors are what a test sets."""

    def __init__(self, clock: ManualClock) -> None:
        self.vendors = {"alpha_vantage": ALPHA_VANTAGE, "yahoo": YAHOO}
        self.updates: list[tuple[str, bool | None, int | None]] = []
        self.cache = CACHE
        self.bound = False
        """Whether the operator allows no change."""
        self._events = Waits[Event](clock)
        self.waits, self.happen = self._events.begun, self._events.add

    def change(self, name: str, **changes: object) -> None:
        """Change what is true of a vendor."""
        self.vendors[name] = msgspec.structs.replace(self.vendors[name], **changes)

    def cache_use(self) -> CacheUse:
        """Tell of the cache that was set."""
        return self.cache

    def reports(self) -> Sequence[ProviderReport]:
        """Return the vendors that were set."""
        return list(self.vendors.values())

    def events(self, after: int) -> Sequence[Event]:
        """Return the events that were added."""
        return self._events.after(after)

    async def changed(self, after_event: int, *, within_seconds: float) -> None:
        """Wait for a newer event, or for the clock."""
        await self._events.changed(after_event, within_seconds)

    async def update(
        self, name: str, *, enabled: bool | None, priority: int | None
    ) -> ProviderReport:
        """Remember the wish, and grant it."""
        if self.bound:
            raise InvalidQueryError([Violation("enabled", "the settings forbid it")])
        self.updates.append((name, enabled, priority))
        if enabled is not None:
            self.change(name, enabled=enabled)
        if priority is not None:
            self.change(name, priority=priority)
        return self.vendors[name]


class FakeRouter:
    """Be a ``Router`` that gives one answer."""

    def __init__(self) -> None:
        self.asked: list[BarQuery] = []
        self.refusal: Exception | None = None

    async def explain(self, query: BarQuery) -> Sequence[RouteCandidate]:
        """Answer as told."""
        self.asked.append(query)
        if self.refusal is not None:
            raise self.refusal
        return ROUTE
