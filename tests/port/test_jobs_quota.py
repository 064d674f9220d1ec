"""A job whose vendor allows little a day ends by itself, days later, as foretold."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, timedelta

import pytest
from marketdata.ingestion.v1 import job_pb2

from tests.port.house import FREE, TWO_VENDORS, Build, House, pinned
from tests.port.job_desk import ENDED, JobDesk, bars_of

AV = "alpha_vantage"
SYMBOLS = [f"SBX{number}" for number in range(1000, 1070)]
RAW = {
    "start": "2024-06-03T00:00:00Z",
    "end": "2024-06-08T00:00:00Z",
    "adjustment": "ADJUSTMENT_RAW",
    "sourcePolicy": pinned(AV),
}


async def days_pass(home: House, desk: JobDesk, job_id: str) -> Sequence[job_pb2.Job]:
    """Let time pass until a job has ended; return it whenever it had to wait."""
    waits = []
    async with asyncio.timeout(90):
        while True:
            job = await desk.get(job_id)
            if job.state in ENDED:
                return [*waits, job]
            if job.state == job_pb2.JOB_STATE_PAUSED_QUOTA:
                waits.append(job)
                until = job.resumes_at.ToDatetime(UTC)
                left = until - home.clock.now() + timedelta(seconds=1)
                home.clock.advance(max(left.total_seconds(), 1))
                await desk.until(job_id, job_pb2.JOB_STATE_RUNNING, *ENDED)
            # One call a second is what the vendor allows.
            home.clock.advance(1)
            await asyncio.sleep(0.02)


async def test_a_job_over_a_vendor_with_25_calls_a_day_ends_when_it_was_foretold(
    build: Build,
) -> None:
    async with build(settings=FREE) as home:
        desk = JobDesk(home)
        began = home.clock.now()
        told = await desk.create(spec={"symbols": SYMBOLS, **RAW})
        foretold = told.plan.finishes_at.ToDatetime(UTC) - began

        *waits, job = await days_pass(home, desk, told.job.job_id)

        took = job.run_ended_at.ToDatetime(UTC) - began
        results = await desk.results(told.job.job_id)
        stats = await home.stats(AV)

    assert job.state == job_pb2.JOB_STATE_COMPLETED
    assert sorted(bars_of(results)) == SYMBOLS
    assert took > timedelta(days=2)
    assert took == pytest.approx(foretold, rel=0.05)
    assert len(waits) >= 2
    # Told on the way as well, and not only before it began.
    for wait in waits:
        left = wait.progress.finishes_at.ToDatetime(UTC) - began
        assert left == pytest.approx(took, rel=0.05)
        assert "alpha_vantage" in wait.detail
    # One call each, and none was refused.
    assert stats["calls"] == len(SYMBOLS)


async def test_a_job_that_waits_for_quota_can_be_paused_and_resumed(
    build: Build,
) -> None:
    async with build(settings=FREE) as home:
        desk = JobDesk(home)
        job_id = await desk.begun(*SYMBOLS, **RAW)
        while (await desk.get(job_id)).state == job_pb2.JOB_STATE_RUNNING:
            home.clock.advance(1)
            await asyncio.sleep(0.02)

        paused = await desk.pause(job_id)
        home.clock.advance(timedelta(days=2).total_seconds())
        still = await desk.get(job_id)
        await desk.resume(job_id)
        *_, job = await days_pass(home, desk, job_id)

    assert paused.state == still.state == job_pb2.JOB_STATE_PAUSED
    assert not still.HasField("resumes_at")
    assert job.state == job_pb2.JOB_STATE_COMPLETED


async def test_where_another_vendor_helps_out_the_end_is_told_as_it_will_be(
    build: Build,
) -> None:
    async with build(settings={**FREE, **TWO_VENDORS}) as home:
        desk = JobDesk(home)
        began = home.clock.now()
        wanted = {"symbols": SYMBOLS[:60], **RAW, "sourcePolicy": {}}
        told = await desk.create(spec=wanted)
        foretold = told.plan.finishes_at.ToDatetime(UTC) - began

        async with asyncio.timeout(90):
            while (job := await desk.get(told.job.job_id)).state not in ENDED:
                # At four times the pace of clocks, and no faster than calls are made.
                home.clock.advance(0.15)
                await asyncio.sleep(0.05)

        took = job.run_ended_at.ToDatetime(UTC) - began
        units = await desk.units(told.job.job_id)

    assert job.state == job_pb2.JOB_STATE_COMPLETED
    planned = {each.provider: each.units for each in told.plan.providers}
    served = Counter(name for unit in units for name in unit.providers)
    assert set(planned) == {AV, "yahoo"}
    assert planned == pytest.approx(served, abs=8)
    assert told.plan.calls == pytest.approx(job.progress.calls, rel=0.2)
    assert foretold < timedelta(minutes=2)
    assert took == pytest.approx(foretold, rel=0.5)
