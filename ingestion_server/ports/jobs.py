"""Jobs: as those see them who ask for them, and as those who keep them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import msgspec

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.jobs import (
    Job,
    JobSpec,
    JobState,
    JobTally,
    Plan,
    Progress,
    Unit,
    UnitCounts,
    UnitState,
)
from ingestion_server.domain.landed import LandedBars
from ingestion_server.domain.query import Span
from ingestion_server.domain.result import BarResult


class Holding(msgspec.Struct, frozen=True):
    """Name one series that is landed: bars of it are alike, and unique by time."""

    instrument: Instrument
    interval: Interval
    adjustment: Adjustment
    hours: TradingHours = TradingHours.REGULAR


class Landed(NamedTuple):
    """Say what landing has changed."""

    bars: int
    """All that are there now of what was to land."""
    revised: int
    """Those among them that differ from what had landed before."""
    rebased: float | None = None
    """
    By what adjusted prices that had landed are now multiplied; None = they are not.

    What had landed of the series, except for this span, counts as covered no more.
    """


class BarLanding(Protocol):
    """
    Keep bars for good, where people can read them.

    Every method raises ``StateUnavailableError``, naming the file, if the disk is
    full, a folder cannot be written, or a file is not what was written.
    """

    async def land(self, holding: Holding, span: Span, result: BarResult) -> Landed:
        """
        Keep the final bars of an answer; all of them are safe, or none is.

        What the answer says is not missing of the span counts as covered from then
        on. Landing the same once more changes nothing. A bar that differs from the
        one that is there takes its place, and the former one is kept as a revision.
        """
        ...

    async def covered(self, holding: Holding, span: Span) -> Sequence[Span]:
        """Return what of a span has landed, ascending, without overlap."""
        ...

    async def read(self, holding: Holding, span: Span) -> LandedBars:
        """Return the bars of a span that have landed."""
        ...


class JobStore(Protocol):
    """
    Keep jobs and their units over restarts; each method is one transaction.

    Every method raises ``StateUnavailableError`` if nothing can be kept or read.
    """

    async def create(self, job: Job, units: Sequence[Unit]) -> Job:
        """
        Keep a new job with the units of its first run.

        If there is one with the same client key (that is not empty), that one is
        returned as it is, and nothing is kept.
        """
        ...

    async def job(self, job_id: str) -> Job | None:
        """Return a job, if there is one."""
        ...

    async def by_client_key(self, client_key: str) -> Job | None:
        """Return the job with a client key that is not empty, if there is one."""
        ...

    async def jobs(
        self,
        states: Collection[JobState],
        name_prefix: str,
        *,
        before: tuple[int, str] | None,
        limit: int,
        with_symbols: bool = True,
    ) -> Sequence[Job]:
        """
        Return jobs, the latest first; no states = all.

        ``before`` is the creation time and the id of the last job of the page before.
        Without their symbols, of which each may have thousands, many are read quickly.
        """
        ...

    async def save(self, job: Job) -> None:
        """Keep a job instead of what was kept of it; its spec does not change."""
        ...

    async def begin_run(self, job: Job, units: Sequence[Unit]) -> None:
        """Keep a job that begins another run, and the units of that."""
        ...

    async def last_number(self, job_id: str) -> int:
        """Return the highest number of its units, of any run; 0 = it has none."""
        ...

    async def units(
        self,
        job_id: str,
        run: int,
        states: Collection[UnitState],
        *,
        after: int,
        limit: int,
    ) -> Sequence[Unit]:
        """Return units of a run in some states with numbers after one, by number."""
        ...

    async def take(
        self, job_id: str, run: int, *, now_ns: int, limit: int
    ) -> Sequence[Unit]:
        """Mark pending units that may be tried now as RUNNING, and return them."""
        ...

    async def keep_unit(self, unit: Unit) -> Unit:
        """
        Keep a unit instead of what was kept of it.

        One that is LANDED or PARTIAL is given the next place among the landings of
        its job; it is returned with it.
        """
        ...

    async def release(self, job_id: str, *, to: UnitState) -> None:
        """
        Let units be in another state that are RUNNING, whoever worked on them.

        To CANCELLED, PENDING ones as well.
        """
        ...

    async def retry(self, job_id: str, run: int) -> int:
        """Let units of a run that are FAILED or PARTIAL be PENDING; return how many."""
        ...

    async def hasten(self, job_id: str, run: int, *, now_ns: int) -> None:
        """Let pending units of a run be tried now that were to be tried later."""
        ...

    async def first_due(self, job_id: str, run: int) -> Unit | None:
        """Return the pending unit of a run that may be tried first, if there is one."""
        ...

    async def counts(self, job_id: str, run: int) -> UnitCounts:
        """Sum up the units of a run."""
        ...

    async def counts_of(self, jobs: Sequence[Job]) -> Sequence[UnitCounts]:
        """Sum up the units of the latest run of each, in one go."""
        ...

    async def tally(self) -> JobTally:
        """Count all jobs, and sum up the units of their latest runs."""
        ...

    async def landings(self, job_id: str, *, after: int, limit: int) -> Sequence[Unit]:
        """Return units that have landed, of all runs, by their landing."""
        ...

    async def acknowledge(self, job_id: str, consumer: str, at: Cursor) -> None:
        """Keep how far a consumer has come; never backwards."""
        ...

    async def acknowledged(self, job_id: str, consumer: str) -> Cursor:
        """Return how far a consumer has come."""
        ...

    async def delete(self, job_id: str) -> None:
        """Forget a job, its units, and how far its consumers have come."""
        ...


class Cursor(NamedTuple):
    """Be a place among what has landed for a job."""

    landing: int = 0
    part: int = 0
    """The message within that unit, from 1; 0 = none of it."""


class Submitted(NamedTuple):
    """Be the answer to a request for a job."""

    job: Job | None
    """None for a dry run."""
    plan: Plan | None
    """None if the job was there before."""
    created: bool
    progress: Progress | None = None


class JobView(NamedTuple):
    """Be a job and how far it has come."""

    job: Job
    progress: Progress


class JobNews(NamedTuple):
    """Be what has changed of a job."""

    view: JobView
    units: Sequence[Unit]
    """Those that ended since the last news; the latest 100 at most."""


class Result(NamedTuple):
    """Be some bars of a unit that has landed."""

    cursor: Cursor
    unit: Unit
    bars: LandedBars
    more: bool
    """Whether more of the unit follows."""


class Jobs(Protocol):
    """
    Have jobs done.

    Every method raises ``StateUnavailableError`` if nothing can be kept; those that
    take an id ``JobUnknownError`` if there is no such job.
    """

    async def create(
        self, spec: JobSpec, *, client_key: str, name: str, dry_run: bool
    ) -> Submitted:
        """
        Plan a job, and begin it unless that is all that is wanted.

        Raises:
            InvalidQueryError: The spec cannot be met: a cron expression that never
                fires, no symbol that can be read, a client key that means another
                spec.

        """
        ...

    async def get(self, job_id: str) -> JobView:
        """Return a job."""
        ...

    async def units(
        self, job_id: str, states: Collection[UnitState], *, after: int, limit: int
    ) -> Sequence[Unit]:
        """Return units of the latest run, by number."""
        ...

    async def list(
        self,
        states: Collection[JobState],
        name_prefix: str,
        *,
        before: tuple[int, str] | None,
        limit: int,
    ) -> Sequence[JobView]:
        """Return jobs, the latest first; no states = all."""
        ...

    def watch(
        self, job_id: str, *, interval_seconds: float
    ) -> AbstractAsyncContextManager[AsyncIterator[JobNews]]:
        """Yield a job now, and whenever it has changed, until it has ended."""
        ...

    async def pause(self, job_id: str) -> JobView:
        """Begin nothing more; raises ``JobStateConflictError`` if it has ended."""
        ...

    async def resume(self, job_id: str) -> JobView:
        """Go on; raises ``JobStateConflictError`` if it has ended."""
        ...

    async def cancel(self, job_id: str) -> JobView:
        """End it for good; one that has ended otherwise cannot be cancelled."""
        ...

    async def retry_failed(self, job_id: str) -> tuple[JobView, int]:
        """Have tried again what is missing; return how many units that is."""
        ...

    def results(
        self,
        job_id: str,
        consumer: str,
        *,
        acknowledged: Cursor | None,
        after: Cursor | None,
        follow: bool,
    ) -> AsyncGenerator[Result, None]:
        """Yield what has landed, in that order; who has enough closes it."""
        ...

    async def delete(self, job_id: str) -> None:
        """Forget it; raises ``JobStateConflictError`` while it is RUNNING."""
        ...
