"""A vendor's pump wants each symbol for as long as it feeds any channel."""

from __future__ import annotations

import pytest

from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ingest.live.channel import Channel, Route
from ingestion_server.ingest.live.source import Source
from tests.ingest.live.letters import publisher
from tests.ingest.live.newsdesk import ACME, desk
from tests.ingest.live.ticks import trade


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
