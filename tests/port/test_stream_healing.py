"""Streams heal: what is lost of them comes back, or is declared."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from marketdata.ingestion.v1 import provider_pb2

from tests.port.house import Build, House, until
from tests.port.roster import health
from tests.port.streaming import (
    FINNHUB,
    HASTY,
    Listener,
    assert_all_arrived,
    difference,
    disordered,
    facts,
    listening,
    misnumbered,
    sent,
    span,
    undeclared,
)

DAWN = datetime(2024, 6, 12, 4, 1, tzinfo=UTC)
"""A minute after midnight in New York: the day's trades fit one page."""
LOSSES: dict[str, dict[str, Any]] = {
    "disconnect": {},
    "clean_close": {},
    "hang": {"door": "stream"},
    "half_open": {},
}
SILENCE = {"STREAM__SILENCE_SECONDS": "2"}
"""Settings by which a connection that hangs is soon found out."""
NO_HISTORY = {"SANDBOX__FINNHUB_PLAN": "free"}
"""Settings with which nobody can tell what was traded in a gap."""
NEVER_STABLE = {"STREAM__STABLE_SECONDS": "10"}


@pytest.fixture
def usual() -> dict[str, str]:
    """Let a lost connection be back soon."""
    return HASTY


async def connections(home: House, vendor: str = "finnhub") -> int:
    """Return how many connections there have been."""
    return int((await home.stats(vendor))["connections_opened"])


async def reconnected(home: House, count: int) -> None:
    """Wait until there have been so many connections."""

    async def opened() -> bool:
        return await connections(home) >= count

    await until(opened)


async def lose(home: House, fault: str) -> None:
    """Let the connection be lost in one way."""
    await home.fault("finnhub", fault, **LOSSES[fault])


async def miss(home: House, seconds: float = 3) -> None:
    """Let the connection be lost, and trades be missed before it is back."""
    await home.fault("finnhub", "refuse", status=503)
    await home.fault("finnhub", "disconnect")
    home.clock.advance(seconds)
    await home.mend("finnhub")


async def assert_nothing_undeclared(
    home: House, listener: Listener, symbol: str
) -> None:
    """Assert that each trade came or lies in a gap, and none came twice."""
    lost, invented = await difference(home, listener, symbol)
    assert not undeclared(lost, listener.named("GAP", symbol)), listener
    assert not invented, listener
    assert misnumbered(listener) == []


@pytest.mark.parametrize("fault", LOSSES)
async def test_a_lost_connection_is_one_gap_and_what_was_missed_is_filled_in(
    build: Build, fault: str
) -> None:
    async with (
        build(start=DAWN, settings=SILENCE) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.more(60)
        await lose(home, fault)
        await listener.until_told("GAP")
        await listener.until_told("BACKFILLED")
        await listener.more(10)

        (gap,) = listener.named("GAP")
        (filled,) = listener.named("BACKFILLED")
        start, end = span(gap)
        assert gap.symbol == filled.symbol == "AAPL"
        assert gap.cause
        assert start < end < float("inf")
        assert span(filled) == (start, end)
        assert filled.verified
        added = [trade for trade in listener.trades if trade.backfilled]
        assert len(added) == filled.count
        assert all(start <= fact.time_ms < end for fact in facts(added))
        lost, invented = await difference(home, listener, "AAPL")
        assert not lost
        assert not invented
        assert misnumbered(listener) == []
        assert disordered(listener.trades) == []
        assert await connections(home) == 2


async def test_what_was_filled_in_stands_before_the_word_that_it_was(
    build: Build,
) -> None:
    async with (
        build(start=DAWN) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.more(60)
        await miss(home)
        await listener.until_told("BACKFILLED")
        await listener.more(10)

        (filled,) = listener.named("BACKFILLED")
        place = listener.order.index(filled)
        before = [
            each
            for each in listener.order[:place]
            if getattr(each, "backfilled", False)
        ]
        assert len(before) == filled.count > 20
        assert not any(await difference(home, listener, "AAPL"))
        (gap,) = listener.named("GAP")
        assert span(gap)[1] - span(gap)[0] > 2_900
        assert misnumbered(listener) == []


async def test_each_symbol_has_its_own_gap(build: Build) -> None:
    symbols = ("AAPL", "MSFT", "IBM")
    async with (
        build(start=DAWN) as home,
        listening(home, *symbols, **FINNHUB) as listener,
    ):
        await listener.until(lambda: all(len(listener.of(s)) > 30 for s in symbols))
        await lose(home, "disconnect")
        await listener.until_told("BACKFILLED", 3)

        for kind in ("GAP", "BACKFILLED"):
            assert sorted(e.symbol for e in listener.named(kind)) == sorted(symbols)
        for symbol in symbols:
            assert not any(await difference(home, listener, symbol))


async def test_a_gap_of_which_no_history_is_to_be_had_stands(build: Build) -> None:
    async with (
        build(start=DAWN, settings=NO_HISTORY) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.more(60)
        await lose(home, "disconnect")
        await listener.until_told("GAP")
        await listener.more(80)

        assert not listener.named("BACKFILLED")
        assert len(listener.named("GAP")) == 1
        assert not any(trade.backfilled for trade in listener.trades)
        (gap,) = listener.named("GAP")
        start, end = span(gap)
        told = await sent(home, "AAPL")
        heard = Counter(facts(listener.trades))
        await listener.until(lambda: listener.trades)
        lost = [fact for fact in Counter(told) - heard if fact.time_ms < end]
        assert all(start <= fact.time_ms for fact in lost)
        assert misnumbered(listener) == []


@pytest.mark.parametrize("left_out", [{"fraction": 0.3}, {"count": 5}])
async def test_a_replay_that_omits_rows_is_not_believed(
    build: Build, left_out: dict[str, float]
) -> None:
    async with (
        build(start=DAWN) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await home.fault("finnhub", "omit_rows", **left_out)
        await listener.more(60)
        await lose(home, "disconnect")
        await listener.until_told("GAP")
        asked = await home.calls("finnhub")
        await home.until_called("finnhub", asked + 1)
        await listener.more(40)

        assert not listener.named("BACKFILLED")
        assert not any(trade.backfilled for trade in listener.trades)
        assert len(listener.named("GAP")) == 1
        await home.mend("finnhub")
        await assert_nothing_undeclared(home, listener, "AAPL")


async def test_a_vendor_that_cuts_every_connection_is_not_stormed(
    build: Build,
) -> None:
    settings = {"STREAM__LONGEST_PAUSE_SECONDS": "0.8", **NEVER_STABLE}
    async with (
        build(start=DAWN, settings=settings) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.more(20)
        await home.fault("finnhub", "flap", seconds=0.1)
        await lose(home, "disconnect")
        began = home.clock.monotonic()
        await reconnected(home, 5)
        opened = await connections(home)
        took = home.clock.monotonic() - began
        await home.mend("finnhub")
        await listener.more(80)

        # At the very least, each lived its tenth of a second.
        assert opened <= 2 + took / 0.1
        await assert_nothing_undeclared(home, listener, "AAPL")
        assert len(listener.named("GAP")) <= opened


async def test_a_vendor_that_refuses_is_asked_with_pauses_for_ever(
    build: Build,
) -> None:
    plenty = 1000
    async with (
        build(start=DAWN) as home,
        listening(home, "AAPL", heartbeat_interval="0.1s", **FINNHUB) as listener,
    ):
        await listener.more(30)
        await home.fault("finnhub", "refuse", status=503, count=plenty)
        await lose(home, "disconnect")
        await listener.until_told("HEARTBEAT", 20)
        async with home.web.get(f"{home.sandbox_url}/control/faults") as reply:
            faults = await reply.json()
        (left,) = [
            each["count"] for each in faults["finnhub"] if each["fault"] == "refuse"
        ]
        await home.mend("finnhub")
        await listener.until_told("GAP")
        await listener.more(10)

        # Two seconds with pauses of 0 to 0.2 s: ten in the mean.
        assert 3 <= plenty - left <= 60
        assert len(listener.named("GAP")) == 1


async def test_after_a_reconnection_all_that_was_subscribed_is_again(
    build: Build,
) -> None:
    symbols = [f"SBX{number:04}" for number in range(1, 121)]
    async with (
        build(settings={"SANDBOX__TRADES_PER_SECOND": "2"}) as home,
        listening(home, *symbols, **FINNHUB) as listener,
    ):
        await listener.until_told("SUBSCRIBED", len(symbols))
        await lose(home, "disconnect")

        async def whole() -> bool:
            found = await home.stats("finnhub")
            return found["connections_opened"] == 2 and len(
                found["open_subscriptions"]
            ) == len(symbols)

        await until(whole)


async def test_a_connection_that_is_lost_again_and_again_declares_all(
    build: Build,
) -> None:
    async with (
        build(start=DAWN) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        for loss in ("disconnect", "clean_close", "disconnect"):
            await listener.more(20)
            await lose(home, loss)
            await listener.more(5)
        await listener.more(100)

        await assert_nothing_undeclared(home, listener, "AAPL")
        assert 1 <= len(listener.named("GAP")) <= 3
        assert await connections(home) == 4


async def test_a_vendor_that_can_be_reached_again_is_not_left_to_rest(
    build: Build,
) -> None:
    async with (
        build(start=DAWN) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.more(20)
        await home.fault("finnhub", "refuse", status=503)
        await home.fault("finnhub", "disconnect")

        async def opened() -> bool:
            stream = await health(home, "finnhub", "stream")
            return stream.breaker.state != provider_pb2.Breaker.STATE_CLOSED

        await until(opened)
        await home.mend("finnhub")
        # A rest of 30 seconds would take longer than anybody here waits.
        await listener.until_told("GAP")
        await listener.more(20)

        assert not await opened()


async def test_rubbish_in_between_costs_nothing_that_is_not_declared(
    build: Build,
) -> None:
    async with (
        build(start=DAWN) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.more(20)
        await home.fault("finnhub", "malformed_frame", count=3)
        await listener.more(60)

        told = await sent(home, "AAPL")
        await listener.until(
            lambda: (
                max(f.time_ms for f in facts(listener.trades))
                >= max(f.time_ms for f in told)
            )
        )
        lost = Counter(told) - Counter(facts(listener.trades))
        assert not undeclared(lost, listener.named("GAP"))
        assert misnumbered(listener) == []
        assert await connections(home) == 1


async def test_what_rubbish_in_a_row_held_is_filled_in_and_nothing_else(
    build: Build,
) -> None:
    async with (
        build(start=DAWN) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.more(20)
        await home.fault("finnhub", "malformed_frame", count=5)
        await listener.until_told("BACKFILLED")
        await listener.more(20)

        (gap,) = listener.named("GAP")
        (filled,) = listener.named("BACKFILLED")
        assert span(filled) == span(gap)
        lost, invented = await difference(home, listener, "AAPL")
        assert not lost
        assert not invented
        assert await connections(home) == 1


async def test_an_error_of_the_vendor_does_not_end_the_stream(home: House) -> None:
    async with listening(home, "AAPL", **FINNHUB) as listener:
        await listener.more(20)
        await home.fault("finnhub", "error_frame", message="Internal server error")
        await listener.more(40)
        await assert_all_arrived(home, listener, "AAPL")


async def test_what_a_vendor_without_ids_sends_twice_is_passed_on_twice(
    home: House,
) -> None:
    async with listening(home, "AAPL", **FINNHUB) as listener:
        await listener.more(10)
        await home.fault("finnhub", "duplicate", count=5)
        await listener.more(60)

        await assert_all_arrived(home, listener, "AAPL")
        assert misnumbered(listener) == []
        doubled = Counter(await sent(home, "AAPL"))
        assert max(doubled.values()) >= 2


async def test_what_swaps_places_on_the_way_is_sorted_and_nothing_is_lost(
    build: Build,
) -> None:
    # With so many a beat has several frames, which come at once.
    async with (
        build(settings={"SANDBOX__TRADES_PER_SECOND": "600"}) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.more(100)
        await home.fault("finnhub", "reorder")
        await listener.more(600)
        await home.mend("finnhub")
        await listener.more(100)

        await assert_all_arrived(home, listener, "AAPL")
        assert disordered(listener.trades) == []
        assert misnumbered(listener) == []
        late = sum(trade.out_of_order for trade in listener.trades)
        assert late < len(listener.trades) / 5


async def test_a_vendor_that_lags_loses_nothing(home: House) -> None:
    async with listening(home, "AAPL", **FINNHUB) as listener:
        await home.fault("finnhub", "lag", seconds=0.5)
        await listener.more(30)
        await home.mend("finnhub")
        await listener.more(30)

        await assert_all_arrived(home, listener, "AAPL")
        assert misnumbered(listener) == []


async def test_subscribers_see_the_same_gap(build: Build) -> None:
    async with (
        build(start=DAWN) as home,
        listening(home, "AAPL", **FINNHUB) as one,
        listening(home, "AAPL", "MSFT", **FINNHUB) as other,
    ):
        for listener in (one, other):
            await listener.more(30)
        await lose(home, "disconnect")
        for listener in (one, other):
            await listener.until_told("BACKFILLED")
            await listener.until(lambda: listener.named("BACKFILLED", "AAPL"))  # noqa: B023 - awaited here

        mine, theirs = (
            [
                (event.SerializeToString())
                for kind in ("GAP", "BACKFILLED")
                for event in each.named(kind, "AAPL")
            ]
            for each in (one, other)
        )
        assert mine == theirs
        assert len(mine) == 2
