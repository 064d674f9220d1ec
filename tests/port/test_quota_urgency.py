"""Who waits for an answer passes who does not, and finds a share kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ingestion_server.app.mode import Mode
from tests.port.house import FREE, Build, House, one_call, until

AV = "alpha_vantage"
SYMBOLS = [f"SBX{number:04}" for number in range(1, 41)]
# Long enough that nothing comes free while a test looks, and short enough to wait for.
TEN = {"SANDBOX__ALPHA_VANTAGE_PLAN": "10per15s"}
FIVE = {"SANDBOX__ALPHA_VANTAGE_PLAN": "5per4s", "QUOTA__INTERACTIVE_SHARE": "0"}


def batch_of(symbols: list[str], **more: Any) -> dict[str, Any]:
    """Return a batch that Alpha Vantage answers with one call a symbol."""
    request = {**one_call(AV), "symbols": symbols, **more}
    del request["symbol"]
    return request


@asynccontextmanager
async def backlog(home: House) -> AsyncIterator[None]:
    """Keep batch calls waiting for Alpha Vantage while the block lasts."""
    task = asyncio.create_task(home.batch(timeout=19, **batch_of(SYMBOLS)))

    async def waits() -> bool:
        account = await home.account(AV)
        all_wait = account.waiting_batch == 8
        return all_wait and not (await home.window(AV, "pace")).reserved

    try:
        await until(waits)
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_batch_calls_never_take_the_share_that_is_kept(build: Build) -> None:
    async with build(settings=TEN) as home, backlog(home):
        pace = await home.window(AV, "pace")

        assert pace.kept_for_interactive == 1
        assert (pace.used, pace.remaining) == (9, 1)
        assert await home.calls(AV) == 9


async def test_the_kept_share_answers_at_once_while_batch_calls_wait(
    build: Build,
) -> None:
    async with build(settings=TEN) as home, backlog(home):
        answer = await home.fetch(**one_call(AV), timeout=5)

        assert answer.series.bars
        assert await home.calls(AV) == 10
        assert (await home.account(AV)).waiting_batch == 8


async def test_who_waits_passes_batch_calls_that_came_before(build: Build) -> None:
    async with build(settings=FIVE) as home, backlog(home):
        before = await home.calls(AV)
        answer = await home.fetch(**one_call(AV))
        after = await home.calls(AV)

        assert answer.series.bars
        assert before == 5
        # Of the next five, it was one; behind the eight that waited it would have
        # been the fourteenth.
        assert 6 <= after <= 10
        assert (await home.stats(AV))["violations"] == 0


async def test_a_fetch_may_say_that_it_is_not_urgent(build: Build) -> None:
    async with build(settings=FREE) as home:
        for _ in range(23):
            home.clock.advance(1.1)
            await home.fetch(**one_call(AV), priority="PRIORITY_BATCH")
        home.clock.advance(1.1)

        failed = await home.refused(**one_call(AV), priority="PRIORITY_BATCH")
        answer = await home.fetch(**one_call(AV))

        assert failed.facts["window"] == "day"
        assert answer.series.bars
        assert await home.calls(AV) == 24


async def test_a_batch_may_say_that_it_is_urgent(build: Build) -> None:
    async with build(settings=TEN) as home:
        results = await home.batch(
            **batch_of(SYMBOLS[:10], priority="PRIORITY_INTERACTIVE")
        )

        assert all(result.HasField("chunk") for result in results)
        assert await home.calls(AV) == 10


async def test_the_share_that_is_kept_can_be_set(build: Build) -> None:
    settings = {**FREE, "QUOTA__INTERACTIVE_SHARE": "0.4"}
    async with build(settings=settings, mode=Mode(sandbox=True)) as home:
        day = await home.window(AV, "day")

    assert day.kept_for_interactive == 10
