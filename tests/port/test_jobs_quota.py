"""A job whose vendor allows little a day ends by itself, days later, as foretold."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, timedelta

import pytest
from marketdata.ingestion.v1 import job_pb2

from tests.port.house import FREE, TWO_VENDORS, UNMETERED, Build, House, pinned
from tests.port.job_desk import ENDED, JobDesk, bars_of

AV = "alpha_vantage"
SYMBOLS = [f"SBX{number}" for number in range(1000, 1070)]
RAW = {
    "start": "2024-06-03T00:00:00Z",
    "end": "2024-06-08T00:00:00Z",
    "adjustment": "ADJUSTMENT_RAW",
    "sourcePolicy": pinned(AV),
}

SCARCE_AND_PLENTY = {
    **UNMETERED,
    **FREE,
    **TWO_VENDORS,
    "REGISTRY__PROBE_SECONDS": "0",
}
"""Alpha Vantage with 25 calls a day, and Yahoo with as many as one likes."""


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


async def moved_on(
    home: House, desk: JobDesk, job_id: str, minutes: int = 24 * 60
) -> job_pb2.Job:
    """Let time pass until a job has ended or waits, or for so many minutes."""
    until = home.clock.now() + timedelta(minutes=minutes)
    async with asyncio.timeout(60):
        while home.clock.now() < until:
            home.clock.advance(1)
            await asyncio.sleep(0.01)
            job = await desk.get(job_id)
            if job.state != job_pb2.JOB_STATE_RUNNING:
                break
    return job


async def test_units_whose_vendor_has_no_quota_hold_up_no_others(build: Build) -> None:
    async with build(settings=SCARCE_AND_PLENTY) as home:
        desk = JobDesk(home)
        # Of minutes, Yahoo has the latest 30 days.
        job_id = await desk.begun(
            *SYMBOLS[:10],
            interval="INTERVAL_1_MINUTE",
            start="2024-03-01T00:00:00Z",
            end="2024-06-08T00:00:00Z",
            adjustment="ADJUSTMENT_RAW",
        )

        job = await moved_on(home, desk, job_id)
        units = await desk.units(job_id)

    assert job.state == job_pb2.JOB_STATE_PAUSED_QUOTA
    assert AV in job.detail
    latest = [unit for unit in units if unit.start.ToDatetime(UTC).month == 6]
    assert {unit.symbol for unit in latest} == set(SYMBOLS[:10])
    assert {unit.state for unit in latest} == {job_pb2.UNIT_STATE_LANDED}
    waiting = [unit for unit in units if unit.state == job_pb2.UNIT_STATE_PENDING]
    assert waiting
    first = min(unit.retry_at.ToNanoseconds() for unit in waiting)
    assert job.resumes_at.ToNanoseconds() == first
    assert all(unit.last_reason.startswith("QUOTA_EXHAUSTED: ") for unit in waiting)
    assert job.progress.failed == job.progress.partial == 0


async def test_a_unit_whose_quota_ends_halfway_goes_on_the_next_day(
    build: Build,
) -> None:
    async with build(settings=SCARCE_AND_PLENTY) as home:
        desk = JobDesk(home)
        await home.fault("yahoo", "not_found")
        # Two years of hours are a call of Yahoo, and 24 calls of Alpha Vantage.
        told = await desk.create(
            spec={
                "symbols": SYMBOLS[:2],
                "interval": "INTERVAL_1_HOUR",
                "start": "2022-07-05T00:00:00Z",
                "end": "2024-06-08T00:00:00Z",
                "adjustment": "ADJUSTMENT_RAW",
                "sourcePolicy": {
                    "providers": ["yahoo", AV],
                    "mode": "MODE_ORDERED",
                },
            }
        )
        job_id = told.job.job_id
        waiting = await moved_on(home, desk, job_id)
        halfway = await desk.units(job_id)
        *_, job = await days_pass(home, desk, job_id)
        results = bars_of(await desk.results(job_id))
        made = (await home.stats(AV))["calls"] + (await home.stats("yahoo"))["calls"]

    assert waiting.state == job_pb2.JOB_STATE_PAUSED_QUOTA
    assert {unit.state for unit in halfway} == {job_pb2.UNIT_STATE_PENDING}
    assert {unit.attempts for unit in halfway} == {0}
    assert sum(unit.bars for unit in halfway) > 0
    assert job.state == job_pb2.JOB_STATE_COMPLETED
    assert sorted(results) == SYMBOLS[:2]
    assert len({len(bars) for bars in results.values()}) == 1
    assert job.progress.calls == made


async def test_a_vendor_that_is_down_while_another_has_no_quota_fails_no_unit(
    build: Build,
) -> None:
    async with build(settings=SCARCE_AND_PLENTY) as home:
        desk = JobDesk(home)
        await home.fault("yahoo", "status_500")
        job_id = await desk.begun(*SYMBOLS[:40], **{**RAW, "sourcePolicy": {}})

        began = home.clock.now()
        while home.clock.now() < began + timedelta(minutes=30):
            home.clock.advance(10)
            await asyncio.sleep(0.02)
        down = await desk.get(job_id)
        await home.mend("yahoo")
        async with asyncio.timeout(60):
            while (job := await desk.get(job_id)).state not in ENDED:
                home.clock.advance(10)
                await asyncio.sleep(0.02)
        took = job.run_ended_at.ToDatetime(UTC) - began

    assert (down.progress.failed, down.progress.partial) == (0, 0)
    assert down.progress.landed < 40
    assert job.state == job_pb2.JOB_STATE_COMPLETED
    # Nobody waited for the quota of the next day.
    assert took < timedelta(hours=2)
