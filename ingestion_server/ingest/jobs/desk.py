"""Where jobs are asked for, looked at, halted, and their results read."""

from __future__ import annotations

import secrets
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Collection,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Final, final

import msgspec
from typing_extensions import override

from ingestion_server.domain.errors import (
    CallerThrottledError,
    InvalidQueryError,
    JobUnknownError,
    Violation,
)
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.jobs import (
    Job,
    JobSpec,
    JobState,
    JobTally,
    Progress,
    Unit,
    UnitCounts,
    UnitState,
)
from ingestion_server.domain.landed import LandedBars, LandedSource
from ingestion_server.domain.query import Span
from ingestion_server.ingest.jobs.bulletin import Bulletin
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ingest.jobs.outlook import Outlook
from ingestion_server.ingest.jobs.repeating import Repeating
from ingestion_server.ingest.jobs.running import Runner
from ingestion_server.ingest.jobs.transitions import (
    cancelled,
    conflict,
    going_on,
    halted,
    tried_again,
)
from ingestion_server.ingest.jobs.unit_work import holding_of
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.jobs import (
    BarLanding,
    Cursor,
    JobNews,
    Jobs,
    JobStore,
    JobView,
    Result,
    Submitted,
)

MOST_RESULT_BARS: Final = 5_000
"""In one message."""
_PAGE: Final = 100
_MILLISECOND_NS: Final = 1_000_000
_RETRY_SECONDS: Final = 60.0


@final
class JobDesk(Jobs):
    """Have jobs done."""

    def __init__(  # noqa: PLR0913, PLR0917 - its parts
        self,
        store: JobStore,
        landing: BarLanding,
        runner: Runner,
        repeating: Repeating,
        outlook: Outlook,
        clock: Clock,
        limits: JobLimits,
    ) -> None:
        self._store = store
        self._landing = landing
        self._runner = runner
        self._repeating = repeating
        self._outlook = outlook
        self._clock = clock
        self._limits = limits

    @override
    async def create(
        self, spec: JobSpec, *, client_key: str, name: str, dry_run: bool
    ) -> Submitted:
        """Plan a job, and begin it unless that is all that is wanted."""
        if client_key:
            known = await self._store.by_client_key(client_key)
            if known is not None:
                return await self._known(known, spec)
        await self._repeating.check(spec)
        now_ns = self._clock.now_ns()
        job = Job(
            job_id=_job_id(now_ns),
            client_key=client_key,
            name=name,
            spec=spec,
            created_ns=now_ns,
            updated_ns=now_ns,
            run_started_ns=now_ns,
        )
        if not dry_run and self._runner.jobs >= self._limits.most_jobs:
            raise CallerThrottledError(
                f"{self._limits.most_jobs} jobs have not ended, which is the most; "
                "cancel some, or wait until they have",
                limit=self._limits.most_jobs,
                retry_after_seconds=_RETRY_SECONDS,
            )
        job, planned = await self._repeating.first_run(job)
        if dry_run:
            return Submitted(None, planned.plan, created=False)
        try:
            kept = await self._store.create(job, planned.units)
        except BaseException:
            # It may have been kept all the same; if not, there is nothing to see to.
            self._runner.begin(job.job_id)
            raise
        if kept.job_id != job.job_id:
            # Another request with the same key was quicker.
            return await self._known(kept, spec)
        self._outlook.begun(job, planned.plan.finishes_at_ns)
        self._runner.begin(job.job_id)
        view = await self._view(job)
        return Submitted(job, planned.plan, created=True, progress=view.progress)

    @override
    async def get(self, job_id: str) -> JobView:
        """Return a job."""
        return await self._view(await self._job(job_id))

    @override
    async def units(
        self, job_id: str, states: Collection[UnitState], *, after: int, limit: int
    ) -> Sequence[Unit]:
        """Return units of the latest run, by number."""
        job = await self._job(job_id)
        return await self._store.units(
            job_id, job.run, states, after=after, limit=limit
        )

    @override
    async def list(
        self,
        states: Collection[JobState],
        name_prefix: str,
        *,
        before: tuple[int, str] | None,
        limit: int,
    ) -> Sequence[JobView]:
        """Return jobs, the latest first."""
        jobs = await self._store.jobs(
            states, name_prefix, before=before, limit=limit, with_symbols=False
        )
        sums = await self._store.counts_of(jobs)
        # When each is done is told to those who ask for one.
        return [
            self._seen(job, counts, None)
            for job, counts in zip(jobs, sums, strict=True)
        ]

    @override
    @asynccontextmanager
    async def watch(
        self, job_id: str, *, interval_seconds: float
    ) -> AsyncIterator[AsyncIterator[JobNews]]:
        """Yield a job now, and whenever it has changed, until it has ended."""
        await self._job(job_id)
        bulletin = self._runner.bulletins.take(job_id)
        try:
            yield self._news(job_id, bulletin, interval_seconds)
        finally:
            self._runner.bulletins.give_back(job_id)

    async def tally(self) -> JobTally:
        """
        Sum up all jobs.

        Raises:
            StateUnavailableError: They cannot be read.

        """
        tally = await self._store.tally()
        return msgspec.structs.replace(tally, bars_landed=self._runner.bars_landed)

    @override
    async def pause(self, job_id: str) -> JobView:
        """Begin nothing more."""
        return await self._view(await self._runner.change(job_id, halted))

    @override
    async def resume(self, job_id: str) -> JobView:
        """Go on."""
        job = await self._job(job_id)
        left = (await self._store.counts(job_id, job.run)).left
        job = await self._runner.change(job_id, lambda job: going_on(job, left))
        self._runner.begin(job_id)
        return await self._view(job)

    @override
    async def cancel(self, job_id: str) -> JobView:
        """End it for good."""
        now_ns = self._clock.now_ns()
        job = await self._runner.change(job_id, lambda job: cancelled(job, now_ns))
        await self._runner.end(job_id)
        await self._store.release(job_id, to=UnitState.CANCELLED)
        self._runner.bulletins.change(job_id)
        return await self._view(job)

    @override
    async def retry_failed(self, job_id: str) -> tuple[JobView, int]:
        """Have tried again what is missing."""
        job = await self._job(job_id)
        if job.state is JobState.CANCELLED:
            raise conflict(job, "tried again", "create another job")
        count = await self._store.retry(job_id, job.run)
        # Some may wait since the server was killed at this place.
        left = (await self._store.counts(job_id, job.run)).left
        job = await self._runner.change(job_id, lambda job: tried_again(job, left))
        if not job.state.ended:
            self._runner.begin(job_id)
        return await self._view(job), count

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
        """Yield what has landed, in that order."""
        job = await self._job(job_id)
        if acknowledged is not None:
            await self._store.acknowledge(job_id, consumer, acknowledged)
        at = after or await self._store.acknowledged(job_id, consumer)
        done = max(at.landing - 1, 0)
        bulletin = self._runner.bulletins.take(job_id)
        try:
            while True:
                version = bulletin.version
                job = await self._job(job_id)
                landings = await self._store.landings(job_id, after=done, limit=_PAGE)
                for unit in landings:
                    skip = at.part if unit.landing == at.landing else 0
                    async for result in self._parts(job, unit, skip):
                        yield result
                    done = unit.landing
                if landings:
                    continue
                if not follow or job.state.ended:
                    return
                await bulletin.news(version)
        finally:
            self._runner.bulletins.give_back(job_id)

    @override
    async def delete(self, job_id: str) -> None:
        """Forget it."""
        job = await self._job(job_id)
        if job.state is JobState.RUNNING:
            raise conflict(job, "deleted", "cancel or pause it first")
        await self._runner.end(job_id)
        await self._store.delete(job_id)
        self._runner.bulletins.change(job_id)

    async def _news(
        self, job_id: str, bulletin: Bulletin, interval_seconds: float
    ) -> AsyncIterator[JobNews]:
        told = bulletin.version
        while True:
            seen = bulletin.version
            view = await self.get(job_id)
            units, told = bulletin.units(told), bulletin.version
            yield JobNews(view, units)
            if view.job.state.ended:
                return
            await bulletin.news(seen)
            await self._clock.sleep(interval_seconds)

    async def _parts(self, job: Job, unit: Unit, skip: int) -> AsyncIterator[Result]:
        """Yield the bars of a unit, but for the first parts; at least one part."""
        holding = holding_of(job.spec, unit.symbol)
        bars = await self._landing.read(holding, Span(unit.start_ns, unit.end_ns))
        count = len(bars.series)
        parts = max(1, -(-count // MOST_RESULT_BARS))
        for part in range(skip + 1, parts + 1):
            rows = slice((part - 1) * MOST_RESULT_BARS, part * MOST_RESULT_BARS)
            cursor = Cursor(unit.landing, part)
            yield Result(cursor, unit, _rows(bars, rows), more=part < parts)

    async def _known(self, job: Job, spec: JobSpec) -> Submitted:
        """Return the job that a key means, if it is the one that is wanted."""
        if job.spec != spec:
            told = (
                f"belongs to job {job.job_id}, which wants something else; use another "
                "key for another job"
            )
            raise InvalidQueryError([Violation("client_key", told)])
        view = await self._view(job)
        return Submitted(job, None, created=False, progress=view.progress)

    async def _job(self, job_id: str) -> Job:
        job = await self._store.job(job_id)
        if job is None:
            raise JobUnknownError(job_id)
        return job

    async def _view(self, job: Job) -> JobView:
        # It may take a moment, in which units end.
        finishes_at_ns = await self._outlook.finishes_at_ns(job)
        counts = await self._store.counts(job.job_id, job.run)
        return self._seen(job, counts, finishes_at_ns)

    def _seen(
        self, job: Job, counts: UnitCounts, finishes_at_ns: int | None
    ) -> JobView:
        """Return how far a job has come, which ends at a time if nothing fails."""
        bulletin = self._runner.bulletins.of(job.job_id)
        rate = 0.0
        if bulletin is not None and job.state is JobState.RUNNING:
            rate = bulletin.units_per_second(self._clock.monotonic())
        if not counts.left:
            finishes_at_ns = None
        elif finishes_at_ns is not None and rate:
            # Failures and retries take their time as well.
            took_ns = int(counts.left / rate * SECOND_NS)
            finishes_at_ns = max(finishes_at_ns, self._clock.now_ns() + took_ns)
        progress = Progress(
            counts=counts, units_per_second=rate, finishes_at_ns=finishes_at_ns
        )
        held_up = self._runner.held_up(job.job_id)
        if held_up:
            # It cannot be kept: what it stands in may be the place for that.
            told = f"held up, and goes on by itself once this is mended: {held_up}"
            job = msgspec.structs.replace(job, detail=told)
        return JobView(job, progress)


def _rows(bars: LandedBars, rows: slice) -> LandedBars:
    """Return some of the bars, with the sources of these."""
    series = bars.series.take(rows)
    times = series.open_time_ns
    sources: list[LandedSource] = []
    if len(times):
        first, last = int(times[0]), int(times[-1])
        sources = [
            msgspec.structs.replace(
                source,
                start_ns=max(source.start_ns, first),
                end_ns=min(source.end_ns, last + 1)
                if source.end_ns > last + 1 and rows.stop < len(bars.series)
                else source.end_ns,
            )
            for source in bars.sources
            if source.start_ns <= last and source.end_ns > first
        ]
    return LandedBars(series, bars.states[rows], sources, bars.currency, bars.zone)


def _job_id(now_ns: int) -> str:
    """Return an id that sorts by time, and that nobody can guess."""
    return f"{now_ns // _MILLISECOND_NS:012x}{secrets.token_hex(4)}"
