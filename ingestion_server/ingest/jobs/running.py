"""
Have jobs done: several units at once, over restarts, and never in the way of others.

Each job that has not ended has a task that sees to it. Whatever changes a job's state
does so under its lock, so that a pause is not lost to the end of a run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol, final

import msgspec

from ingestion_server.domain.errors import (
    IngestionError,
    JobUnknownError,
    StateUnavailableError,
)
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.jobs import Job, JobState, Unit, UnitState
from ingestion_server.ingest.jobs.bulletin import Bulletin, Bulletins
from ingestion_server.ingest.jobs.course import Course
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ingest.jobs.transitions import (
    drought,
    finished,
    not_planned,
    paused,
    resumed,
)
from ingestion_server.ingest.jobs.unit_work import UnitWork
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.jobs import JobStore
from ingestion_server.ports.tracing import detached

_log: Final = logging.getLogger(__name__)
_PAGE: Final = 1_000
_LONGEST_NAP_SECONDS: Final = 60.0
"""The wall clock may jump; so often it is looked at."""
_RETRY_SECONDS: Final = 5.0
_WITH_BARS: Final = frozenset({UnitState.LANDED, UnitState.PARTIAL})
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

    async def together(self, job: Job) -> int:
        """Return how many of its next units one call may be about."""
        ...


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
        self._courses: dict[str, Course] = {}
        self._woken: dict[str, asyncio.Event] = {}
        self._due_ns: dict[str, int] = {}
        self._held_up: dict[str, str] = {}
        self._changing = asyncio.Lock()
        self.bars_landed = 0
        """By this process, for whatever job."""

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
            while tasks := list(self._tasks.values()):
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
        task = asyncio.create_task(work, name=f"job {job_id}", context=detached())
        self._tasks[job_id] = task

        def ended(task: asyncio.Task[None]) -> None:
            woken = self._woken.pop(job_id)
            del self._tasks[job_id]
            self._held_up.pop(job_id, None)
            self._due_ns.pop(job_id, None)
            # If it was cancelled before it began, nobody else has closed it.
            work.close()
            if woken.is_set() and not task.cancelled():
                # It was begun anew while it ended.
                self.begin(job_id)

        task.add_done_callback(ended)

    def held_up(self, job_id: str) -> str:
        """Return why nothing can be done for a job at the moment; empty if it can."""
        return self._held_up.get(job_id, "")

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
                try:
                    if to is not resumed and changed.state is JobState.RUNNING:
                        # Who asks for it does not want to wait for what it waits for.
                        now_ns = self._clock.now_ns()
                        await self._store.hasten(job_id, job.run, now_ns=now_ns)
                    await self._store.save(changed)
                except BaseException:
                    # Nobody knows whether it was kept; the store does.
                    self._halt(job_id)
                    self.begin(job_id)
                    raise
                self._held_up.pop(job_id, None)
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
                    self._held_up.pop(job_id, None)
                except StateUnavailableError as error:
                    if self.held_up(job_id) != error.message:
                        _log.error("job %s is held up: %s", job_id, error.message)
                    self._held_up[job_id] = error.message
                    bulletin.change()
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
                    self._due_ns[job_id] = job.resumes_at_ns or 0
                    await self.change(job_id, resumed)
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
            reason = f"{error.reason}: {error.message}"
            next_run_ns = await self._runs.next_run_ns(job)
            await self.change(
                job.job_id, lambda job: not_planned(job, reason, next_run_ns)
            )
            return
        async with self._changing:
            present = await self._store.job(job.job_id)
            if present is None or present.state is not JobState.SCHEDULED:
                return
            await self._store.begin_run(begun, units)
        self.bulletins.change(job.job_id)

    async def _run(self, job: Job, bulletin: Bulletin) -> None:
        """Work until there is nothing to do now, and note why."""
        limits, together = self._limits, await self._runs.together(job)
        at_once = min(max(limits.units_at_once, together), limits.most_units_at_once)
        if self._woken[job.job_id].is_set():
            # It may have been paused since it was read.
            return
        course = Course(self._due_ns.pop(job.job_id, 0), at_once)
        self._courses[job.job_id] = course
        bulletin.began()
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(course.at_once):
                    tasks.create_task(self._work_on(job, course, bulletin))
        except BaseException:
            # Whoever ended it must not be kept by a store that does not work.
            with suppress(StateUnavailableError):
                await self._store.release(job.job_id, to=UnitState.PENDING)
            raise
        finally:
            del self._courses[job.job_id]
        # Those that were taken and not begun.
        await self._store.release(job.job_id, to=UnitState.PENDING)
        if course.pause is not None:
            pause = course.pause
            await self.change(job.job_id, lambda job: paused(job, pause))
        elif course.failure is not None:
            raise course.failure
        elif not course.halted:
            await self._finish(job.job_id)

    async def _finish(self, job_id: str) -> None:
        """Note that all units have ended or wait for quota; or wait for one of them."""
        async with self._changing:
            # Looked at under the lock: some may be tried again by request.
            job = await self._store.job(job_id)
            if job is None or job.state is not JobState.RUNNING:
                return
            now_ns, due_ns = self._clock.now_ns(), None
            counts = await self._store.counts(job_id, job.run)
            first = await self._store.first_due(job_id, job.run)
            if not counts.left:
                await self._store.save(finished(job, counts, now_ns))
            elif first is not None and (pause := drought(first, now_ns)) is not None:
                # All others have to wait for even longer.
                waiting = paused(job, pause)
                await self._store.save(
                    msgspec.structs.replace(waiting, updated_ns=now_ns)
                )
            elif first is not None:
                due_ns = first.retry_at_ns
        self.bulletins.change(job_id)
        if due_ns is not None and await self._wait(job_id, due_ns):
            self._due_ns[job_id] = due_ns

    async def _work_on(self, job: Job, course: Course, bulletin: Bulletin) -> None:
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
            self._held_up.pop(job.job_id, None)
            if kept.state in _WITH_BARS and not kept.already_landed:
                self.bars_landed += kept.bars
            if worked.pause is not None:
                course.halt(worked.pause)
            course.note(drought(kept, self._clock.now_ns()))
            if kept.state is UnitState.PENDING:
                bulletin.change()
            else:
                bulletin.ended(kept, self._clock.monotonic())

    async def _next(self, job: Job, course: Course) -> Unit | None:
        async with course.taking:
            if course.halted:
                return None
            if not course.waiting:
                course.waiting.extend(
                    await self._store.take(
                        job.job_id,
                        job.run,
                        now_ns=max(self._clock.now_ns(), course.due_ns),
                        limit=course.at_once,
                    )
                )
            return course.waiting.popleft() if course.waiting else None

    async def _wait(self, job_id: str, until_ns: int | None) -> bool:
        """
        Wait until a time, or until somebody wants the job looked at; then False.

        A wall clock that is set back keeps nobody waiting longer.
        """
        woken = self._woken[job_id]
        began, began_ns = self._clock.monotonic(), self._clock.now_ns()
        while not woken.is_set():
            seconds = _LONGEST_NAP_SECONDS
            if until_ns is not None:
                passed = self._clock.monotonic() - began
                left = min(
                    (until_ns - self._clock.now_ns()) / SECOND_NS,
                    (until_ns - began_ns) / SECOND_NS - passed,
                )
                if left <= 0:
                    return True
                seconds = min(seconds, left)
            nap = asyncio.ensure_future(self._clock.sleep(seconds))
            waking = asyncio.ensure_future(woken.wait())
            try:
                await asyncio.wait((nap, waking), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in (nap, waking):
                    each.cancel()
                await asyncio.gather(nap, waking, return_exceptions=True)
        return False
