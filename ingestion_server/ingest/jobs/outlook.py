"""
When what is left of a run will be done.

Thinking of it takes a while, so it is done beside what people ask for: who asks is
told what was foreseen last, and waits only if that is nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, final

from ingestion_server.domain.errors import IngestionError
from ingestion_server.domain.jobs import Job, JobState, Unit, UnitState
from ingestion_server.ingest.jobs.planning import Planner
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.jobs import JobStore

_log: Final = logging.getLogger(__name__)
_GOOD_SECONDS: Final = 10.0
"""How long it is believed what was foreseen."""
_REST: Final = 20.0
"""Longer if that took longer: so many times as long as it took."""
_PATIENCE_SECONDS: Final = 1.0
"""So long after a thought was begun those wait for it who know nothing like it."""
_SHORT_PATIENCE_SECONDS: Final = 0.2
"""Those who know what was foreseen a while ago."""
_AT_ONCE: Final = 2
_MOST_KEPT: Final = 1_000
_MOST_UNITS: Final = 4_000
"""More than these are judged by a sample of as many."""
_PAGE: Final = 500
_LEFT: Final = frozenset({UnitState.PENDING, UnitState.RUNNING})
_GOING_ON: Final = frozenset({JobState.RUNNING, JobState.PAUSED_QUOTA})


class _Standing(NamedTuple):
    """Be what a thought is about."""

    job_id: str
    run: int
    state: JobState
    since_ns: int


class _Foreseen(NamedTuple):
    standing: _Standing
    began_seconds: float
    took_seconds: float
    finishes_at_ns: int | None

    def good(self, now: float) -> bool:
        """Return whether it need not be thought of anew."""
        rest = max(_GOOD_SECONDS, _REST * self.took_seconds)
        return now - self.began_seconds < rest


class _Thought(NamedTuple):
    task: asyncio.Task[None]
    began_seconds: float
    """By the loop, since it is this process that is waited for."""


@final
class Outlook:
    """Foresee how jobs go on."""

    def __init__(self, planner: Planner, store: JobStore, clock: Clock) -> None:
        self._planner = planner
        self._store = store
        self._clock = clock
        self._foreseen: dict[str, _Foreseen] = {}
        self._thoughts: dict[_Standing, _Thought] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)

    @asynccontextmanager
    async def thinking(self) -> AsyncIterator[None]:
        """Let thoughts go on until the block ends."""
        try:
            yield
        finally:
            tasks = [thought.task for thought in self._thoughts.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def finishes_at_ns(self, job: Job) -> int | None:
        """
        Return when a run that goes on is done, as it was foreseen last.

        None if that is not known yet, or cannot be told. If the state of a job has just
        changed, it is thought of first, for at most a second.
        """
        if job.state not in _GOING_ON:
            return None
        standing = _standing(job)
        known = self._foreseen.get(job.job_id)
        suits = known is not None and known.standing == standing
        if known is None or not suits or not known.good(self._clock.monotonic()):
            thought = self._thought(standing, job)
            if thought is not None:
                patience = _SHORT_PATIENCE_SECONDS if suits else _PATIENCE_SECONDS
                passed = asyncio.get_running_loop().time() - thought.began_seconds
                await asyncio.wait((thought.task,), timeout=max(patience - passed, 0))
                known = self._foreseen.get(job.job_id)
        if known is None or known.standing.run != job.run:
            return None
        return known.finishes_at_ns

    def begun(self, job: Job, finishes_at_ns: int | None) -> None:
        """Note when a run that begins is done by its plan."""
        now = self._clock.monotonic()
        self._note(_Foreseen(_standing(job), now, 0.0, finishes_at_ns))

    def _thought(self, standing: _Standing, job: Job) -> _Thought | None:
        """Return the thought of a job as it stands; None if there are too many."""
        thought = self._thoughts.get(standing)
        if thought is None and len(self._thoughts) < _MOST_KEPT:
            task = asyncio.create_task(
                self._think(standing, job), name=f"outlook of job {job.job_id}"
            )
            thought = _Thought(task, asyncio.get_running_loop().time())
            self._thoughts[standing] = thought
            task.add_done_callback(lambda _: self._thoughts.pop(standing))
        return thought

    async def _think(self, standing: _Standing, job: Job) -> None:
        async with self._places:
            began = self._clock.monotonic()
            try:
                finishes_at_ns = await self._foresee(job)
            except IngestionError:
                # The store fails, or a vendor that the policy names is gone.
                finishes_at_ns = None
            except Exception:  # noqa: BLE001 - the rest of a job can be told
                _log.exception("the end of job %s cannot be foreseen", job.job_id)
                finishes_at_ns = None
            took = self._clock.monotonic() - began
        self._note(_Foreseen(standing, began, took, finishes_at_ns))

    def _note(self, foreseen: _Foreseen) -> None:
        known = self._foreseen.pop(foreseen.standing.job_id, foreseen)
        later = max(foreseen, known, key=lambda each: each.began_seconds)
        self._foreseen[foreseen.standing.job_id] = later
        if len(self._foreseen) > _MOST_KEPT:
            del self._foreseen[next(iter(self._foreseen))]

    async def _foresee(self, job: Job) -> int | None:
        left = (await self._store.counts(job.job_id, job.run)).left
        estimate = await self._planner.remaining(
            job.spec,
            await self._some(job, left),
            of=left,
            now_ns=self._clock.now_ns(),
        )
        return estimate.finishes_at_ns

    async def _some(self, job: Job, left: int) -> Sequence[Unit]:
        """Return the units that are left; of very many, pages from all over them."""
        found = list(await self._page(job, 0))
        if left <= _MOST_UNITS:
            while len(found) % _PAGE == 0 and found:
                page = await self._page(job, found[-1].number)
                if not page:
                    break
                found += page
            return found
        if found:
            first, last = found[0].number, await self._store.last_number(job.job_id)
            pages = _MOST_UNITS // _PAGE
            for number in range(1, pages):
                after = first + (last - first) * number // pages
                found += await self._page(job, max(after, found[-1].number))
        return found

    async def _page(self, job: Job, after: int) -> Sequence[Unit]:
        return await self._store.units(
            job.job_id, job.run, _LEFT, after=after, limit=_PAGE
        )


def _standing(job: Job) -> _Standing:
    return _Standing(job.job_id, job.run, job.state, job.updated_ns)
