"""Live bars: PARTIAL while they form, FINAL once they are over, REVISED if late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import bar_pb2, stream_pb2

from ingestion_server.app.mode import Mode
from tests.port.house import Build, House, pinned
from tests.port.streaming import (
    FINNHUB,
    FIRST,
    Listener,
    Told,
    listening,
    misnumbered,
    sent,
)
from tests.port.upstream import row, upstream

MINUTE_NS = 60 * 10**9
MINUTE = timedelta(minutes=1)
OPEN = datetime(2024, 6, 12, 15, 0, 50, tzinfo=UTC)
"""Ten seconds before a minute is over, in regular hours of New York."""
BARS = {"kinds": ["TICK_KIND_BARS"], "session": "SESSION_REGULAR", **FINNHUB}
PARTIAL, FINAL = bar_pb2.BAR_STATE_PARTIAL, bar_pb2.BAR_STATE_FINAL
REVISED = bar_pb2.BAR_STATE_REVISED


@pytest.fixture
def usual() -> dict[str, str]:
    """Let bars be told often, and be over soon."""
    return {
        **FIRST,
        "SANDBOX__TRADES_PER_SECOND": "5",
        "SANDBOX__FINNHUB_PING_SECONDS": "0.2",
        "STREAM__SILENCE_SECONDS": "3600",
        "STREAM__STALE_SECONDS": "3600",
        "STREAM__GRACE_SECONDS": "0.2",
        "STREAM__BAR_SECONDS": "0.05",
    }


def stamp(when: datetime) -> str:
    """Return a moment as JSON has it."""
    return when.isoformat().replace("+00:00", "Z")


def of(listener: Listener, open_time: datetime) -> list[stream_pb2.LiveBar]:
    """Return what was told of one bar, in order."""
    return [
        told.bar
        for told in listener.bars
        if told.bar.open_time.ToDatetime(UTC) == open_time
    ]


def start_of(gap: stream_pb2.StreamEvent) -> datetime:
    """Return when a gap begins."""
    start: Timestamp = getattr(gap, "from")
    return start.ToDatetime(UTC)


def states(bars: Sequence[stream_pb2.LiveBar]) -> list[int]:
    """Return the states of bars."""
    return [bar.state for bar in bars]


def prices(bar: stream_pb2.LiveBar | bar_pb2.Bar) -> tuple[float, ...]:
    """Return the prices of a bar, and its volume."""
    return bar.open, bar.high, bar.low, bar.close, bar.volume


def assert_none_final_too_early(bars: Sequence[Told]) -> None:
    """Assert that no bar was final before it was over."""
    for told in bars:
        if told.bar.state != PARTIAL:
            over_ns = told.bar.open_time.ToNanoseconds() + MINUTE_NS
            assert told.at_ns >= over_ns, told.bar


async def advance(home: House, listener: Listener, seconds: float) -> None:
    """Let time pass in steps, and let the trades of each be heard."""
    for _ in range(int(seconds // 20)):
        count = len(listener.bars)
        home.clock.advance(20)
        await listener.until(lambda: len(listener.bars) > count)  # noqa: B023 - awaited here


async def own_bars(
    home: House, start: datetime, minutes: int
) -> dict[int, bar_pb2.Bar]:
    """Return the vendor's own bars, by their open time."""
    answer = await home.fetch(
        symbol="AAPL",
        interval="INTERVAL_1_MINUTE",
        start=stamp(start),
        end=stamp(start + minutes * MINUTE),
        source_policy=pinned("finnhub"),
    )
    return {bar.open_time.ToNanoseconds(): bar for bar in answer.series.bars}


async def test_a_bar_is_partial_while_it_forms_and_final_once_it_is_over(
    build: Build,
) -> None:
    whole = OPEN + timedelta(seconds=10)
    async with build(start=OPEN) as home, listening(home, "AAPL", **BARS) as listener:
        await listener.until(lambda: listener.bars)
        await advance(home, listener, 80)
        await listener.until(lambda: FINAL in states(of(listener, whole)))

        told = of(listener, whole)
        assert len(told) > 3
        assert states(told[:-1]) == [PARTIAL] * (len(told) - 1)
        assert told[-1].state == FINAL
        assert told[-1].derived
        assert told[-1].provider == "finnhub"
        assert told[-1].trade_count > 0
        assert told[-1].low <= told[-1].vwap <= told[-1].high
        assert_none_final_too_early(listener.bars)
        assert misnumbered(listener) == []
        for before, after in pairwise(told):
            assert after.trade_count >= before.trade_count
            assert after.high >= before.high
            assert after.low <= before.low


async def test_a_final_bar_is_the_one_that_the_vendor_has(build: Build) -> None:
    first = OPEN + timedelta(seconds=10)
    async with build(start=OPEN) as home, listening(home, "AAPL", **BARS) as listener:
        await listener.until(lambda: listener.bars)
        await advance(home, listener, 200)
        wanted = [first + number * MINUTE for number in range(3)]
        await listener.until(
            lambda: all(FINAL in states(of(listener, w)) for w in wanted)
        )

        own = await own_bars(home, first, 3)
        told = await sent(home, "AAPL")
        for when in wanted:
            ours = of(listener, when)[-1]
            theirs = own[ours.open_time.ToNanoseconds()]
            assert (ours.high, ours.low) == (theirs.high, theirs.low)
            assert ours.volume == pytest.approx(theirs.volume, rel=1e-9)
            start = ours.open_time.ToMilliseconds()
            within = [fact for fact in told if 0 <= fact.time_ms - start < 60_000]
            # Which of one millisecond was the first or the last, its stream says not.
            for price, edge in ((ours.open, min(within)), (ours.close, max(within))):
                assert price in {
                    fact.price for fact in within if fact.time_ms == edge.time_ms
                }
            assert ours.trade_count == len(within)


@pytest.mark.parametrize("session", ["SESSION_REGULAR", "SESSION_EXTENDED"])
async def test_the_bar_in_which_one_came_is_final_only_by_the_vendors_own(
    build: Build, session: str
) -> None:
    began = OPEN.replace(second=0)
    # The vendor's candles are those of regular hours.
    bars = BARS | {"session": session}
    async with build(start=OPEN) as home, listening(home, "AAPL", **bars) as listener:
        await listener.until(lambda: listener.bars)
        # So far at once that the vendor's last word can be expected.
        home.clock.advance(1000)
        await listener.until(
            lambda: any(bar.state != PARTIAL for bar in of(listener, began))
        )

        told = of(listener, began)
        assert all(bar.derived for bar in told if bar.state == PARTIAL)
        assert not told[-1].derived
        own = await own_bars(home, began, 1)
        assert prices(told[-1]) == pytest.approx(
            prices(own[told[-1].open_time.ToNanoseconds()]), rel=1e-9
        )
        assert_none_final_too_early(listener.bars)


async def test_history_and_live_bars_join_without_overlap_or_hole(
    build: Build,
) -> None:
    start = OPEN.replace(second=0) - 20 * MINUTE
    async with (
        build(start=OPEN) as home,
        listening(home, "AAPL", start=stamp(start), **BARS) as listener,
    ):
        await listener.until(lambda: of(listener, OPEN.replace(second=0)))
        await advance(home, listener, 80)
        whole = OPEN + timedelta(seconds=10)
        await listener.until(lambda: FINAL in states(of(listener, whole)))

        opened = [told.bar.open_time.ToDatetime(UTC) for told in listener.bars]
        first_told = list(dict.fromkeys(opened))
        expected = [start + number * MINUTE for number in range(len(first_told))]
        assert first_told == expected
        assert len(first_told) >= 22
        for when in expected[:18]:
            # What was not final yet is told anew once it is.
            assert states(of(listener, when)) in ([FINAL], [PARTIAL], [PARTIAL, FINAL])
            assert not any(bar.derived for bar in of(listener, when))
        assert misnumbered(listener) == []
        assert_none_final_too_early(listener.bars)
        own = await own_bars(home, start, 18)
        for when in expected[:18]:
            bar = of(listener, when)[-1]
            assert prices(bar) == pytest.approx(
                prices(own[bar.open_time.ToNanoseconds()]), rel=1e-9
            )


async def test_history_that_is_missing_is_declared(build: Build) -> None:
    start = OPEN.replace(second=0) - 20 * MINUTE
    async with build(start=OPEN) as home:
        await home.fault("finnhub", "status_500")
        async with listening(home, "AAPL", start=stamp(start), **BARS) as listener:
            await listener.until_told("GAP")
            await listener.until(lambda: listener.bars)
            gap = listener.named("GAP")[0]

            assert getattr(gap, "from").ToDatetime(UTC) == start
            assert gap.tick_kind == stream_pb2.TICK_KIND_BARS
            assert gap.cause


async def test_bars_of_five_minutes_add_up_those_of_one(build: Build) -> None:
    start = datetime(2024, 6, 12, 14, 59, 50, tzinfo=UTC)
    # Longer than time jumps at once: however slowly the trades of a jump come, they
    # are not late.
    patient = {"STREAM__GRACE_SECONDS": "30"}
    async with (
        build(start=start, settings=patient) as home,
        listening(home, "AAPL", **BARS) as fine,
        listening(home, "AAPL", interval="INTERVAL_5_MINUTES", **BARS) as coarse,
    ):
        await fine.until(lambda: fine.bars)
        await advance(home, fine, 360)
        when = start + timedelta(seconds=10)
        await coarse.until(lambda: FINAL in states(of(coarse, when)))
        bar = of(coarse, when)[-1]
        parts = [of(fine, when + number * MINUTE)[-1] for number in range(5)]

        assert {part.state for part in parts} == {FINAL}
        assert bar.open == parts[0].open
        assert bar.close == parts[-1].close
        assert bar.high == max(part.high for part in parts)
        assert bar.low == min(part.low for part in parts)
        assert bar.volume == pytest.approx(sum(part.volume for part in parts))
        assert bar.trade_count == sum(part.trade_count for part in parts)
        assert (await home.stats("finnhub"))["subscribe_messages"] == 1


async def test_a_bar_of_a_sampled_stream_is_never_called_final_by_us(
    build: Build,
) -> None:
    yahoo = {"kinds": ["TICK_KIND_BARS"], "source_policy": pinned("yahoo")}
    async with build(start=OPEN) as home, listening(home, "AAPL", **yahoo) as listener:
        await listener.until(lambda: listener.bars)
        await advance(home, listener, 80)

        for told in listener.bars:
            assert told.bar.state == PARTIAL or not told.bar.derived
            if told.bar.derived:
                assert not told.bar.HasField("volume")


async def test_trades_and_bars_come_in_one_stream(build: Build) -> None:
    both = {"kinds": ["TICK_KIND_TRADES", "TICK_KIND_BARS"], **FINNHUB}
    async with build(start=OPEN) as home, listening(home, "AAPL", **both) as listener:
        await listener.until(lambda: listener.bars and len(listener.trades) > 10)
        assert misnumbered(listener) == []
        bar = listener.bars[0].bar
        within = [
            trade.price
            for trade in listener.trades
            if bar.open_time.ToNanoseconds()
            <= trade.time.ToNanoseconds()
            < bar.open_time.ToNanoseconds() + MINUTE_NS
        ]
        assert bar.open == within[0]


async def test_a_trade_that_comes_late_revises_a_final_bar(build: Build) -> None:
    start = OPEN
    whole = OPEN + timedelta(seconds=10)
    base = int(whole.timestamp() * 1000)
    async with (
        upstream() as vendor,
        build(mode=Mode(sandbox_url=vendor.url), start=start) as home,
        listening(home, "AAPL", **BARS) as listener,
    ):
        await listener.until_told("SUBSCRIBED")
        await vendor.until_heard("AAPL")
        home.clock.advance(70)
        await vendor.tell(
            row(base + 1_000, 10.0, 5),
            row(base + 30_000, 12.0, 1),
            row(base + 59_000, 11.0, 4),
        )
        await listener.until(lambda: of(listener, whole))
        await vendor.tell(row(base + 61_000, 11.0, 4))
        home.clock.advance(10)
        await listener.until(lambda: FINAL in states(of(listener, whole)))
        assert prices(of(listener, whole)[-1]) == (10.0, 12.0, 10.0, 11.0, 10.0)

        await vendor.tell(row(base + 45_000, 9.0, 2))
        await listener.until(lambda: REVISED in states(of(listener, whole)))

        assert prices(of(listener, whole)[-1]) == (10.0, 12.0, 9.0, 11.0, 12.0)
        told = states(of(listener, whole))
        assert told[-2:] == [FINAL, REVISED]
        assert misnumbered(listener) == []


async def test_a_bar_during_which_the_connection_was_lost_is_not_final_by_us(
    build: Build,
) -> None:
    whole = OPEN + timedelta(seconds=10)
    settings = {
        "SANDBOX__FINNHUB_PLAN": "free",
        "STREAM__FIRST_PAUSE_SECONDS": "0.05",
        "STREAM__LONGEST_PAUSE_SECONDS": "0.2",
        "STREAM__FAILOVER_SECONDS": "600",
    }
    async with (
        build(start=OPEN, settings=settings) as home,
        listening(home, "AAPL", **BARS) as listener,
    ):
        await listener.until(lambda: listener.bars)
        await advance(home, listener, 30)
        await home.fault("finnhub", "disconnect")
        await listener.until_told("STALE")
        await listener.until(lambda: of(listener, whole))
        await advance(home, listener, 80)
        after = whole + MINUTE
        await listener.until(lambda: of(listener, after))

        for bar in of(listener, whole):
            assert bar.state == PARTIAL or not bar.derived


LOSSES = {
    "STREAM__FIRST_PAUSE_SECONDS": "0.05",
    "STREAM__LONGEST_PAUSE_SECONDS": "0.2",
    "STREAM__FAILOVER_SECONDS": "600",
}
"""Settings with which a lost connection is soon back."""


async def lose_trades(home: House, listener: Listener, whole: datetime) -> None:
    """Lose the connection while a bar forms, and let that be over long ago."""
    await listener.until(lambda: listener.bars)
    await advance(home, listener, 20)
    await listener.until(lambda: of(listener, whole))
    await home.fault("finnhub", "disconnect")
    await listener.until_told("STALE")
    count = len(listener.bars)
    await listener.until(lambda: len(listener.bars) > count)
    # So far at once that the vendor's last word can be expected.
    home.clock.advance(1000)


async def test_a_bar_over_a_gap_is_told_anew_as_the_vendor_has_it(
    build: Build,
) -> None:
    whole = OPEN + timedelta(seconds=10)
    async with (
        build(start=OPEN, settings=LOSSES) as home,
        listening(home, "AAPL", **BARS) as listener,
    ):
        # What was lost cannot be filled in, since that would not be believed.
        await home.fault("finnhub", "omit_rows")
        await lose_trades(home, listener, whole)
        await listener.until(lambda: FINAL in states(of(listener, whole)))

        told = of(listener, whole)
        assert {bar.state for bar in told if bar.derived} == {PARTIAL}
        assert not told[-1].derived
        assert misnumbered(listener) == []


async def test_a_bar_over_a_gap_that_no_vendor_has_is_declared_by_a_gap(
    build: Build,
) -> None:
    whole = OPEN + timedelta(seconds=10)
    async with (
        build(start=OPEN, settings=LOSSES) as home,
        listening(home, "AAPL", **BARS) as listener,
    ):
        await listener.until(lambda: listener.bars)
        await home.fault("finnhub", "premium")
        await lose_trades(home, listener, whole)
        await listener.until(
            lambda: whole in {start_of(gap) for gap in listener.named("GAP", "AAPL")}
        )

        assert set(states(of(listener, whole))) == {PARTIAL}
        for gap in listener.named("GAP"):
            assert gap.tick_kind == stream_pb2.TICK_KIND_BARS
            assert gap.to.ToDatetime(UTC) - start_of(gap) == MINUTE
            assert gap.cause
        assert misnumbered(listener) == []


async def test_pairs_have_live_bars_too(build: Build) -> None:
    async with (
        build(start=OPEN) as home,
        listening(home, "BTC/USD", **BARS) as listener,
    ):
        await listener.until(lambda: listener.bars)
        await advance(home, listener, 80)
        whole = OPEN + timedelta(seconds=10)
        await listener.until(lambda: FINAL in states(of(listener, whole)))
        assert_none_final_too_early(listener.bars)
