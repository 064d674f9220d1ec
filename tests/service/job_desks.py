"""A desk for jobs that does what a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import numpy as np
from typing_extensions import override

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.errors import JobUnknownError
from ingestion_server.domain.interval import DAY_NS
from ingestion_server.domain.jobs import (
    Job,
    JobSpec,
    JobState,
    Plan,
    Progress,
    Unit,
    UnitCounts,
    UnitState,
)
from ingestion_server.domain.landed import LandedBars, LandedSource
from ingestion_server.ports.jobs import (
    Cursor,
    JobNews,
    Jobs,
    JobView,
    Result,
    Submitted,
)
from tests.builders import days, ns
from tests.clocks import NOW_NS, SECOND_NS

START_NS = ns("2024-01-01")
SPEC = JobSpec(symbols=("AAPL", "brk.b", "EUR/USD", "?!"), start_ns=START_NS)
JOB = Job(
    job_id="0198f3c2a7e1",
    client_key="nightly",
    name="five hundred",
    spec=SPEC,
    created_ns=NOW_NS,
    updated_ns=NOW_NS + SECOND_NS,
    run_started_ns=NOW_NS,
)
PROGRESS = Progress(
    counts=UnitCounts(
        landed=4, partial=1, failed=2, running=3, pending=5, bars=900, calls=7
    ),
    units_per_second=1.5,
    finishes_at_ns=NOW_NS + 60 * SECOND_NS,
)
PLAN = Plan(units=3, calls=4, cost_usd=Decimal("0.25"))


def unit(number: int, **changes: object) -> Unit:
    """Make a unit of AAPL that waits."""
    waiting = Unit(
        job_id=JOB.job_id,
        number=number,
        symbol="aapl",
        start_ns=START_NS,
        end_ns=START_NS + 30 * DAY_NS,
    )
    return msgspec.structs.replace(waiting, **changes)


def landed(count: int) -> LandedBars:
    """Make so many days that Yahoo served."""
    return LandedBars(
        days("2024-01-01", count),
        np.full(count, BarState.FINAL, np.uint8),
        [
            LandedSource(
                provider="yahoo",
                start_ns=START_NS,
                end_ns=START_NS + count * DAY_NS,
                received_at_ns=NOW_NS,
                derived=False,
            )
        ],
        currency="USD",
        zone="America/New_York",
    )


def result(landing: int, part: int = 1, *, count: int = 2) -> Result:
    """Make some bars of a unit."""
    done = unit(landing, state=UnitState.LANDED, landing=landing, bars=count)
    return Result(Cursor(landing, part), done, landed(count), more=False)


class FakeJobs(Jobs):
    """Know the jobs that a test has put there, and note what is asked."""

    def __init__(self) -> None:
        self.views = {JOB.job_id: JobView(JOB, PROGRESS)}
        self.kept: list[Unit] = []
        self.asked: list[object] = []
        self.fails: Exception | None = None
        self.submitted = Submitted(JOB, PLAN, created=True, progress=PROGRESS)
        self.news: asyncio.Queue[JobNews | None] = asyncio.Queue()
        """What whoever watches is told; None = the job has ended."""
        self.landed: AsyncGenerator[Result, None] | None = None
        """What whoever reads is told; None = nothing, for ever."""
        self.open = 0
        """How many watch or read."""
        self._changed = asyncio.Condition()

    @override
    async def create(
        self, spec: JobSpec, *, client_key: str, name: str, dry_run: bool
    ) -> Submitted:
        """Answer as the test has said."""
        self._ask(("create", spec, client_key, name, dry_run))
        return self.submitted

    @override
    async def get(self, job_id: str) -> JobView:
        """Return a job that is there."""
        self._ask(("get", job_id))
        return self._view(job_id)

    @override
    async def units(
        self, job_id: str, states: Collection[UnitState], *, after: int, limit: int
    ) -> Sequence[Unit]:
        """Return what is kept."""
        self._ask(("units", job_id, frozenset(states), after, limit))
        found = [one for one in self.kept if one.number > after and one.state in states]
        return found[:limit]

    @override
    async def list(
        self,
        states: Collection[JobState],
        name_prefix: str,
        *,
        before: tuple[int, str] | None,
        limit: int,
    ) -> Sequence[JobView]:
        """Return those that are there."""
        self._ask(("list", frozenset(states), name_prefix, before, limit))
        ordered = sorted(
            self.views.values(),
            key=lambda one: (one.job.created_ns, one.job.job_id),
            reverse=True,
        )
        return [
            one
            for one in ordered
            if before is None or (one.job.created_ns, one.job.job_id) < before
        ][:limit]

    @override
    @asynccontextmanager
    async def watch(
        self, job_id: str, *, interval_seconds: float
    ) -> AsyncIterator[AsyncIterator[JobNews]]:
        """Tell the news that a test makes."""
        self._ask(("watch", job_id, interval_seconds))
        self._view(job_id)

        async def told() -> AsyncIterator[JobNews]:
            while (one := await self.news.get()) is not None:
                yield one

        await self._opened(1)
        try:
            yield told()
        finally:
            await self._opened(-1)

    @override
    async def pause(self, job_id: str) -> JobView:
        """Let a job be paused."""
        return self._turned(job_id, JobState.PAUSED)

    @override
    async def resume(self, job_id: str) -> JobView:
        """Let a job go on."""
        return self._turned(job_id, JobState.RUNNING)

    @override
    async def cancel(self, job_id: str) -> JobView:
        """Let a job be cancelled."""
        return self._turned(job_id, JobState.CANCELLED)

    @override
    async def retry_failed(self, job_id: str) -> tuple[JobView, int]:
        """Try two units again."""
        return self._turned(job_id, JobState.RUNNING), 2

    @override
    async def results(
        self,
        job_id: str,
        consumer: str,
        *,
        acknowledged: Cursor | None,
        after: Cursor | None,
        follow: bool,
    ) -> AsyncGenerator[Result, None]:
        """Tell the results that a test makes."""
        self._ask(("results", job_id, consumer, acknowledged, after, follow))
        self._view(job_id)
        await self._opened(1)
        try:
            if self.landed is None:
                await asyncio.Event().wait()
                return
            async for one in self.landed:
                yield one
        finally:
            await self._opened(-1)

    @override
    async def delete(self, job_id: str) -> None:
        """Forget a job."""
        self._ask(("delete", job_id))
        self._view(job_id)
        del self.views[job_id]

    async def until_open(self, count: int) -> None:
        """Wait until so many watch or read."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: self.open == count)

    def _turned(self, job_id: str, state: JobState) -> JobView:
        self._ask((state, job_id))
        job, progress = self._view(job_id)
        return JobView(msgspec.structs.replace(job, state=state), progress)

    def _view(self, job_id: str) -> JobView:
        if job_id not in self.views:
            raise JobUnknownError(job_id)
        return self.views[job_id]

    def _ask(self, asked: object) -> None:
        self.asked.append(asked)
        if self.fails is not None:
            raise self.fails

    async def _opened(self, more: int) -> None:
        self.open += more
        async with self._changed:
            self._changed.notify_all()
