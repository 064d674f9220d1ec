"""Newest samples count most."""

from __future__ import annotations

import pytest

from tests.port.house import UNMETERED, Build, House, pinned, served_by
from tests.port.test_score import slow_fetch

AV = "alpha_vantage"
RAW = {"symbol": "MSFT", "limit": 5, "adjustment": "ADJUSTMENT_RAW"}
SETTINGS = {**UNMETERED, "RETRY__ATTEMPTS": "1", "CACHE__ENABLED": "false"}
MANY = 40
FEW = 6
PROBE_SECONDS = 10.5


async def who(home: House) -> str:
    """Fetch, and return who served."""
    return served_by(await home.fetch(**RAW))[0]


@pytest.mark.parametrize("past", [FEW, MANY])
async def test_few_slow_answers_outweigh_a_past_of_quick_ones_however_long(
    build: Build, past: int
) -> None:
    async with build(settings=SETTINGS) as home:
        assert {await who(home) for _ in range(past)} == {AV}
        await home.fault(AV, "latency", seconds=0.05)

        served = [await slow_fetch(home) for _ in range(FEW + 1)]

        assert served[-1] == "yahoo"


@pytest.mark.parametrize("past", [FEW, MANY])
async def test_few_quick_answers_outweigh_a_past_of_slow_ones_however_long(
    build: Build, past: int
) -> None:
    async with build(settings=SETTINGS) as home:
        await home.fault(AV, "latency", seconds=0.05)
        for _ in range(past):
            await slow_fetch(home, source_policy=pinned(AV))
        assert await who(home) == "yahoo"
        await home.mend(AV)

        for _ in range(FEW + 1):
            home.clock.advance(PROBE_SECONDS)
            await who(home)

        assert await who(home) == AV
