"""How well callers and vendors were served: what is kept of it, and what is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class Stint(msgspec.Struct, frozen=True):
    """Tell from when to when a server ran, by one reading of the wall clock."""

    name: str
    """Unique among all servers and all times."""
    started_ns: int
    until_ns: int
    """When it was last known to run."""


class CountedStretch(msgspec.Struct, frozen=True, gc=False):
    """Hold what one stint counted in a stretch of time."""

    start_minute: int
    """Whole minutes since 1970 UTC."""
    minutes: int
    """How long it is: 1 or 60."""
    stint: str
    """Whose it is; empty if it is everybody's."""
    packed: bytes
    """What was counted; only ``packing`` reads it."""


class KeptCounts(msgspec.Struct, frozen=True):
    """Hold what is kept of a stretch of time."""

    counted: Sequence[CountedStretch]
    stints: Sequence[Stint]
    since_ns: int | None
    """From when on something is known at all."""


class ReportStore(Protocol):
    """Keep counts over restarts; each method raises ``StateUnavailableError``."""

    async def keep(
        self, stints: Sequence[Stint], counted: Sequence[CountedStretch]
    ) -> None:
        """Keep these, in place of what was kept of the same."""
        ...

    async def read(self, start_minute: int, end_minute: int) -> KeptCounts:
        """Return what overlaps ``[start, end)``, and stints an hour beyond."""
        ...

    async def tidy(self, now_ns: int, retention_days: int) -> None:
        """Forget what is too old, and make hours of minutes of some time ago."""
        ...


class LatencyQuantiles(msgspec.Struct, frozen=True):
    """Tell how long calls took, in seconds."""

    p50: float
    p95: float
    p99: float
    longest: float


class ServiceLevel(msgspec.Struct, frozen=True):
    """Tell how calls ended, and how long they took."""

    calls: int
    answered: int
    caller_faults: int
    failures: Mapping[str, int]
    """By reason, the most frequent first."""
    success_ratio: float | None
    market_hours_availability: float | None
    latency: LatencyQuantiles | None
    objective: float
    error_budget_left: float | None


class Downtime(msgspec.Struct, frozen=True):
    """Tell when no server ran."""

    start_ns: int
    end_ns: int


class ReportQuery(msgspec.Struct, frozen=True):
    """Ask for a stretch of time."""

    start_ns: int
    end_ns: int
    """After the start."""
    providers: Sequence[str] = ()
    """Empty = all that were asked."""
    objective: float | None = None
    """Above 0, below 1; None = the usual one."""


class SlaReport(msgspec.Struct, frozen=True):
    """Tell how well callers and vendors were served."""

    start_ns: int
    end_ns: int
    overall: ServiceLevel
    rpcs: Mapping[str, ServiceLevel]
    """Those that were called most come first."""
    providers: Mapping[str, ServiceLevel]
    downtimes: Sequence[Downtime]
    incomplete_reason: str


class Reporter(Protocol):
    """Tell how well callers and vendors were served."""

    async def report(self, query: ReportQuery) -> SlaReport:
        """Return what is known, be it from memory only; never fails."""
        ...
