"""A job over a vendor that tells bars of many symbols at once takes few calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from marketdata.ingestion.v1 import job_pb2

from ingestion_server.app.mode import Mode
from tests.port.house import Build, House, budget, pinned
from tests.port.job_desk import JobDesk, bars_of

IEX = "iex_cloud"
ON = {"PROVIDERS__IEX_CLOUD__ENABLED": "true"}
PRICED = ON | budget(IEX, price_per_unit_usd=0.001)
HUNDRED = [f"SBX{number}" for number in range(1000, 1100)]
MAY = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}
YEARS = {"start": "2019-06-12T00:00:00Z", "end": "2024-06-12T00:00:00Z"}
AUTUMN = {"start": "2023-09-01T00:00:00Z", "end": "2024-06-12T00:00:00Z"}
PINNED = {"sourcePolicy": pinned(IEX)}


async def by_path(home: House) -> Mapping[str, int]:
    """Return how often the simulated vendor was called, by the kind of call."""
    return (await home.stats(IEX))["by_path"]


async def messages(home: House) -> tuple[int, int]:
    """Return what the vendor counted, and what ListQuotas tells."""
    url = f"{home.sandbox_url}/stable/account/usage?token=sandbox-key"
    async with home.web.get(url) as reply:
        counted = int((await reply.json())["messages"]["monthlyUsage"])
    return counted, (await home.window(IEX, "month")).used


async def test_a_hundred_symbols_take_few_calls_and_have_the_bars_of_single_fetches(
    build: Build,
) -> None:
    async with build(settings=ON) as home:
        desk = JobDesk(home)
        job_id = await desk.begun(*HUNDRED, **MAY, **PINNED)
        job = await desk.ended(job_id)
        bars = bars_of(await desk.results(job_id))
        calls = await by_path(home)
    async with build(settings=ON) as home:
        alone = {
            symbol: await home.fetch(symbol=symbol, **MAY, source_policy=pinned(IEX))
            for symbol in HUNDRED[::9]
        }

    assert job.state == job_pb2.JOB_STATE_COMPLETED
    assert calls.keys() == {"batch"}
    # Two are enough, if the disk does not hold up the second; with eight units at a
    # time there would be thirteen.
    assert calls["batch"] <= 10
    assert job.progress.calls == calls["batch"]
    assert sorted(bars) == HUNDRED
    for symbol, answer in alone.items():
        assert bars[symbol] == {
            bar.open_time.ToNanoseconds(): (
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.volume,
            )
            for bar in answer.series.bars
        }


async def test_what_a_plan_says_it_costs_is_what_the_vendor_counts(
    build: Build,
) -> None:
    spec = {"symbols": HUNDRED, **AUTUMN, **PINNED}
    async with build(settings=PRICED) as home:
        desk = JobDesk(home)
        plan = (await desk.create(spec=spec, dryRun=True)).plan
        told = await desk.create(spec=spec)
        job = await desk.ended(told.job.job_id)
        units = await desk.units(told.job.job_id)
        calls = (await by_path(home))["batch"]
        counted, listed = await messages(home)

    # One piece each: a chart costs by how far back it begins, so two would cost more.
    assert plan.units == len(units) == len(HUNDRED)
    assert plan.calls == 2
    assert counted == listed == round(plan.cost_usd * 1000)
    assert job.progress.cost_usd == pytest.approx(plan.cost_usd)
    assert job.progress.calls == calls


async def test_years_are_one_piece_and_so_many_share_a_call_as_can_be_read(
    build: Build,
) -> None:
    async with build(settings=PRICED) as home:
        desk = JobDesk(home)
        told = await desk.create(spec={"symbols": HUNDRED[:30], **YEARS, **PINNED})
        job = await desk.ended(told.job.job_id)
        counted, listed = await messages(home)
        calls = await by_path(home)

    assert (told.plan.units, told.plan.calls) == (30, 2)
    assert job.state == job_pb2.JOB_STATE_COMPLETED
    assert calls.get("chart", 0) + calls["batch"] <= 5
    # Holidays of years ago are not known when the call is weighed, and none is told.
    assert listed == round(told.plan.cost_usd * 1000)
    assert 0.95 * listed < counted <= listed


async def test_a_symbol_that_the_vendor_does_not_know_fails_alone(
    build: Build,
) -> None:
    symbols = [*HUNDRED[:20], "NONSUCH", *HUNDRED[20:40]]
    async with build(settings=ON) as home:
        desk = JobDesk(home)
        job_id = await desk.begun(*symbols, **MAY, **PINNED)
        job = await desk.ended(job_id)
        failed = await desk.units(job_id, [job_pb2.UNIT_STATE_FAILED])
        bars = bars_of(await desk.results(job_id))
        calls = await by_path(home)

    assert job.state == job_pb2.JOB_STATE_INCOMPLETE
    assert [unit.symbol for unit in failed] == ["NONSUCH"]
    assert failed[0].last_reason.startswith("SYMBOL_UNKNOWN")
    assert sorted(bars) == HUNDRED[:40]
    assert calls["batch"] <= 5


async def test_a_call_that_fails_is_made_again_for_all(build: Build) -> None:
    async with build(settings=ON) as home:
        desk = JobDesk(home)
        await home.fault(IEX, "status_500", times=1)
        job_id = await desk.begun(*HUNDRED[:40], **MAY, **PINNED)
        job = await desk.ended(job_id)
        units = await desk.units(job_id)
        calls = await by_path(home)

    assert job.state == job_pb2.JOB_STATE_COMPLETED
    # By the policies of one call: no unit had to be tried a second time.
    assert {unit.attempts for unit in units} == {1}
    assert 2 <= calls["batch"] <= 6
    assert job.progress.calls == calls["batch"]


async def test_a_job_that_is_cancelled_takes_nothing_from_another(
    build: Build,
) -> None:
    async with build(settings=ON) as home:
        desk = JobDesk(home)
        await home.fault(IEX, "latency", seconds=0.5, times=2)
        ours, theirs = await asyncio.gather(
            desk.begun(*HUNDRED[:20], **MAY, **PINNED),
            desk.begun(*HUNDRED[20:40], **MAY, **PINNED),
        )
        await home.until_called(IEX)
        cancelled = await desk.cancel(theirs)
        job = await desk.ended(ours)
        bars = bars_of(await desk.results(ours))

    assert cancelled.state == job_pb2.JOB_STATE_CANCELLED
    assert job.state == job_pb2.JOB_STATE_COMPLETED
    assert sorted(bars) == HUNDRED[:20]


async def test_the_symbols_of_a_batch_share_calls_if_they_are_in_no_hurry(
    build: Build,
) -> None:
    request = {"symbols": HUNDRED[:8], "source_policy": pinned(IEX), **MAY}
    async with build(settings=ON) as home:
        patient = await home.batch(priority="PRIORITY_BATCH", **request)
        calls = await by_path(home)
    async with build(settings=ON) as home:
        hasty = await home.batch(priority="PRIORITY_INTERACTIVE", **request)
        single = await by_path(home)

    assert calls.keys() == {"batch"}
    assert single == {"chart": 8}
    found = {each.symbol: each.chunk for each in patient}
    assert {each.symbol: each.chunk.series for each in hasty} == {
        symbol: chunk.series for symbol, chunk in found.items()
    }
    attempts = [chunk.attempts[0] for chunk in found.values()]
    assert sum(attempt.calls for attempt in attempts) == calls["batch"]
    assert all(attempt.calls or attempt.shared for attempt in attempts)


async def test_what_is_recorded_can_be_replayed_so_nothing_is_shared(
    build: Build, tmp_path: Path
) -> None:
    symbols = HUNDRED[:4]
    async with build(settings=ON, mode=Mode(sandbox=True, record=tmp_path)) as home:
        desk = JobDesk(home)
        job_id = await desk.begun(*symbols, **MAY, **PINNED)
        await desk.ended(job_id)
        live = bars_of(await desk.results(job_id))
    async with build(settings=ON, mode=Mode(replay=tmp_path)) as home:
        answer = await home.fetch(symbol=symbols[0], **MAY, source_policy=pinned(IEX))

    assert sorted(live) == symbols
    assert [bar.close for bar in answer.series.bars] == [
        prices[3] for _, prices in sorted(live[symbols[0]].items())
    ]
