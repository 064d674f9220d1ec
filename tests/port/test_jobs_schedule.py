"""A job with a schedule runs at once, then whenever it says, and brings what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import job_pb2

from tests.port.house import UNMETERED, Build, House, RefusedError, pinned
from tests.port.job_desk import JobDesk, bars_of

SINCE = {"start": "2024-05-01T00:00:00Z", "sourcePolicy": pinned("yahoo")}
EVENINGS = {"cron": "30 18 * * mon-fri", "timeZone": "America/New_York"}
AFTER_CLOSE = {"afterClose": {"exchange": "XNYS", "delay": "1800s"}}
SCHEDULED = job_pb2.JOB_STATE_SCHEDULED


@pytest.fixture
def usual(tmp_path: Path) -> Mapping[str, str]:
    """Keep everything, so that the server can be started again."""
    return {
        **UNMETERED,
        "STATE__FOLDER": str(tmp_path),
        "JOBS__ATTEMPTS": "1",
    }


def at(text: str) -> datetime:
    """Return a time of UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(stamp: Timestamp) -> str:
    """Return a time as ISO text, to the minute."""
    return stamp.ToDatetime().isoformat(timespec="minutes")


async def after_run(desk: JobDesk, job_id: str, run: int) -> job_pb2.Job:
    """Wait until a run has ended, and return the job."""
    async with asyncio.timeout(30):
        while True:
            job = await desk.get(job_id)
            if job.run >= run and job.state == SCHEDULED:
                return job
            await asyncio.sleep(0.02)


def let_come(home: House, moment: Timestamp) -> None:
    """Let time pass until a minute after a moment."""
    left = moment.ToDatetime(UTC) - home.clock.now() + timedelta(minutes=1)
    home.clock.advance(left.total_seconds())


async def days_told(desk: JobDesk, job_id: str, **request: Any) -> dict[str, list[str]]:
    """Return the days of the bars that are told, by symbol."""
    return {
        symbol: [
            datetime.fromtimestamp(time_ns / 1e9, UTC).date().isoformat()
            for time_ns in bars
        ]
        for symbol, bars in bars_of(await desk.results(job_id, **request)).items()
    }


@pytest.mark.parametrize(
    ("schedule", "start", "runs"),
    [
        pytest.param(
            EVENINGS,
            "2024-06-13T12:00",
            ["2024-06-13T22:30", "2024-06-14T22:30", "2024-06-17T22:30"],
            id="a weekend",
        ),
        pytest.param(
            EVENINGS,
            "2024-11-01T12:00",
            ["2024-11-01T22:30", "2024-11-04T23:30", "2024-11-05T23:30"],
            id="the end of daylight saving time",
        ),
        pytest.param(
            AFTER_CLOSE,
            "2024-07-02T22:00",
            ["2024-07-03T17:30", "2024-07-05T20:30", "2024-07-08T20:30"],
            id="a half day, a holiday and a weekend",
        ),
    ],
)
async def test_a_job_runs_at_once_and_then_when_its_schedule_says(
    build: Build, schedule: Mapping[str, Any], start: str, runs: list[str]
) -> None:
    async with build(start=at(start)) as home:
        desk = JobDesk(home)
        job_id = await desk.begun("AAPL", "MSFT", schedule=schedule, **SINCE)
        job = await after_run(desk, job_id, 1)
        assert told(job.run_started_at) == start
        for run, moment in enumerate(runs, 2):
            assert told(job.next_run_at) == moment
            let_come(home, job.next_run_at)
            job = await after_run(desk, job_id, run)
            assert job.run == run
            assert job.run_ended_at.ToDatetime() >= job.run_started_at.ToDatetime()


async def test_a_further_run_brings_and_tells_what_is_new_and_nothing_else(
    build: Build,
) -> None:
    async with build(start=at("2024-06-12T12:00")) as home:
        desk = JobDesk(home)
        job_id = await desk.begun("AAPL", "MSFT", schedule=AFTER_CLOSE, **SINCE)
        job = await after_run(desk, job_id, 1)
        *_, last = await desk.results(job_id)
        first = await days_told(desk, job_id)
        let_come(home, job.next_run_at)
        job = await after_run(desk, job_id, 2)
        second = await days_told(desk, job_id, acknowledgedCursor=last.cursor)
        let_come(home, job.next_run_at)
        await after_run(desk, job_id, 3)
        both = await days_told(desk, job_id)
        units = await desk.units(job_id)

    for symbol in ("AAPL", "MSFT"):
        assert (first[symbol][0], first[symbol][-1]) == ("2024-05-01", "2024-06-11")
        assert second[symbol] == ["2024-06-12"]
        assert both[symbol] == ["2024-06-12", "2024-06-13"]
    assert {unit.run for unit in units} == {3}
    assert [unit.bars for unit in units] == [1, 1]


async def test_runs_that_were_missed_while_the_server_was_down_are_made_up_for_by_one(
    build: Build,
) -> None:
    async with build(start=at("2024-06-12T12:00")) as home:
        desk = JobDesk(home)
        job_id = await desk.begun("AAPL", schedule=AFTER_CLOSE, **SINCE)
        await after_run(desk, job_id, 1)
        *_, last = await desk.results(job_id)

    async with build(start=at("2024-06-20T12:00")) as home:
        desk = JobDesk(home)
        job = await after_run(desk, job_id, 2)
        days = await days_told(desk, job_id, acknowledgedCursor=last.cursor)

    assert job.run == 2
    assert told(job.next_run_at) == "2024-06-20T20:30"
    # The 19th was a holiday.
    assert days["AAPL"] == [f"2024-06-{day}" for day in (12, 13, 14, 17, 18)]


async def test_runs_that_were_missed_during_a_pause_are_made_up_for_by_one(
    build: Build,
) -> None:
    async with build(start=at("2024-06-12T12:00")) as home:
        desk = JobDesk(home)
        job_id = await desk.begun("AAPL", schedule=AFTER_CLOSE, **SINCE)
        await after_run(desk, job_id, 1)
        await desk.pause(job_id)
        home.clock.advance(timedelta(days=2).total_seconds())
        still = await desk.get(job_id)
        await desk.resume(job_id)
        job = await after_run(desk, job_id, 2)

    assert (still.state, still.run) == (job_pb2.JOB_STATE_PAUSED, 1)
    assert job.run == 2
    assert told(job.next_run_at) == "2024-06-14T20:30"


async def test_a_pause_between_two_runs_changes_nothing(build: Build) -> None:
    async with build(start=at("2024-06-12T12:00")) as home:
        desk = JobDesk(home)
        job_id = await desk.begun("AAPL", schedule=AFTER_CLOSE, **SINCE)
        before = await after_run(desk, job_id, 1)
        await desk.pause(job_id)
        job = await desk.resume(job_id)

    assert job.state == SCHEDULED
    assert job.next_run_at == before.next_run_at
    assert job.run_ended_at == before.run_ended_at


async def test_what_fails_in_a_run_is_said_and_can_be_tried_again(
    build: Build,
) -> None:
    async with build(start=at("2024-06-12T12:00")) as home:
        desk = JobDesk(home)
        await home.fault("yahoo", "status_500", symbols=["MSFT"], count=100)
        job_id = await desk.begun("AAPL", "MSFT", schedule=AFTER_CLOSE, **SINCE)
        failed = await after_run(desk, job_id, 1)
        await home.mend("yahoo")
        home.clock.advance(60)
        again = await desk.retry(job_id)
        assert again.units == 1
        mended = await after_run(desk, job_id, 1)
        days = await days_told(desk, job_id)

    assert (failed.progress.landed, failed.progress.failed) == (1, 1)
    assert "of one unit nothing could be had" in failed.detail
    assert again.job.state == job_pb2.JOB_STATE_RUNNING
    assert not mended.detail
    assert mended.progress.landed == 2
    assert mended.next_run_at == failed.next_run_at
    assert days["AAPL"] == days["MSFT"]


async def test_what_failed_in_a_run_is_asked_for_again_by_the_next(
    build: Build,
) -> None:
    async with build(start=at("2024-06-12T12:00")) as home:
        desk = JobDesk(home)
        await home.fault("yahoo", "status_500", symbols=["MSFT"], count=100)
        job_id = await desk.begun("AAPL", "MSFT", schedule=AFTER_CLOSE, **SINCE)
        failed = await after_run(desk, job_id, 1)
        await home.mend("yahoo")
        let_come(home, failed.next_run_at)
        await after_run(desk, job_id, 2)
        days = await days_told(desk, job_id)

    assert days["MSFT"] == days["AAPL"]


async def test_a_job_that_is_cancelled_between_two_runs_never_runs_again(
    build: Build,
) -> None:
    async with build(start=at("2024-06-12T12:00")) as home:
        desk = JobDesk(home)
        job_id = await desk.begun("AAPL", schedule=AFTER_CLOSE, **SINCE)
        await after_run(desk, job_id, 1)
        cancelled = await desk.cancel(job_id)
        home.clock.advance(timedelta(days=3).total_seconds())
        with pytest.raises(RefusedError) as refused:
            await desk.resume(job_id)
        later = await desk.get(job_id)
        days = await days_told(desk, job_id)

    assert cancelled.state == later.state == job_pb2.JOB_STATE_CANCELLED
    assert not cancelled.HasField("next_run_at")
    assert later.run == 1
    assert later.progress.landed == 1
    assert refused.value.reason == "JOB_STATE_CONFLICT"
    assert len(days["AAPL"]) == 29


async def test_a_run_that_no_vendor_may_serve_says_so_and_the_next_brings_it_all(
    build: Build,
) -> None:
    async with build(start=at("2024-06-12T12:00")) as home:
        desk = JobDesk(home)
        job_id = await desk.begun("AAPL", schedule=AFTER_CLOSE, **SINCE)
        await after_run(desk, job_id, 1)

    gone = {"PROVIDERS__YAHOO__ENABLED": "false"}
    async with build(start=at("2024-06-13T12:00"), settings=gone) as home:
        desk = JobDesk(home)
        job = await after_run(desk, job_id, 2)
        (unit,) = await desk.units(job_id)

    async with build(start=at("2024-06-14T12:00")) as home:
        desk = JobDesk(home)
        mended = await after_run(desk, job_id, 3)
        days = await days_told(desk, job_id)

    assert "of one unit nothing could be had" in job.detail
    assert told(job.next_run_at) == "2024-06-13T20:30"
    assert unit.state == job_pb2.UNIT_STATE_FAILED
    assert "yahoo" in unit.last_reason
    assert not mended.detail
    assert days["AAPL"][-2:] == ["2024-06-12", "2024-06-13"]
