"""A stream that broke goes on where it was, or says what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from marketdata.ingestion.v1 import stream_pb2

from tests.port.house import Build, House, until
from tests.port.streaming import (
    BUSY,
    FINNHUB,
    FIRST,
    Listener,
    facts,
    listening,
    misnumbered,
    sent,
    span,
)

Trade = stream_pb2.Trade


@pytest.fixture
def usual() -> dict[str, str]:
    """Let something be heard all the time."""
    return {**BUSY, **FIRST}


def after_message(listener: Listener, count: int) -> tuple[bytes, list[Trade]]:
    """Return the token of an early message, and the trades that were told by then."""
    told: list[Trade] = []
    for message in listener.messages[:count]:
        told += message.trades
    return listener.tokens[count - 1], told


def numbers(trades: Sequence[Trade], symbol: str) -> list[int]:
    """Return the numbers of a symbol's trades."""
    return [trade.sequence for trade in trades if trade.symbol == symbol]


async def test_every_message_with_data_says_where_to_go_on(home: House) -> None:
    async with listening(home, "AAPL", **FINNHUB) as listener:
        await listener.more(20)

    assert all(message.resume_token for message in listener.messages if message.trades)
    assert all(len(message.resume_token) <= 64 for message in listener.messages)


async def test_a_token_brings_exactly_what_came_in_between(home: House) -> None:
    symbols = ("AAPL", "MSFT")
    async with listening(home, *symbols, **FINNHUB) as witness:
        await witness.more(40)
        async with listening(home, *symbols, **FINNHUB) as first:
            await first.more(20)
        await witness.more(60)

        async with listening(
            home, *symbols, resume_token=first.token, **FINNHUB
        ) as again:
            await again.more(80)
            for symbol in symbols:
                before = numbers(first.trades, symbol)
                after = numbers(again.trades, symbol)
                whole = before + after
                assert whole == list(range(whole[0], whole[0] + len(whole)))
            assert not again.named("GAP")

            known = {(t.symbol, t.sequence): t for t in witness.trades}
            for trade in again.trades:
                same = known.get((trade.symbol, trade.sequence))
                assert same is None or same == trade


@pytest.mark.parametrize("count", [1, 2, 5, 9])
async def test_the_token_of_any_message_goes_on_after_just_that(
    home: House, count: int
) -> None:
    async with listening(home, "AAPL", "MSFT", **FINNHUB) as first:
        await first.until(lambda: len(first.messages) >= 12)
        token, told = after_message(first, count)
        rest = [(t.symbol, t.sequence) for t in first.trades[len(told) :]]

        async with listening(
            home, "AAPL", "MSFT", resume_token=token, **FINNHUB
        ) as again:
            await again.until(lambda: len(again.trades) >= len(rest))
            for symbol in ("AAPL", "MSFT"):
                mine = numbers(again.trades, symbol)
                theirs = [number for name, number in rest if name == symbol]
                assert mine[: len(theirs)] == theirs
            assert misnumbered(again) == []


async def test_who_comes_back_before_the_symbol_is_given_up_misses_nothing(
    home: House,
) -> None:
    async with listening(home, "AAPL", **FINNHUB) as first:
        await first.more(20)
    told = len(await sent(home, "AAPL"))

    async def more() -> bool:
        return len(await sent(home, "AAPL")) >= told + 20

    await until(more)
    async with listening(home, "AAPL", resume_token=first.token, **FINNHUB) as again:
        await again.more(40)
        whole = numbers([*first.trades, *again.trades], "AAPL")
        assert whole == list(range(whole[0], whole[0] + len(whole)))
        assert not again.named("GAP")
        so_far = facts([*first.trades, *again.trades])
        truth = await sent(home, "AAPL")
        assert sorted(so_far) == sorted(truth[: len(so_far)])


async def test_who_comes_back_after_the_symbol_was_given_up_is_told_of_a_gap(
    build: Build,
) -> None:
    async with build(settings={"STREAM__LINGER_SECONDS": "0.05"}) as home:
        async with listening(home, "AAPL", **FINNHUB) as first:
            await first.more(20)

        async def nothing() -> bool:
            return not (await home.stats("finnhub"))["open_subscriptions"]

        await until(nothing)
        async with listening(
            home, "AAPL", resume_token=first.token, **FINNHUB
        ) as again:
            await again.more(10)
            assert again.named("GAP", "AAPL")
            assert again.named("SUBSCRIBED", "AAPL")
            gap = again.named("GAP", "AAPL")[0]
            assert gap.cause
            place = again.order.index(gap)
            assert not any(isinstance(e, Trade) for e in again.order[:place])


async def test_a_token_of_another_start_of_the_server_begins_with_a_gap(
    build: Build,
) -> None:
    async with build() as home, listening(home, "AAPL", **FINNHUB) as first:
        await first.more(10)
    async with (
        build() as home,
        listening(home, "AAPL", "MSFT", resume_token=first.token, **FINNHUB) as again,
    ):
        await again.more(20)

        assert {gap.symbol for gap in again.named("GAP")} == {"AAPL", "MSFT"}
        gap = again.named("GAP", "AAPL")[0]
        assert gap.HasField("from")
        assert gap.cause
        assert misnumbered(again) == []


@pytest.mark.parametrize("token", [b"x", b"no token of ours at all"])
async def test_what_is_no_token_is_refused(home: House, token: bytes) -> None:
    async with listening(home, "AAPL", resume_token=token, **FINNHUB) as listener:
        failed = await listener.ended()

    assert failed.reason == "INVALID_QUERY"
    assert failed.fields == {"resume_token"}


async def test_a_token_of_the_right_form_that_nobody_gave_begins_with_a_gap(
    home: House,
) -> None:
    token = b"\1" + b"\xff" * 24
    async with listening(home, "AAPL", resume_token=token, **FINNHUB) as listener:
        await listener.more(5)

    assert listener.named("GAP", "AAPL")
    assert misnumbered(listener) == []


async def test_what_is_no_longer_kept_is_declared(build: Build) -> None:
    settings = {"STREAM__REPLAY_ITEMS": "30"}
    async with (
        build(settings=settings) as home,
        listening(home, "AAPL", **FINNHUB) as first,
    ):
        await first.until(lambda: len(first.messages) >= 3)
        token, told = after_message(first, 3)
        await first.more(120)
        async with listening(home, "AAPL", resume_token=token, **FINNHUB) as again:
            await again.more(40)

            assert again.named("GAP", "AAPL")
            gap = again.named("GAP", "AAPL")[0]
            start, end = span(gap)
            assert start <= facts(told)[-1].time_ms + 1_000
            assert end <= facts(again.trades)[0].time_ms + 1
            assert misnumbered(again) == []


async def test_the_token_of_a_heartbeat_goes_on_there_too(home: House) -> None:
    async with listening(home, "AAPL", heartbeat_interval="0.1s", **FINNHUB) as first:
        await first.until_told("HEARTBEAT", 3)
        await first.more(5)
    async with listening(home, "AAPL", resume_token=first.token, **FINNHUB) as again:
        await again.more(20)

    whole = numbers([*first.trades, *again.trades], "AAPL")
    assert whole == list(range(whole[0], whole[0] + len(whole)))
