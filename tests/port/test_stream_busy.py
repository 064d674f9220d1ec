"""A gap of a busy share at the end of a long list is filled, and takes few calls."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.port.house import Build, House
from tests.port.streaming import FINNHUB, HASTY, Fact, facts, listening, misnumbered

AN_HOUR_ON = datetime(2024, 6, 12, 5, 0, tzinfo=UTC)
"""An hour after midnight in New York, in which a busy share is traded often."""
BUSY = {"SANDBOX__TRADES_PER_SECOND": "200"}
PAGE = 25_000
ONE_TRY = 2
"""Calls that find a gap at the end of a long day: the first page, and the last."""
TRIES = 3


@pytest.fixture
def usual() -> dict[str, str]:
    """Let a lost connection be back soon, and the day be long already."""
    return {**HASTY, **BUSY}


async def asked(home: House) -> int:
    """Return how often the vendor was asked for past trades."""
    return int((await home.stats("finnhub"))["by_path"].get("/stock/tick", 0))


async def page(home: House, skip: int, limit: int) -> dict[str, Any]:
    """Return a page of the day's trades, as another caller gets it."""
    params = {
        "symbol": "AAPL",
        "date": AN_HOUR_ON.date().isoformat(),
        "limit": str(limit),
        "skip": str(skip),
        "token": "onlooker",
    }
    url = f"{home.sandbox_url}/api/v1/stock/tick"
    async with home.web.get(url, params=params) as reply:
        assert reply.status == 200, await reply.text()
        told: dict[str, Any] = await reply.json()
        return told


async def newest(home: House) -> list[Fact]:
    """Return the last trades of the day so far."""
    total = (await page(home, 0, 1))["total"]
    assert total > 20 * PAGE
    told = await page(home, total - PAGE // 2, PAGE)
    return [Fact(*row) for row in zip(told["t"], told["p"], told["v"], strict=True)]


async def test_a_gap_at_the_end_of_a_long_day_of_a_busy_share_is_filled(
    build: Build,
) -> None:
    async with (
        build(start=AN_HOUR_ON) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.more(60)
        await home.fault("finnhub", "refuse", status=503)
        await home.fault("finnhub", "disconnect")
        home.clock.advance(5)
        await home.mend("finnhub")
        await listener.until_told("BACKFILLED")
        calls = await asked(home)
        await listener.more(10)

        (filled,) = listener.named("BACKFILLED")
        assert filled.verified
        assert filled.count > 300
        assert ONE_TRY <= calls <= TRIES * ONE_TRY
        heard = facts(listener.trades)
        first, last = min(heard).time_ms, max(heard).time_ms
        truth = Counter(
            fact for fact in await newest(home) if first < fact.time_ms < last
        )
        told = Counter(fact for fact in heard if first < fact.time_ms < last)
        assert told == truth
        assert misnumbered(listener) == []


async def test_a_gap_that_holds_more_than_it_is_worth_stands_and_costs_few_calls(
    build: Build,
) -> None:
    async with (
        build(start=AN_HOUR_ON) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.more(60)
        await home.fault("finnhub", "refuse", status=503)
        await home.fault("finnhub", "disconnect")
        home.clock.advance(1_500)
        await home.mend("finnhub")
        await listener.until_told("GAP")
        await home.until_called("finnhub", 3)
        await listener.more(60)

        assert not listener.named("BACKFILLED")
        assert not any(trade.backfilled for trade in listener.trades)
        assert await asked(home) <= 3
