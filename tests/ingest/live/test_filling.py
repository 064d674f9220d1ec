"""Filling a gap with the trades of a vendor's history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from ingestion_server.domain.errors import (
    EntitlementMissingError,
    MalformedPayloadError,
    ProviderUnavailableError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import Instrument, instrument
from ingestion_server.domain.query import Span
from ingestion_server.domain.ticks import TickMark, Trade
from ingestion_server.ingest.candidates import kinds_served
from ingestion_server.ingest.live.filling import Filled, Filler, NotFilled
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.quota import Lane
from ingestion_server.ports.stream import TradePage
from tests.ingest.live.ticks import SECOND, TEN, trade
from tests.ingest.making import ACME
from tests.ingest.vendors import Market, Shop

TICKS = f"{ACME} TICKS"
EQUITY = instrument("AAPL")
BEFORE, AFTER = [trade(-1.0), trade(0.0)], [trade(3.0), trade(4.0)]
LOST = [trade(1.0), trade(2.0, 99.0)]


@dataclass
class Tape:
    """Be the history of a vendor, as it will be told by the next calls."""

    told: list[Sequence[Trade]]
    """The list as each try finds it; the last is told again and again."""
    lists: int = 1
    """How many lists may hold a stretch; all but the first are empty."""
    page_trades: int = 100
    miscounted: int = 0
    """By how many the vendor counts too many."""
    asked: list[Span] = field(default_factory=list)
    read: Callable[[], None] = lambda: None
    """What happens while it is read."""

    def trade_requests(
        self, instrument: Instrument, start_ns: int, end_ns: int
    ) -> Sequence[HttpRequest]:
        """Begin a try."""
        del instrument
        if self.asked and len(self.told) > 1:
            self.told.pop(0)
        self.asked.append(Span(start_ns, end_ns))
        return [
            HttpRequest(ACME, f"https://{ACME}.example/{number}", feature="TICKS")
            for number in range(self.lists)
        ]

    def part_request(self, request: HttpRequest, first: int, count: int) -> HttpRequest:
        """Name the part in the parameters."""
        params = (("first", str(first)), ("count", str(count)))
        return msgspec.structs.replace(request, params=params)

    def read_trades(self, response: HttpResponse, request: HttpRequest) -> TradePage:
        """Tell a part."""
        del response
        self.read()
        listed = [] if request.url.rpartition("/")[2] != "0" else self.told[0]
        part = dict(request.params)
        first, count = int(part["first"]), int(part["count"])
        copies = [msgspec.structs.replace(t) for t in listed[first : first + count]]
        total = len(listed) + self.miscounted
        return TradePage(copies, first, len(copies), total)


async def filled(
    market: Market, *, before: Sequence[Trade] = BEFORE, after: Sequence[Trade] = AFTER
) -> Filled | NotFilled:
    """Fill the gap from ten o'clock until three seconds later."""
    filler = Filler(market.vendors, market.clock)
    return await filler.fill(
        EQUITY, ACME, TEN, TEN + 3 * SECOND + 1, list(before), after
    )


async def test_what_was_lost_is_asked_for_once_and_comes_back_signed() -> None:
    tape = Tape([[*BEFORE, *LOST, *AFTER]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        found = await filled(market)
        now_ns = market.clock.now_ns()

    assert isinstance(found, Filled)
    assert [(each.time_ns - TEN) // SECOND for each in found.trades] == [1, 2]
    assert {each.marks for each in found.trades} == {TickMark.BACKFILLED}
    assert {(each.symbol, each.provider) for each in found.trades} == {("AAPL", ACME)}
    assert all(0 < each.received_at_ns <= now_ns for each in found.trades)
    assert market.wire.asked == [TICKS]
    assert tape.asked == [Span(TEN - SECOND, TEN + 4 * SECOND + 1)]
    assert market.calls[0].lane is Lane.BATCH


async def test_a_gap_in_which_nothing_took_place_is_filled_with_nothing() -> None:
    tape = Tape([[*BEFORE, *AFTER]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        assert await filled(market) == Filled(())


async def test_all_pages_are_read() -> None:
    tape = Tape([[*BEFORE, *LOST, *AFTER]], page_trades=3)
    async with Market(Shop(ACME, trade_history=tape)) as market:
        found = await filled(market)

    assert isinstance(found, Filled)
    assert len(found.trades) == 2
    assert market.wire.asked == [TICKS] * 3


async def test_a_history_that_lags_is_asked_again_a_little_later() -> None:
    tape = Tape([BEFORE, [*BEFORE, LOST[0]], [*BEFORE, *LOST, *AFTER]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        found = await filled(market)

    assert isinstance(found, Filled)
    assert len(found.trades) == 2
    assert market.wire.asked == [TICKS] * 3
    assert market.clock.slept == [1.0, 5.0, 20.0]


async def test_a_history_that_goes_on_lagging_fills_nothing() -> None:
    tape = Tape([[*BEFORE, *LOST]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        found = await filled(market)

    assert isinstance(found, NotFilled)
    assert "lacks 2 of 4" in found.reason
    assert len(market.wire.asked) == 3


async def test_a_list_that_is_not_as_long_as_the_vendor_says_fills_nothing() -> None:
    tape = Tape([[*BEFORE, *LOST, *AFTER]], miscounted=1)
    async with Market(Shop(ACME, trade_history=tape)) as market:
        found = await filled(market)

    assert isinstance(found, NotFilled)
    assert "counts 7 and sent 6" in found.reason
    assert len(market.wire.asked) == 3


async def test_what_the_stream_brings_meanwhile_is_not_told_twice() -> None:
    after = list(AFTER)
    late = trade(2.0, 99.0)
    tape = Tape([[*BEFORE, *LOST, *AFTER]])
    tape.read = lambda: after.extend([late, trade(50.0)])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        found = await filled(market, after=after)

    assert isinstance(found, Filled)
    assert [(each.time_ns - TEN) // SECOND for each in found.trades] == [1]


async def test_a_trade_that_cannot_be_is_not_filled_in() -> None:
    tape = Tape([[*BEFORE, trade(1.0, -1.0), *AFTER]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        assert await filled(market) == Filled(())


async def test_all_lists_that_may_hold_the_gap_are_read_and_only_the_gap_is_told() -> (
    None
):
    tape = Tape([[trade(-100.0), *BEFORE, *LOST, *AFTER, trade(100.0)]], lists=2)
    async with Market(Shop(ACME, trade_history=tape)) as market:
        found = await filled(market)

    assert isinstance(found, Filled)
    assert len(found.trades) == 2
    assert market.wire.asked == [TICKS] * 2


async def test_a_gap_at_the_end_of_a_long_list_takes_two_calls() -> None:
    earlier = [trade(-20_000.0 + second) for second in range(19_000)]
    tape = Tape([[*earlier, *BEFORE, *LOST, *AFTER]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        found = await filled(market)

    assert isinstance(found, Filled)
    assert len(found.trades) == 2
    assert market.wire.asked == [TICKS] * 2


async def test_without_trades_on_both_sides_nobody_is_asked() -> None:
    async with Market(Shop(ACME, trade_history=Tape([[]]))) as market:
        found = await filled(market, after=[])

    assert isinstance(found, NotFilled)
    assert not market.wire.asked


async def test_a_gap_with_more_trades_than_it_is_worth_is_given_up_at_once() -> None:
    earlier = [trade(-20_000.0 + second) for second in range(10_000)]
    lost = [trade(1.0)] * 900
    tape = Tape([[*earlier, *BEFORE, *lost, *AFTER]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        found = await filled(market)

    assert found == NotFilled("CAPABILITY_MISSING: the gap holds more than 800 trades")
    assert len(market.wire.asked) == 3


async def test_more_lists_than_calls_are_not_begun() -> None:
    tape = Tape([[*BEFORE, *LOST, *AFTER]], lists=21)
    async with Market(Shop(ACME, trade_history=tape)) as market:
        found = await filled(market)

    assert found == NotFilled("CAPABILITY_MISSING: the gap takes more than 20 calls")
    assert not market.wire.asked


async def test_a_try_makes_no_more_than_twenty_calls() -> None:
    tape = Tape([[*BEFORE, *LOST, *AFTER]], lists=20, page_trades=3)
    async with Market(Shop(ACME, trade_history=tape)) as market:
        found = await filled(market)

    assert found == NotFilled("CAPABILITY_MISSING: the gap takes more than 20 calls")
    assert len(market.wire.asked) == 20


@pytest.mark.parametrize("error", [ProviderUnavailableError, MalformedPayloadError])
async def test_a_failure_that_may_pass_is_tried_again(error) -> None:
    tape = Tape([[*BEFORE, *LOST, *AFTER]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        market.wire.failures[TICKS] = [error("fell over", provider=ACME)] * 4
        found = await filled(market)

    assert isinstance(found, Filled)


async def test_a_symbol_that_the_vendor_does_not_know_is_asked_for_once() -> None:
    tape = Tape([[]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        market.wire.failures[TICKS] = [SymbolUnknownError("who?", provider=ACME)]
        found = await filled(market)

    assert found == NotFilled("SYMBOL_UNKNOWN: who?")
    assert len(market.wire.asked) == 1


async def test_what_the_plan_refuses_is_not_asked_for_again_for_a_day() -> None:
    refusal = EntitlementMissingError("premium", provider=ACME, feature="TICKS")
    tape = Tape([[*BEFORE, *AFTER]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        market.wire.failures[TICKS] = [refusal]
        first, second = await filled(market), await filled(market)
        market.clock.pass_by(86_400)
        third = await filled(market)

    assert first == NotFilled("ENTITLEMENT_MISSING: premium")
    assert isinstance(second, NotFilled)
    assert "ENTITLEMENT_MISSING" in second.reason
    assert third == Filled(())
    assert len(market.wire.asked) == 2


async def test_a_gap_is_not_worth_money_that_nobody_allowed() -> None:
    shop = Shop(ACME, cents=1, trade_history=Tape([[*BEFORE, *AFTER]]))
    async with Market(shop) as market:
        found = await filled(market)

    assert isinstance(found, NotFilled)
    assert "COST_LIMIT" in found.reason
    assert not market.wire.asked


async def test_a_vendor_without_history_or_that_is_gone_fills_nothing() -> None:
    async with Market(Shop(ACME)) as market:
        without = await filled(market)
        del market.vendors[ACME]
        gone = await filled(market)

    assert without == gone
    assert without == NotFilled(
        f"CAPABILITY_MISSING: {ACME} tells no trades of the past"
    )


async def test_a_vendor_that_has_no_trades_of_such_an_instrument_says_so() -> None:
    async with Market(Shop(ACME, trade_history=Tape([], lists=0))) as market:
        found = await filled(market)

    assert isinstance(found, NotFilled)
    assert "no past trades of AAPL" in found.reason


async def test_only_four_gaps_are_filled_at_once_and_a_thousand_wait() -> None:
    tape = Tape([[*BEFORE, *LOST, *AFTER]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        held = market.wire.held[TICKS] = asyncio.Event()
        filler = Filler(market.vendors, market.clock)

        async def fill() -> Filled | NotFilled:
            return await filler.fill(
                EQUITY, ACME, TEN, TEN + 3 * SECOND + 1, BEFORE, AFTER
            )

        async with asyncio.TaskGroup() as tasks:
            fills = [tasks.create_task(fill()) for _ in range(1_010)]
            while not fills[-1].done() or len(market.wire.asked) < 4:  # noqa: ASYNC110 - until all got so far
                await asyncio.sleep(0)
            asked = len(market.wire.asked)
            held.set()
        again = await fill()

    refused = [task for task in fills if isinstance(task.result(), NotFilled)]
    assert asked == 4
    assert len(refused) == 6
    assert isinstance(again, Filled)


async def test_a_fill_that_is_cancelled_leaves_its_place_to_others() -> None:
    tape = Tape([[*BEFORE, *LOST, *AFTER]])
    async with Market(Shop(ACME, trade_history=tape)) as market:
        market.wire.held[TICKS] = asyncio.Event()
        filler = Filler(market.vendors, market.clock)
        for _ in range(5):
            task = asyncio.create_task(
                filler.fill(EQUITY, ACME, TEN, TEN + 3 * SECOND + 1, BEFORE, AFTER)
            )
            while not market.wire.asked:  # noqa: ASYNC110 - until all got so far
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            market.wire.asked.clear()
        del market.wire.held[TICKS]

        found = await filler.fill(
            EQUITY, ACME, TEN, TEN + 3 * SECOND + 1, BEFORE, AFTER
        )

    assert isinstance(found, Filled)


def test_past_trades_have_a_breaker_of_their_own() -> None:
    class Streams:
        class declaration:  # noqa: N801 - a property by its name
            asset_classes = frozenset({EQUITY.asset_class})

    tape = Tape([])
    with_both = Shop(ACME, trade_history=tape, streaming=Streams())
    without_stream = Shop(ACME, trade_history=tape)

    assert "trades:equity" in kinds_served(with_both)
    assert "trades:equity" not in kinds_served(without_stream)
