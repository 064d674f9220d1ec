"""
Have jobs done: several units at once, over restarts, and never in the way of others.

Each job that has not ended has a task that sees to it. Whatever changes a job's state
does so under its lock, so that a pause is not lost to the end of a run.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, final

import msgspec

from ingestion_server.domain.errors import (
    IngestionError,
    JobUnknownError,
    StateUnavailableError,
)
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.jobs import Job, JobState, Unit, UnitCounts, UnitState
from ingestion_server.ingest.jobs.bulletin import Bulletin, Bulletins
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ingest.jobs.unit_work import Pause, UnitWork
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.jobs import JobStore

_log: Final = logging.getLogger(__name__)
_PAGE: Final = 1_000
_LONGEST_NAP_SECONDS: Final = 60.0
"""The wall clock may jump; so often it is looked at."""
_RETRY_SECONDS: Final = 5.0
_UNFINISHED: Final = (
    JobState.RUNNING,
    JobState.PAUSED,
    JobState.PAUSED_QUOTA,
    JobState.SCHEDULED,
)


class Runs(Protocol):
    """Plan further runs."""

    async def next_run(self, job: Job) -> tuple[Job, Sequence[Unit]]:
        """Return a job as its next run begins, and the units of that."""
        ...

    async def next_run_ns(self, job: Job) -> int | None:
        """Return when a job runs after now; None = never."""
        ...


class _Course:
    """Be one stretch of work on a job, until there is nothing to do or it is halted."""

    def __init__(self) -> None:
        self.halted = False
        self.pause: Pause | None = None
        self.failure: StateUnavailableError | None = None
        self.waiting: deque[Unit] = deque()
        self.taking = asyncio.Lock()

    def halt(self, pause: Pause) -> None:
        """Begin nothing more; of several pauses, the first to end is kept."""
        self.halted = True
        pauses = [pause] if self.pause is None else [self.pause, pause]
        self.pause = min(pauses, key=_until)


@final
class Runner:
    """See to all jobs."""

    def __init__(
        self,
        store: JobStore,
        work: UnitWork,
        runs: Runs,
        clock: Clock,
        limits: JobLimits,
    ) -> None:
        self.bulletins = Bulletins()
        self._store = store
        self._work = work
        self._runs = runs
        self._clock = clock
        self._limits = limits
        self._places = asyncio.Semaphore(limits.most_units_at_once)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._courses: dict[str, _Course] = {}
        self._woken: dict[str, asyncio.Event] = {}
        self._changing = asyncio.Lock()

    @property
    def jobs(self) -> int:
        """Return how many jobs are seen to."""
        return len(self._tasks)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Runner]:
        """
        See to all jobs until the block ends.

        What was being worked on when the server was last here is worked on anew.

        Raises:
            StateUnavailableError: What is to be done cannot be read.

        """
        before: tuple[int, str] | None = None
        while True:
            page = await self._store.jobs(
                _UNFINISHED, "", before=before, limit=_PAGE, with_symbols=False
            )
            for job in page:
                await self._store.release(job.job_id, to=UnitState.PENDING)
                self.begin(job.job_id)
            if len(page) < _PAGE:
                break
            before = page[-1].created_ns, page[-1].job_id
        try:
            yield self
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def begin(self, job_id: str) -> None:
        """See to a job from now on; if that is done already, look at it anew."""
        if job_id in self._tasks:
            self._woken[job_id].set()
            return
        self._woken[job_id] = asyncio.Event()
        work = self._see_to(job_id)
        task = asyncio.create_task(work, name=f"job {job_id}")
        self._tasks[job_id] = task

        def ended(_: asyncio.Task[None]) -> None:
            del self._tasks[job_id], self._woken[job_id]
            # If it was cancelled before it began, nobody else has closed it.
            work.close()

        task.add_done_callback(ended)

    async def change(self, job_id: str, to: Callable[[Job], Job]) -> Job:
        """
        Change a job's state, and return the job.

        Raises:
            JobUnknownError: There is no such job.
            StateUnavailableError: It cannot be kept.

        """
        async with self._changing:
            job = await self._store.job(job_id)
            if job is None:
                raise JobUnknownError(job_id)
            changed = to(job)
            if changed != job:
                changed = msgspec.structs.replace(
                    changed, updated_ns=self._clock.now_ns()
                )
                await self._store.save(changed)
        if changed.state is not JobState.RUNNING:
            self._halt(job_id)
        self.bulletins.change(job_id)
        return changed

    async def end(self, job_id: str) -> None:
        """Do nothing more for a job, not even what is under way."""
        task = self._tasks.get(job_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _halt(self, job_id: str) -> None:
        course = self._courses.get(job_id)
        if course is not None:
            course.halted = True
        woken = self._woken.get(job_id)
        if woken is not None:
            woken.set()

    async def _see_to(self, job_id: str) -> None:
        bulletin = self.bulletins.take(job_id)
        try:
            while True:
                try:
                    if not await self._look(job_id, bulletin):
                        return
                except StateUnavailableError as error:
                    _log.error("job %s is held up: %s", job_id, error.message)
                    await self._clock.sleep(_RETRY_SECONDS)
                except Exception:  # noqa: BLE001 - the other jobs go on
                    _log.exception("job %s met a defect", job_id)
                    await self._clock.sleep(_RETRY_SECONDS)
        finally:
            self.bulletins.give_back(job_id)

    async def _look(self, job_id: str, bulletin: Bulletin) -> bool:
        """Do what a job's state asks for; return whether there is more to come."""
        self._woken[job_id].clear()
        job = await self._store.job(job_id)
        if job is None or job.state.ended:
            return False
        match job.state:
            case JobState.RUNNING:
                await self._run(job, bulletin)
            case JobState.PAUSED_QUOTA:
                if await self._wait(job_id, job.resumes_at_ns):
                    await self.change(job_id, _resumed)
            case JobState.SCHEDULED:
                if await self._wait(job_id, job.next_run_ns):
                    await self._begin_run(job)
            case _:
                await self._wait(job_id, None)
        return True

    async def _begin_run(self, job: Job) -> None:
        try:
            begun, units = await self._runs.next_run(job)
        except StateUnavailableError:
            raise
        except IngestionError as error:
            _log.warning("job %s cannot be planned: %s", job.job_id, error.message)
            await self._clock.sleep(_RETRY_SECONDS)
            return
        async with self._changing:
            present = await self._store.job(job.job_id)
            if present is None or present.state is not JobState.SCHEDULED:
                return
            await self._store.begin_run(begun, units)
        self.bulletins.change(job.job_id)

    async def _run(self, job: Job, bulletin: Bulletin) -> None:
        """Work until there is nothing to do now, and note why."""
        if self._woken[job.job_id].is_set():
            # It may have been paused since it was read.
            return
        course = self._courses[job.job_id] = _Course()
        bulletin.began()
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self._limits.units_at_once):
                    tasks.create_task(self._work_on(job, course, bulletin))
        finally:
            del self._courses[job.job_id]
            # Those that were taken and not begun, or cut off.
            await self._store.release(job.job_id, to=UnitState.PENDING)
        if course.failure is not None:
            raise course.failure
        counts = await self._store.counts(job.job_id, job.run)
        if course.pause is not None:
            pause = course.pause
            await self.change(job.job_id, lambda job: _paused(job, pause))
        elif course.halted:
            return
        elif counts.left:
            if counts.retry_at_ns is not None:
                await self._wait(job.job_id, counts.retry_at_ns)
        else:
            await self._finish(job, counts)

    async def _finish(self, job: Job, counts: UnitCounts) -> None:
        next_run_ns = await self._runs.next_run_ns(job)
        now_ns = self._clock.now_ns()
        await self.change(
            job.job_id, lambda job: _finished(job, counts, next_run_ns, now_ns)
        )

    async def _work_on(self, job: Job, course: _Course, bulletin: Bulletin) -> None:
        while not course.halted:
            try:
                async with self._places:
                    unit = await self._next(job, course)
                    if unit is None:
                        return
                    worked = await self._work.work(job, unit)
                    kept = await self._store.keep_unit(worked.unit)
            except StateUnavailableError as error:
                course.failure, course.halted = error, True
                return
            if worked.pause is not None:
                course.halt(worked.pause)
            if kept.state is UnitState.PENDING:
                bulletin.change()
            else:
                bulletin.ended(kept, self._clock.monotonic())

    async def _next(self, job: Job, course: _Course) -> Unit | None:
        async with course.taking:
            if course.halted:
                return None
            if not course.waiting:
                course.waiting.extend(
                    await self._store.take(
                        job.job_id,
                        job.run,
                        now_ns=self._clock.now_ns(),
                        limit=self._limits.units_at_once,
                    )
                )
            return course.waiting.popleft() if course.waiting else None

    async def _wait(self, job_id: str, until_ns: int | None) -> bool:
        """Wait until a time, or until somebody wants the job looked at; then False."""
        woken = self._woken[job_id]
        while not woken.is_set():
            seconds = _LONGEST_NAP_SECONDS
            if until_ns is not None:
                left_ns = until_ns - self._clock.now_ns()
                if left_ns <= 0:
                    return True
                seconds = min(seconds, left_ns / SECOND_NS)
            nap = asyncio.ensure_future(self._clock.sleep(seconds))
            waking = asyncio.ensure_future(woken.wait())
            try:
                await asyncio.wait((nap, waking), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in (nap, waking):
                    each.cancel()
                await asyncio.gather(nap, waking, return_exceptions=True)
        return False


def _until(pause: Pause) -> float:
    """Return when a pause ends; one that somebody has to end stands before others."""
    return float("-inf") if pause.until_ns is None else pause.until_ns


def _resumed(job: Job) -> Job:
    if job.state is not JobState.PAUSED_QUOTA:
        return job
    return msgspec.structs.replace(
        job, state=JobState.RUNNING, detail="", resumes_at_ns=None
    )


def _paused(job: Job, pause: Pause) -> Job:
    if job.state is not JobState.RUNNING:
        return job
    state = JobState.PAUSED if pause.until_ns is None else JobState.PAUSED_QUOTA
    return msgspec.structs.replace(
        job, state=state, detail=pause.detail, resumes_at_ns=pause.until_ns
    )


def _finished(
    job: Job, counts: UnitCounts, next_run_ns: int | None, now_ns: int
) -> Job:
    if job.state is not JobState.RUNNING:
        return job
    lost = counts.failed + counts.partial
    detail = ""
    if lost:
        detail = (
            f"{counts.failed} units could not be had, and of {counts.partial} some "
            "bars are missing; their reasons are with the units"
        )
    state = JobState.INCOMPLETE if lost else JobState.COMPLETED
    if next_run_ns is not None:
        state = JobState.SCHEDULED
    return msgspec.structs.replace(
        job,
        state=state,
        detail=detail,
        run_ended_ns=now_ns,
        next_run_ns=next_run_ns,
    )
