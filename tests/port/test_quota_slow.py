"""A vendor that answers slowly is not overrun by those who wait for a connection."""

from __future__ import annotations

import asyncio

import pytest

from tests.port.house import Build, one_call, until

AV = "alpha_vantage"
CALLERS = 200


# 200 calls of which 60 fit five seconds, and six seconds before: by the real clock,
# since what waits for what is decided by real connections.
@pytest.mark.timeout(60)
async def test_who_waits_for_a_connection_does_not_fall_out_of_the_window(
    build: Build,
) -> None:
    settings = {"SANDBOX__ALPHA_VANTAGE_PLAN": "60per5s"}
    async with build(settings=settings) as home, asyncio.timeout(39):
        await home.fault(AV, "latency", seconds=6, times=16)

        answers = await asyncio.gather(
            *(home.fetch(**one_call(AV), timeout=38) for _ in range(CALLERS))
        )

        stats = await home.stats(AV)
    assert all(answer.series.bars for answer in answers)
    assert stats["violations"] == 0
    assert stats["calls"] >= CALLERS


async def test_a_vendor_gets_its_share_of_the_connections(build: Build) -> None:
    settings = {"TRANSPORT__CONNECTIONS": "4", "SANDBOX__ALPHA_VANTAGE_PLAN": "75"}
    async with build(settings=settings) as home:
        await home.fault(AV, "latency", seconds=1, times=2)

        callers = [asyncio.create_task(home.fetch(**one_call(AV))) for _ in range(3)]
        await home.until_called(AV, 2)

        async def waits() -> bool:
            return (await home.account(AV)).waiting_interactive == 1

        await until(waits)
        assert await home.calls(AV) == 2
        for caller in callers:
            assert (await caller).series.bars
