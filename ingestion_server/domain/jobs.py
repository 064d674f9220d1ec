"""Histories that are too long to wait for: what is wanted, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import SourcePolicy
from ingestion_server.domain.result import Missing


class JobState(StrEnum):
    """Name where a job stands."""

    RUNNING = "running"
    PAUSED = "paused"
    PAUSED_QUOTA = "paused_quota"
    SCHEDULED = "scheduled"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Return whether nothing more happens by itself."""
        return self in _ENDED


_ENDED = frozenset({JobState.COMPLETED, JobState.INCOMPLETE, JobState.CANCELLED})


class UnitState(StrEnum):
    """Name where one unit of work stands."""

    PENDING = "pending"
    RUNNING = "running"
    LANDED = "landed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AfterClose(msgspec.Struct, frozen=True):
    """Be a moment of each session of an exchange."""

    exchange: str
    """Its market identifier code."""
    delay_seconds: float = 0.0


class Schedule(msgspec.Struct, frozen=True):
    """Say when a job runs again: by a cron expression, or after each close."""

    cron: str = ""
    after_close: AfterClose | None = None
    zone: str = "UTC"
    """Of the cron expression."""


class JobSpec(msgspec.Struct, frozen=True):
    """Say what is wanted; it never changes."""

    symbols: tuple[str, ...]
    """As the caller spelled them, each once."""
    start_ns: int
    end_ns: int | None = None
    """None = what is final when a run begins."""
    interval: Interval = Interval.DAY_1
    asset_class: AssetClass | None = None
    """None = told by the symbol."""
    exchange: str = ""
    adjustment: Adjustment = Adjustment.SPLIT
    hours: TradingHours = TradingHours.REGULAR
    policy: SourcePolicy = SourcePolicy()
    schedule: Schedule | None = None
    """None = it runs once."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Be a job as it stands."""

    job_id: str
    client_key: str = ""
    name: str = ""
    spec: JobSpec
    state: JobState = JobState.RUNNING
    detail: str = ""
    """Why it stands there, in plain words."""
    created_ns: int
    updated_ns: int
    run: int = 1
    run_started_ns: int
    run_ended_ns: int | None = None
    resumes_at_ns: int | None = None
    """When it goes on by itself; None unless PAUSED_QUOTA."""
    next_run_ns: int | None = None
    """When the next run begins; None unless it has a schedule."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """Be one stretch of time of one instrument."""

    job_id: str
    number: int
    """Within the job, from 1."""
    run: int = 1
    symbol: str
    """As the caller spelled it."""
    start_ns: int
    end_ns: int
    state: UnitState = UnitState.PENDING
    attempts: int = 0
    last_reason: str = ""
    """Reason, a colon, and plain words; empty if no try has failed."""
    retry_at_ns: int | None = None
    """Not before; None = at once."""
    bars: int = 0
    providers: tuple[str, ...] = ()
    landed_at_ns: int | None = None
    already_landed: bool = False
    """Whether no vendor was asked."""
    missing: tuple[Missing, ...] = ()
    calls: int = 0
    """Calls of vendors that were made for it."""
    cost_usd: Decimal = Decimal(0)
    landing: int = 0
    """Its place among all that landed for the job, from 1; 0 = it has not."""


class UnitCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Sum up the units of a run."""

    landed: int = 0
    partial: int = 0
    failed: int = 0
    running: int = 0
    pending: int = 0
    cancelled: int = 0
    bars: int = 0
    """Those that landed by this run: units that had landed before do not count."""
    calls: int = 0
    cost_usd: Decimal = Decimal(0)
    retry_at_ns: int | None = None
    """The earliest time at which a pending unit may be tried; None = now, or none."""

    @property
    def units(self) -> int:
        """Return how many there are."""
        ended = self.landed + self.partial + self.failed + self.cancelled
        return ended + self.running + self.pending

    @property
    def left(self) -> int:
        """Return how many have not ended."""
        return self.running + self.pending


class JobTally(msgspec.Struct, frozen=True):
    """Sum up all jobs."""

    jobs: Mapping[JobState, int]
    """How many there are; states in which none is may be left out."""
    units: Mapping[UnitState, int]
    """The same of the units of the latest run of each."""
    bars_landed: int = 0
    """By this process since its start; what had landed before does not count."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Be how far a run has come."""

    counts: UnitCounts
    units_per_second: float = 0.0
    """Of late; 0 = unknown."""
    finishes_at_ns: int | None = None
    """None if it has ended, or that cannot be told."""


class ProviderPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Be what of a plan is meant for one vendor."""

    provider: str
    units: int
    calls: int
    cost_usd: Decimal = Decimal(0)
    finishes_at_ns: int | None = None
    """When the last call has its turn; None = farther than can be foreseen."""


class PlanFailure(msgspec.Struct, frozen=True):
    """Name a symbol that a plan holds no work for, and why."""

    symbol: str
    reason: str
    """Reason, a colon, and plain words."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Be what a run will do, as far as it can be told before."""

    units: int = 0
    """Those that are left to do."""
    units_landed: int = 0
    calls: int = 0
    cost_usd: Decimal = Decimal(0)
    finishes_at_ns: int | None = None
    providers: tuple[ProviderPlan, ...] = ()
    failures: tuple[PlanFailure, ...] = ()
