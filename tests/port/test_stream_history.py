"""History comes before a symbol's live bars, and holds up nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from marketdata.ingestion.v1 import bar_pb2, stream_pb2

from tests.port.house import Build, House
from tests.port.streaming import FINNHUB, FIRST, Listener, listening, misnumbered

MINUTE = timedelta(minutes=1)
OPEN = datetime(2024, 6, 12, 15, 0, 50, tzinfo=UTC)
"""Ten seconds before a minute is over, in regular hours of New York."""
FORMING = OPEN.replace(second=0)
EARLIER = FORMING - 20 * MINUTE
BARS = {"kinds": ["TICK_KIND_BARS"], "session": "SESSION_REGULAR", **FINNHUB}
BOTH = {**BARS, "kinds": ["TICK_KIND_TRADES", "TICK_KIND_BARS"]}
PARTIAL, FINAL = bar_pb2.BAR_STATE_PARTIAL, bar_pb2.BAR_STATE_FINAL
BEHIND = {"seconds": 2.0}
"""How late the vendor answers where a history is to be waited for."""
_Bar = stream_pb2.LiveBar


@pytest.fixture
def usual() -> dict[str, str]:
    """Let bars be told often, and be over soon."""
    return {
        **FIRST,
        "SANDBOX__TRADES_PER_SECOND": "10",
        "SANDBOX__FINNHUB_PING_SECONDS": "0.2",
        "STREAM__SILENCE_SECONDS": "3600",
        "STREAM__STALE_SECONDS": "3600",
        "STREAM__GRACE_SECONDS": "0.2",
        "STREAM__BAR_SECONDS": "0.05",
    }


def stamp(when: datetime) -> str:
    """Return a moment as JSON has it."""
    return when.isoformat().replace("+00:00", "Z")


def since(listener: Listener, symbol: str) -> list[_Bar]:
    """Return what was told of a symbol's bars, in order."""
    return [told.bar for told in listener.bars if told.bar.symbol == symbol]


def opened(bars: Sequence[_Bar]) -> list[datetime]:
    """Return when bars open, each once, in the order in which they were told first."""
    return list(dict.fromkeys(bar.open_time.ToDatetime(UTC) for bar in bars))


def minutes(start: datetime, count: int) -> list[datetime]:
    """Return so many minutes, one after the other."""
    return [start + number * MINUTE for number in range(count)]


def latest(listener: Listener, when: datetime, symbol: str = "AAPL") -> _Bar | None:
    """Return how a bar was told last."""
    told = [
        bar for bar in since(listener, symbol) if bar.open_time.ToDatetime(UTC) == when
    ]
    return told[-1] if told else None


async def minute_later(home: House, listener: Listener) -> None:
    """Let a minute pass in steps, and let the trades of each be heard."""
    for _ in range(3):
        count = len(listener.bars)
        home.clock.advance(20)
        await listener.until(lambda: len(listener.bars) > count)  # noqa: B023 - awaited here


async def test_a_symbol_whose_history_is_late_holds_up_no_other(
    build: Build,
) -> None:
    symbols = ("AAPL", "MSFT")
    async with (
        build(start=OPEN) as home,
        listening(home, *symbols, **BARS) as witness,
    ):
        await witness.until(lambda: {t.bar.symbol for t in witness.bars} == {*symbols})
        await home.fault("finnhub", "latency", symbols=["MSFT"], **BEHIND)
        async with listening(home, *symbols, start=stamp(EARLIER), **BARS) as listener:
            await listener.until(lambda: FORMING in opened(since(listener, "AAPL")))
            await listener.until(lambda: len(since(listener, "AAPL")) > 25)
            assert since(listener, "MSFT") == []

            await listener.until(lambda: len(since(listener, "MSFT")) > 25)
            assert misnumbered(listener) == []
            for symbol in symbols:
                told = since(listener, symbol)
                assert opened(told)[:21] == minutes(EARLIER, 21)
                assert told[20].state == PARTIAL


async def test_trades_do_not_wait_for_history(build: Build) -> None:
    async with build(start=OPEN) as home, listening(home, "AAPL", **BOTH) as witness:
        await witness.until(lambda: witness.bars)
        await home.fault("finnhub", "latency", **BEHIND)
        async with listening(home, "AAPL", start=stamp(EARLIER), **BOTH) as listener:
            await listener.more(5)
            assert listener.bars == []
            await listener.until(lambda: len(listener.bars) > 25)

            assert opened(since(listener, "AAPL"))[:21] == minutes(EARLIER, 21)
            assert misnumbered(listener) == []
            same = {trade.sequence: trade for trade in witness.trades}
            for trade in listener.trades:
                assert same.get(trade.sequence, trade) == trade


async def test_heartbeats_come_while_history_is_awaited(build: Build) -> None:
    async with build(start=OPEN) as home, listening(home, "AAPL", **BARS) as witness:
        await witness.until(lambda: witness.bars)
        await home.fault("finnhub", "latency", **BEHIND)
        async with listening(
            home, "AAPL", start=stamp(EARLIER), heartbeat_interval="0.1s", **BARS
        ) as listener:
            await listener.until_told("HEARTBEAT", 3)
            assert listener.bars == []
            assert listener.named("SUBSCRIBED") == []


async def test_who_breaks_off_before_history_was_told_gets_it_and_misses_no_trade(
    build: Build,
) -> None:
    start = stamp(EARLIER)
    async with build(start=OPEN) as home, listening(home, "AAPL", **BOTH) as witness:
        await witness.until(lambda: witness.bars)
        await home.fault("finnhub", "latency", **BEHIND)
        async with listening(home, "AAPL", start=start, **BOTH) as first:
            await first.more(5)
        assert first.token
        assert first.bars == []
        await witness.more(20)
        async with listening(
            home, "AAPL", start=start, resume_token=first.token, **BOTH
        ) as again:
            await again.more(40)
            await again.until(lambda: len(again.bars) > 25)

            numbers = [t.sequence for t in (*first.trades, *again.trades)]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert opened(since(again, "AAPL"))[:21] == minutes(EARLIER, 21)
            assert misnumbered(again) == []
            assert not again.named("GAP")


async def test_who_comes_back_after_history_was_told_goes_on_with_the_next_bar(
    build: Build,
) -> None:
    start = stamp(EARLIER)
    async with build(start=OPEN) as home, listening(home, "AAPL", **BOTH) as witness:
        await witness.until(lambda: witness.bars)
        async with listening(home, "AAPL", start=start, **BOTH) as first:
            await first.until(lambda: len(first.bars) > 25)
        seen = witness.bars[-1].bar.sequence
        await witness.until(lambda: witness.bars[-1].bar.sequence > seen + 5)
        async with listening(
            home, "AAPL", start=start, resume_token=first.token, **BOTH
        ) as again:
            await again.until(lambda: len(again.bars) > 10)

    for of in ("bars", "trades"):
        told = [*getattr(first, of), *getattr(again, of)]
        numbers = [getattr(each, "bar", each).sequence for each in told]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_bars_that_were_built_here_are_told_with_history_as_they_are(
    build: Build,
) -> None:
    whole = FORMING + MINUTE
    async with build(start=OPEN) as home, listening(home, "AAPL", **BARS) as first:
        await first.until(lambda: first.bars)
        for _ in range(3):
            await minute_later(home, first)
        await first.until(
            lambda: (bar := latest(first, whole)) is not None and bar.state == FINAL
        )
        ours = latest(first, whole)
        async with listening(home, "AAPL", start=stamp(EARLIER), **BARS) as second:
            await second.until(lambda: latest(second, FORMING + 3 * MINUTE))

            told = since(second, "AAPL")
            assert opened(told)[:23] == minutes(EARLIER, 23)
            joined = next(b for b in told if b.open_time.ToDatetime(UTC) == whole)
            assert ours is not None
            assert (joined.state, joined.derived) == (FINAL, True)
            assert (joined.open, joined.close) == (ours.open, ours.close)
            assert joined.trade_count == ours.trade_count
            assert misnumbered(second) == []


async def test_who_joins_is_told_the_forming_bar_as_it_stands(build: Build) -> None:
    rare = {"STREAM__BAR_SECONDS": "60"}
    async with (
        build(start=OPEN, settings=rare) as home,
        listening(home, "AAPL", **BOTH) as first,
    ):
        await first.until(lambda: first.bars)
        await first.more(20)
        async with listening(home, "AAPL", **BARS) as second:
            await second.until(lambda: second.bars)

            (bar,) = since(second, "AAPL")
            (begun,) = second.named("SUBSCRIBED")
            assert bar.state == PARTIAL
            assert bar.open_time.ToDatetime(UTC) == FORMING
            assert bar.trade_count > first.bars[-1].bar.trade_count
            assert begun.sequence == bar.sequence - 1
            assert second.messages[0].bars
            assert second.token

            home.clock.advance(60)
            whole = FORMING + MINUTE
            await second.until(lambda: latest(second, whole))
            await first.until(lambda: latest(first, whole))
            assert misnumbered(first) == misnumbered(second) == []
            for before, after in pairwise(since(second, "AAPL")):
                if before.open_time == after.open_time:
                    assert after.trade_count >= before.trade_count
