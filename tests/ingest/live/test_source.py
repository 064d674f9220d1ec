"""A vendor's pump wants each symbol for as long as it feeds any channel."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

import msgspec
import pytest

from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.ticks import Quote, TickKind, TickMark, Trade
from ingestion_server.ingest.live.channel import Channel, Route
from ingestion_server.ingest.live.checks import TickChecks
from ingestion_server.ingest.live.source import Source
from ingestion_server.ports.stream import Heard, Malformed
from tests.ingest.live.letters import publisher
from tests.ingest.live.newsdesk import ACME, desk
from tests.ingest.live.ticks import TEN, quote, trade


def channel(kind: TickKind = TickKind.TRADES) -> Channel:
    """Make one that spells its symbol as the vendor does not."""
    partition = publisher().partition("BRK.B", kind)
    return Channel(
        instrument("BRK.B"), kind, Route((ACME,)), partition, {ACME: "BRK-B"}
    )


@pytest.fixture
async def source() -> Source:
    """Return one of a pump that does not run."""
    async with desk() as d:
        d.open("AAPL", (ACME,))
        return Source(d.sources.pumps[ACME])


async def test_a_symbol_is_wanted_until_the_last_channel_needs_it_no_more(
    source: Source,
) -> None:
    trades, quotes = channel(), channel(TickKind.QUOTES)
    for each in (trades, trades, quotes):
        assert not source.feed(each)
    assert source.channels == [trades, quotes]
    assert source.pump.wants("BRK-B")

    source.unfeed(trades)
    source.unfeed(trades)
    assert not source.feeds(trades)
    assert source.feeds(quotes)
    assert source.pump.wants("BRK-B")

    source.unfeed(quotes)
    assert source.channels == []
    assert not source.pump.wants("BRK-B")


async def test_ids_are_forgotten_with_the_symbol(source: Source) -> None:
    one, told = channel(), trade(trade_id="7")
    told.symbol = "BRK-B"
    source.feed(one)
    assert not source.duplicates.seen(told)
    assert source.duplicates.seen(told)

    source.unfeed(one)

    assert not source.duplicates.seen(told)


class Taking:
    """Let a source take what is said, and remember what came of it."""

    def __init__(self, source: Source, *kinds: TickKind) -> None:
        self.source = source
        self.channels = [channel(kind) for kind in kinds]
        self.ready: list[Channel] = []
        self.told: list[tuple[Heard, int]] = []
        for each in self.channels:
            each.active = ACME
            source.feed(each)

    def take(self, *said: Heard, now_ns: int = TEN) -> int:
        """Take some; return how many were left out."""
        for each in said:
            if isinstance(each, Trade | Quote):
                each.symbol, each.provider = "BRK-B", ""
        return self.source.take(said, now_ns, self.ready.append, self._tell)

    def _tell(self, source: Source, said: Heard) -> None:
        assert source is self.source
        self.told.append((said, sum(len(each.pending) for each in self.channels)))


async def test_each_channel_has_ticks_of_its_kind_in_our_spelling(
    source: Source,
) -> None:
    taking = Taking(source, TickKind.TRADES, TickKind.QUOTES, TickKind.TRADES)

    assert taking.take(trade(1), quote(), trade(2)) == 0

    first, quotes, second = taking.channels
    assert [each.time_ns for each in first.pending] == [
        trade(1).time_ns,
        trade(2).time_ns,
    ]
    assert second.pending == first.pending
    # Each of them numbers its own.
    assert all(a is not b for a, b in zip(first.pending, second.pending, strict=True))
    assert [type(each) for each in quotes.pending] == [Quote]
    for each in (*first.pending, *quotes.pending):
        assert (each.symbol, each.provider) == ("BRK.B", ACME)
    assert taking.ready == [first, second, quotes]


async def test_what_nobody_wants_or_another_vendor_tells_is_nobodys(
    source: Source,
) -> None:
    taking = Taking(source, TickKind.TRADES, TickKind.TRADES)
    other, told_already = taking.channels
    other.active = "zenith"
    told_already.floor_ns = trade(1).time_ns
    stranger = trade(2)

    assert taking.take(trade(1)) == 0
    stranger.symbol = "NONE"
    assert source.take([stranger], TEN, taking.ready.append, taking._tell) == 0  # noqa: SLF001

    assert not other.pending
    assert not told_already.pending
    assert taking.ready == []


async def test_what_is_no_tick_is_told_in_its_place_among_them(source: Source) -> None:
    taking = Taking(source, TickKind.TRADES)
    wrong = Malformed("half a message")

    assert taking.take(trade(1), wrong, trade(2)) == 0

    assert taking.told == [(wrong, 1)]
    assert len(taking.channels[0].pending) == 2


async def test_a_trade_that_is_told_twice_is_left_out_once(source: Source) -> None:
    taking = Taking(source, TickKind.TRADES)

    left_out = taking.take(*(trade(1, trade_id="7") for _ in range(2)))

    assert left_out == 1
    assert len(taking.channels[0].pending) == 1


@pytest.mark.parametrize("price", [100.0, 0.0, -1.0, inf, nan])
@pytest.mark.parametrize("size", [None, 0.0, 10.0, -1.0, inf, nan])
@pytest.mark.parametrize(
    "time_ns",
    [TEN, 1, 0, -1, TEN + 60 * 10**9, TEN + 61 * 10**9, TEN + 2 * 86_400 * 10**9],
)
async def test_what_is_taken_at_a_glance_is_what_the_checks_take(
    source: Source, price: float, size: float | None, time_ns: int
) -> None:
    taking = Taking(source, TickKind.TRADES)
    given = msgspec.structs.replace(trade(), price=price, size=size, time_ns=time_ns)
    judged = msgspec.structs.replace(given)
    wrong = TickChecks().trade(judged, TEN)

    left_out = taking.take(given)

    taken: Sequence[Trade | Quote] = taking.channels[0].pending
    assert (left_out, len(taken)) == ((1, 0) if wrong else (0, 1))
    assert all(each.marks == judged.marks for each in taken)
    if not wrong and time_ns == TEN + 61 * 10**9:
        assert judged.marks == TickMark.TIME_DOUBTFUL
