"""Quotes: the latest price with its time, and what IEX itself offers."""

from __future__ import annotations

import pytest

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.ticks import Snapshot
from ingestion_server.ports.stream import Quoting
from ingestion_server.providers.iex_cloud import IexCloud
from tests.providers.iex_cloud.answers import AAPL, BERKSHIRE, LONDON, MSFT, answer

QUOTE = {
    "symbol": "AAPL",
    "latestPrice": 207.15,
    "latestSource": "IEX real time price",
    "latestUpdate": 1_718_200_000_123,
    "previousClose": 193.12,
    "iexLastUpdated": 1_718_200_000_100,
    "iexBidPrice": 207.1,
    "iexBidSize": 100,
    "iexAskPrice": 0,
    "iexAskSize": 0,
}


def quoting() -> Quoting:
    """Return the part that is meant."""
    found = IexCloud().quoting
    assert found is not None
    return found


def told(**more: object) -> Snapshot:
    """Read the quote of one symbol."""
    read = quoting().read_quotes(answer(QUOTE | more), [AAPL])[AAPL]
    assert isinstance(read, Snapshot)
    return read


def test_one_symbol_is_asked_by_its_path_and_several_at_once() -> None:
    one = quoting().quote_request([BERKSHIRE])
    several = quoting().quote_request([AAPL, MSFT])

    assert one.full_url.endswith("/stable/stock/BRK.B/quote")
    assert several.full_url.endswith(
        "/stable/stock/market/batch?symbols=AAPL,MSFT&types=quote"
    )
    assert (one.times, several.times) == (1, 2)
    assert {one.feature, several.feature} == {"quote"}


def test_a_quote_has_its_price_its_time_and_the_close_before() -> None:
    snapshot = told()

    assert snapshot.trade is not None
    assert (snapshot.trade.price, snapshot.trade.time_ns) == (
        207.15,
        1_718_200_000_123_000_000,
    )
    assert (snapshot.previous_close, snapshot.currency) == (193.12, "USD")
    assert snapshot.feed_delay_seconds == 0.0


def test_a_bid_or_an_ask_of_nothing_is_none() -> None:
    best = told().quote

    assert best is not None
    assert (best.bid, best.bid_size, best.ask, best.ask_size) == (
        207.1,
        100,
        None,
        None,
    )
    assert told(iexBidPrice=0).quote is None
    assert told(iexLastUpdated=None).quote is None


@pytest.mark.parametrize(
    ("source", "seconds"),
    [("15 minute delayed price", 900.0), ("Close", None), (None, None)],
)
def test_how_late_it_is_follows_from_its_source(
    source: str | None, seconds: float | None
) -> None:
    assert told(latestSource=source).feed_delay_seconds == seconds


def test_of_several_each_has_its_own_answer() -> None:
    nobody = Instrument("NONSUCH", AAPL.asset_class, AAPL.exchange)
    body = {
        "AAPL": {"quote": QUOTE},
        "MSFT": {"quote": QUOTE | {"symbol": "MSFT", "latestPrice": None}},
    }

    found = quoting().read_quotes(answer(body), [AAPL, MSFT, nobody])

    assert isinstance(found[AAPL], Snapshot)
    assert isinstance(found[MSFT], NoDataUnexplainedError)
    assert isinstance(found[nobody], SymbolUnknownError)


@pytest.mark.parametrize(
    "more",
    [
        {"latestPrice": 0},
        {"latestPrice": -1},
        {"latestUpdate": None},
        {"latestUpdate": 10**17},
        {"symbol": "MSFT"},
        {"latestPrice": "much"},
    ],
)
def test_what_is_no_quote_is_malformed(more: dict[str, object]) -> None:
    with pytest.raises(MalformedPayloadError):
        told(**more)


def test_a_symbol_that_it_cannot_have_is_not_asked_for() -> None:
    with pytest.raises(CapabilityMissingError):
        quoting().quote_request([LONDON])
