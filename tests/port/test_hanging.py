"""A vendor that hangs is left before any of its calls has timed out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.port.house import UNMETERED, Build, House, served_by

AV = "alpha_vantage"
QUIET = {**UNMETERED, "RETRY__ATTEMPTS": "1", "HEDGE__SHARE": "0"}
"""Nobody is asked only because another is slow, which would hide it for a while."""
USUAL = ("MSFT", "AAPL", "NVDA", "AMZN", "META")
HUNG = ("GOOGL", "TSLA", "JPM", "KO")
LATER = ("IBM", "ORCL", "INTC")
PATIENCE_SECONDS = 1.5
"""More than thrice what answers took, and far less than the 10 s of a call."""


async def who(home: House, symbol: str) -> str:
    """Fetch what nobody asked for before, and return who served."""
    answer = await home.fetch(symbol=symbol, limit=5, adjustment="ADJUSTMENT_RAW")
    return served_by(answer)[0]


async def hanging(home: House, symbols: Sequence[str]) -> list[asyncio.Task[str]]:
    """Let the first vendor hang, and send it a call for each symbol."""
    await home.fault(AV, "hang")
    before = await home.calls(AV)
    tasks = [asyncio.create_task(who(home, symbol)) for symbol in symbols]
    await home.until_called(AV, before + len(symbols))
    return tasks


@pytest.mark.parametrize("used", [USUAL, ()], ids=["known", "new"])
async def test_traffic_leaves_who_hangs_though_no_call_has_timed_out(
    build: Build, used: Sequence[str]
) -> None:
    async with build(settings=QUIET) as home:
        assert {await who(home, symbol) for symbol in used} <= {AV}
        tasks = await hanging(home, (*HUNG, *LATER)[: 4 if used else 6])
        asked = await home.calls(AV)
        home.clock.advance(PATIENCE_SECONDS if used else 2.6)

        served = [await who(home, symbol) for symbol in ("XOM", "PFE", "DIS")]

        assert served == ["yahoo"] * 3
        assert await home.calls(AV) == asked
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_calls_that_are_only_young_drive_nobody_away(build: Build) -> None:
    async with build(settings=QUIET) as home:
        assert {await who(home, symbol) for symbol in USUAL} == {AV}
        tasks = await hanging(home, HUNG)
        await home.mend(AV)

        assert await who(home, "XOM") == AV

        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
