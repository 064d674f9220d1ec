"""Operators see how many jobs there are, and how far they have come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.jobs import JobState, JobTally, UnitState
from ingestion_server.telemetry.job_metrics import JobWatch, job_parts
from ingestion_server.telemetry.metrics_page import MetricsPage
from tests.telemetry.pages import OPENMETRICS, series

TALLY = JobTally(
    {JobState.RUNNING: 2, JobState.COMPLETED: 5},
    {UnitState.LANDED: 40, UnitState.PENDING: 60},
    bars_landed=1000,
)


class Rounds:
    """Let so many rounds pass, and note how long each rest is."""

    def __init__(self, rounds: int) -> None:
        self._left = rounds
        self.rests: list[float] = []
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Be over at once, or never."""
        self.rests.append(seconds)
        self._left -= 1
        if not self._left:
            self.over.set()
            await asyncio.Event().wait()


async def counted(
    count: Callable[[], Awaitable[JobTally]],
    rounds: int = 1,
    monotonic: Callable[[], float] = lambda: 0.0,
) -> tuple[JobWatch, list[float]]:
    """Count so often; return who did, and its rests."""
    passing = Rounds(rounds)
    watch = JobWatch(count, sleep=passing.sleep, monotonic=monotonic)
    task = asyncio.create_task(watch.watch())
    async with asyncio.timeout(10):
        await passing.over.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return watch, passing.rests


async def tally() -> JobTally:
    """Count some jobs."""
    return TALLY


async def refuse() -> JobTally:
    """Be a database that is gone."""
    raise StateUnavailableError("jobs.sqlite: the disk is full")


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
async def test_every_state_is_told_also_if_no_job_is_in_it(accept: str) -> None:
    watch, _ = await counted(tally)

    told = series(MetricsPage(job_parts(watch))(accept))

    assert told["ingestion_jobs"]["running",] == 2
    assert told["ingestion_jobs"]["paused_quota",] == 0
    assert told["ingestion_jobs"].keys() == {(state,) for state in JobState}
    assert told["ingestion_job_units"]["pending",] == 60
    assert told["ingestion_job_units"].keys() == {(state,) for state in UnitState}
    assert told["ingestion_job_bars_landed"] == {(): 1000}


async def test_before_they_were_counted_nothing_is_told() -> None:
    told = series(MetricsPage(job_parts(JobWatch(tally)))(""))

    assert told["ingestion_jobs"] == {}
    assert told["ingestion_metrics_failures"]["jobs",] == 0


async def test_what_cannot_be_read_is_not_told_and_logged_when_that_begins(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = [refuse, refuse, tally, refuse]

    async def moody() -> JobTally:
        return await answers.pop(0)()

    with caplog.at_level(logging.WARNING):
        watch, _ = await counted(moody, rounds=4)

    assert series(MetricsPage(job_parts(watch))(""))["ingestion_jobs"] == {}
    said = "jobs cannot be counted: jobs.sqlite: the disk is full"
    assert [r.message for r in caplog.records] == [said, said]


async def test_the_longer_it_takes_to_count_the_rarer_it_is_done() -> None:
    times = iter([0.0, 0.001, 5.0, 6.0])

    _, rests = await counted(tally, rounds=2, monotonic=lambda: next(times))

    assert rests == [5.0, pytest.approx(50.0)]
