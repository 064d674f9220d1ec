"""
Jobs as metrics: how many stand where, how far they have come, and what has landed.

They are kept in a database, which may be slow or gone, so a page never waits for it:
they are counted every few seconds, and told as they were then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final, final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.jobs import JobState, JobTally, UnitState

_log: Final = logging.getLogger(__name__)
_PERIOD_SECONDS: Final = 5.0
_LONGEST_SECONDS: Final = 10.0
_REST: Final = 50.0
"""So many times longer than it took to count, it is not counted again."""


@final
class JobWatch:
    """Count jobs again and again."""

    def __init__(
        self,
        count: Callable[[], Awaitable[JobTally]],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``count`` reads them; ``sleep`` and ``monotonic`` take and tell seconds."""
        self._count = count
        self._sleep = sleep
        self._monotonic = monotonic
        self.tally: JobTally | None = None
        """What was counted last; None = not yet, or it cannot be read now."""

    async def watch(self) -> None:
        """Count until cancelled."""
        failed = False
        while True:
            began = self._monotonic()
            try:
                async with asyncio.timeout(_LONGEST_SECONDS):
                    self.tally, failed = await self._count(), False
            except (StateUnavailableError, TimeoutError) as error:
                # Each round would say the same again.
                if not failed:
                    _log.warning("jobs cannot be counted: %s", str(error) or "too slow")
                self.tally, failed = None, True
            took = self._monotonic() - began
            await self._sleep(max(_PERIOD_SECONDS, _REST * took))


@final
class JobCollector(Collector):
    """Tell of jobs when somebody asks; of nothing while they cannot be read."""

    def __init__(self, watch: JobWatch) -> None:
        """Tell what was counted last."""
        self._watch = watch

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; each state, also if no job is in it."""
        jobs = GaugeMetricFamily(
            "ingestion_jobs",
            "Jobs that are kept, by where they stand.",
            labels=("state",),
        )
        units = GaugeMetricFamily(
            "ingestion_job_units",
            "Units of work of the latest run of each job, by where they stand.",
            labels=("state",),
        )
        bars = CounterMetricFamily(
            "ingestion_job_bars_landed",
            "Bars that jobs have landed since the start; what had landed before does "
            "not count.",
        )
        tally = self._watch.tally
        if tally is not None:
            for state in JobState:
                jobs.add_metric((state,), tally.jobs.get(state, 0))
            for each in UnitState:
                units.add_metric((each,), tally.units.get(each, 0))
            bars.add_metric((), tally.bars_landed)
        yield from (jobs, units, bars)


def job_parts(watch: JobWatch) -> Mapping[str, Collector]:
    """Return what a page tells of jobs."""
    return {"jobs": JobCollector(watch)}
