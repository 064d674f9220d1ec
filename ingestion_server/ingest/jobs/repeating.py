"""The runs of a job: the first, and those that its schedule asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import msgspec
from typing_extensions import override

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.jobs import Job, JobSpec, JobState, Unit, UnitState
from ingestion_server.ingest.jobs.planning import Planned, Planner
from ingestion_server.ingest.jobs.running import Runs
from ingestion_server.ingest.jobs.schedules import check, next_run
from ingestion_server.ports.calendars import Calendars
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.jobs import JobStore

_AHEAD: Final = 8
"""So many of the next units tell how the others will be asked for."""


@final
class Repeating(Runs):
    """Plan runs."""

    def __init__(
        self, planner: Planner, store: JobStore, calendars: Calendars, clock: Clock
    ) -> None:
        self._planner = planner
        self._store = store
        self._calendars = calendars
        self._clock = clock

    async def check(self, spec: JobSpec) -> None:
        """
        Refuse what can never run.

        Raises:
            InvalidQueryError: The schedule is wrong, or never fires; or there is none,
                and what is wanted lies in the future.
            StateUnavailableError: Nobody knows when its exchange closes.

        """
        now_ns = self._clock.now_ns()
        if spec.schedule is None:
            _refuse_future(spec, now_ns)
        else:
            check(spec.schedule)
            await next_run(spec.schedule, now_ns, self._calendars)

    async def first_run(self, job: Job) -> tuple[Job, Planned]:
        """
        Return a new job with the time of its second run, and the plan of the first.

        Raises ``InvalidQueryError`` if it cannot be planned.
        """
        planned = await self._planner.plan(
            job.spec,
            job_id=job.job_id,
            run=job.run,
            first_number=1,
            now_ns=job.run_started_ns,
        )
        next_run_ns = await self.next_run_ns(job)
        return msgspec.structs.replace(job, next_run_ns=next_run_ns), planned

    @override
    async def next_run(self, job: Job) -> tuple[Job, Sequence[Unit]]:
        """Return a job as its next run begins, and what was not final before."""
        now_ns = self._clock.now_ns()
        begun = msgspec.structs.replace(
            job,
            state=JobState.RUNNING,
            detail="",
            run=job.run + 1,
            run_started_ns=now_ns,
            run_ended_ns=None,
            next_run_ns=await self.next_run_ns(job),
            updated_ns=now_ns,
        )
        planned = await self._planner.plan(
            job.spec,
            job_id=job.job_id,
            run=begun.run,
            first_number=await self._store.last_number(job.job_id) + 1,
            now_ns=now_ns,
            told_until_ns=job.run_started_ns,
        )
        return begun, planned.units

    @override
    async def together(self, job: Job) -> int:
        """Return how many of its next units one call may be about."""
        ahead = await self._store.units(
            job.job_id, job.run, (UnitState.PENDING,), after=0, limit=_AHEAD
        )
        return await self._planner.together(job.spec, ahead)

    @override
    async def next_run_ns(self, job: Job) -> int | None:
        """Return when a job runs after now; None = never."""
        schedule = job.spec.schedule
        if schedule is None:
            return None
        return await next_run(schedule, self._clock.now_ns(), self._calendars)


def _refuse_future(spec: JobSpec, now_ns: int) -> None:
    """Raise if a job that runs once wants what there cannot be yet."""
    wrong: list[Violation] = []
    if spec.start_ns >= now_ns:
        wrong.append(Violation("spec.start", "lies in the future"))
    if spec.end_ns is not None and spec.end_ns > now_ns:
        told = (
            "lies in the future; leave it out, and give a schedule for what is to come"
        )
        wrong.append(Violation("spec.end", told))
    if wrong:
        raise InvalidQueryError(wrong)
