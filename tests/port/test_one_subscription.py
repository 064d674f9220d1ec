"""One subscription, however many want it."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.port.house import Build, House, ordered, until
from tests.port.streaming import (
    BUSY,
    FINNHUB,
    FIRST,
    YAHOO,
    assert_all_arrived,
    listening,
    misnumbered,
)

LINGER = {"STREAM__LINGER_SECONDS": "0.3"}


@pytest.fixture
def usual() -> dict[str, str]:
    """Let something be heard all the time."""
    return {**BUSY, **FIRST}


async def messages(home: House, vendor: str = "finnhub") -> int:
    """Return how many messages have subscribed."""
    return int((await home.stats(vendor))["subscribe_messages"])


async def test_two_subscribers_are_one_subscription(home: House) -> None:
    async with (
        listening(home, "AAPL", **FINNHUB) as one,
        listening(home, "AAPL", **FINNHUB) as other,
    ):
        await one.more(20)
        await other.more(20)

        assert await messages(home) == 1
        stats = await home.stats("finnhub")
        assert stats["open_subscriptions"] == {"AAPL": 1}
        await assert_all_arrived(home, one, "AAPL")
        shared = {trade.sequence: trade for trade in one.trades}
        both = [trade for trade in other.trades if trade.sequence in shared]
        assert both
        assert all(shared[trade.sequence] == trade for trade in both)


async def test_twenty_subscribers_of_many_symbols_are_one_connection(
    home: House,
) -> None:
    symbols = [f"SBX{number:04}" for number in range(1, 11)]
    async with AsyncExitStack() as stack:
        listeners = [
            await stack.enter_async_context(
                listening(home, *symbols[number % 6 :], **FINNHUB)
            )
            for number in range(20)
        ]
        for listener in listeners:
            await listener.more(10)
            assert misnumbered(listener) == []

        stats = await home.stats("finnhub")
        assert stats["connections_opened"] == stats["open_connections"] == 1
        assert stats["subscribe_messages"] == len(symbols)
        assert stats["open_subscriptions"] == dict.fromkeys(symbols, 1)


async def test_who_reaches_a_vendor_by_another_route_shares_what_it_has(
    home: House,
) -> None:
    async with (
        listening(home, "AAPL", **FINNHUB) as pinned,
        listening(home, "AAPL") as free,
        listening(home, "AAPL", source_policy=ordered("finnhub", "yahoo")) as in_order,
    ):
        for listener in (pinned, free, in_order):
            await listener.more(20)
            assert {trade.provider for trade in listener.trades} == {"finnhub"}
            assert misnumbered(listener) == []

        assert await messages(home) == 1
        assert (await home.stats("finnhub"))["connections_opened"] == 1


async def test_the_subscription_stays_as_long_as_anybody_does(build: Build) -> None:
    async with build(settings={"STREAM__LINGER_SECONDS": "0.05"}) as home:
        async with listening(home, "AAPL", **FINNHUB) as stays:
            async with listening(home, "AAPL", "MSFT", **FINNHUB) as leaves:
                await leaves.more(10)

            async def left() -> bool:
                return "MSFT" not in (await home.stats("finnhub"))["open_subscriptions"]

            await until(left)
            await stays.more(20)
            await assert_all_arrived(home, stays, "AAPL")
            assert misnumbered(stays) == []

        async def nothing() -> bool:
            return not (await home.stats("finnhub"))["open_subscriptions"]

        await until(nothing)


async def test_one_who_comes_soon_after_the_last_one_left_subscribes_nothing_anew(
    home: House,
) -> None:
    async with listening(home, "AAPL", **FINNHUB) as listener:
        await listener.more()
    async with listening(home, "AAPL", **FINNHUB) as listener:
        await listener.more()

    assert await messages(home) == 1


async def test_a_symbol_that_was_given_up_can_be_had_again(build: Build) -> None:
    async with build(settings={"STREAM__LINGER_SECONDS": "0.05"}) as home:
        for _ in range(3):
            async with listening(home, "AAPL", **FINNHUB) as listener:
                await listener.more(10)
                assert misnumbered(listener) == []
                assert not listener.named("GAP")

            async def nothing() -> bool:
                return not (await home.stats("finnhub"))["open_subscriptions"]

            await until(nothing)


async def test_one_who_comes_later_begins_with_what_is_new(home: House) -> None:
    async with listening(home, "AAPL", **FINNHUB) as early:
        await early.more(40)
        known = early.trades[-1].sequence
        async with listening(home, "AAPL", **FINNHUB) as late:
            await late.more(5)

            assert late.named("SUBSCRIBED")
            assert late.trades[0].sequence > known
            assert not late.named("GAP")
            assert late.trades[0].sequence == late.named("SUBSCRIBED")[0].sequence + 1


async def test_yahoo_is_one_connection_too(home: House) -> None:
    quotes = {"kinds": ["TICK_KIND_QUOTES"]}
    async with (
        listening(home, "AAPL", **YAHOO) as trades,
        listening(home, "AAPL", **YAHOO, **quotes) as quoted,
        listening(home, "MSFT", **YAHOO) as other,
    ):
        await trades.more(2)
        await other.more(2)
        await quoted.until(lambda: quoted.quotes)

        stats = await home.stats("yahoo")
        assert stats["connections_opened"] == 1
        assert stats["open_subscriptions"] == {"AAPL": 1, "MSFT": 1}
