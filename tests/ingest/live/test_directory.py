"""Channels are found by what they are, and what lives of an instrument is told."""

from __future__ import annotations

from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.ticks import Quote, TickKind, Trade
from ingestion_server.ingest.live.channel import Channel, Route
from ingestion_server.ingest.live.directory import Directory
from tests.clocks import ManualClock
from tests.ingest.live.letters import publisher
from tests.ingest.live.ticks import TEN, quote, trade
from tests.ingest.live.vendor import Vendor

ACME, ZENITH = "acme", "zenith"
AAPL = instrument("AAPL")
TRADES, QUOTES = TickKind.TRADES, TickKind.QUOTES


def directory() -> Directory:
    """Have an empty one, of two vendors."""
    clock = ManualClock(TEN, runs=False)
    return Directory({name: Vendor(clock, name).upstream() for name in (ACME, ZENITH)})


def channel(
    latest: Trade | Quote | None = None, kind: TickKind = TRADES, name: str = ACME
) -> Channel:
    """Make a channel that lives."""
    made = Channel(
        AAPL, kind, Route((name,)), publisher().partition("AAPL", kind), {name: "AAPL"}
    )
    if latest is not None:
        latest.provider = name
    made.active, made.live, made.latest = name, True, latest
    return made


def test_a_channel_is_found_until_it_is_struck_off() -> None:
    book, one = directory(), channel()
    book.add(one)

    assert book.find(AAPL, TRADES, Route((ACME,))) is one
    assert book.find(AAPL, QUOTES, Route((ACME,))) is None
    assert book.find(AAPL, TRADES, Route((ZENITH,))) is None
    assert len(book) == 1

    book.remove(one)
    book.remove(one)

    assert book.find(AAPL, TRADES, Route((ACME,))) is None
    assert len(book) == 0


def test_who_is_struck_off_late_leaves_the_one_in_its_place() -> None:
    book, old, new = directory(), channel(), channel()
    book.add(old)
    book.remove(old)
    book.add(new)

    book.remove(old)

    assert book.find(AAPL, TRADES, Route((ACME,))) is new


def test_the_latest_trade_and_quote_of_one_vendor_are_told_together() -> None:
    book, last, best = directory(), trade(2), quote(at=3)
    for each in (
        channel(trade(1)),
        channel(last),
        channel(quote(at=1), QUOTES),
        channel(best, QUOTES),
    ):
        book.add(each)

    found = book.latest(AAPL, [ACME, ZENITH])

    assert found is not None
    snapshot, provider, received_at_ns = found
    assert (snapshot.trade, snapshot.quote) == (last, best)
    assert (provider, received_at_ns) == (ACME, last.received_at_ns)


def test_a_trade_is_not_told_with_another_vendors_quote() -> None:
    book = directory()
    book.add(channel(trade(1)))
    book.add(channel(quote(at=2), QUOTES, ZENITH))

    both, alone = book.latest(AAPL, [ACME, ZENITH]), book.latest(AAPL, [ZENITH])

    assert both is not None
    assert both[0].quote is None
    assert alone is not None
    assert (alone[0].trade, alone[1]) == (None, ZENITH)


def test_what_does_not_live_or_is_not_asked_for_is_not_told() -> None:
    book, away = directory(), channel(trade(1))
    away.live = False
    book.add(away)
    book.add(channel())

    assert book.latest(AAPL, [ACME]) is None
    assert book.latest(AAPL, []) is None
    assert book.latest(instrument("TSLA"), [ACME]) is None
