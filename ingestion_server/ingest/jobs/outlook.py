"""When what is left of a run will be done."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, final

from ingestion_server.domain.errors import IngestionError
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.jobs import (
    Job,
    JobState,
    Progress,
    Unit,
    UnitCounts,
    UnitState,
)
from ingestion_server.ingest.jobs.planning import Planner
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.jobs import JobStore

_GOOD_SECONDS: Final = 10.0
"""How long it is believed what was foreseen; thinking of many units takes a while."""
_MOST_KEPT: Final = 1_000
_PAGE: Final = 1_000
_LEFT: Final = frozenset({UnitState.PENDING, UnitState.RUNNING})
_GOING_ON: Final = frozenset({JobState.RUNNING, JobState.PAUSED_QUOTA})


class _Foreseen(NamedTuple):
    at_seconds: float
    run: int
    state: JobState
    finishes_at_ns: int | None


@final
class Outlook:
    """Foresee how jobs go on."""

    def __init__(self, planner: Planner, store: JobStore, clock: Clock) -> None:
        self._planner = planner
        self._store = store
        self._clock = clock
        self._foreseen: dict[str, _Foreseen] = {}
        self._thinking = asyncio.Lock()

    async def progress(
        self, job: Job, counts: UnitCounts, units_per_second: float, *, foresee: bool
    ) -> Progress:
        """Return how far a run has come; with ``foresee``, also when it is done."""
        finishes_at_ns = None
        if foresee and counts.left and job.state in _GOING_ON:
            finishes_at_ns = await self._finishes_at_ns(job)
            if finishes_at_ns is not None and units_per_second:
                # Failures and retries take their time as well.
                took_ns = int(counts.left / units_per_second * SECOND_NS)
                finishes_at_ns = max(finishes_at_ns, self._clock.now_ns() + took_ns)
        return Progress(
            counts=counts,
            units_per_second=units_per_second,
            finishes_at_ns=finishes_at_ns,
        )

    async def _finishes_at_ns(self, job: Job) -> int | None:
        async with self._thinking:
            now = self._clock.monotonic()
            known = self._foreseen.get(job.job_id)
            if (
                known is not None
                and (known.run, known.state) == (job.run, job.state)
                and now - known.at_seconds < _GOOD_SECONDS
            ):
                return known.finishes_at_ns
            foreseen = _Foreseen(now, job.run, job.state, await self._foresee(job))
            if len(self._foreseen) >= _MOST_KEPT:
                self._foreseen.clear()
            self._foreseen[job.job_id] = foreseen
            return foreseen.finishes_at_ns

    async def _foresee(self, job: Job) -> int | None:
        left: list[Unit] = []
        after = 0
        while True:
            page = await self._store.units(
                job.job_id, job.run, _LEFT, after=after, limit=_PAGE
            )
            left += page
            if len(page) < _PAGE:
                break
            after = page[-1].number
        try:
            plan = await self._planner.remaining(
                job.spec, left, now_ns=self._clock.now_ns()
            )
        except IngestionError:
            # A vendor that the policy names is gone: what is left will fail.
            return None
        return plan.finishes_at_ns
