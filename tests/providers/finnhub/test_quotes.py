"""The latest trade of one listing, as ``/quote`` tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.ticks import Snapshot
from ingestion_server.providers.finnhub.quotes import FinnhubQuoting
from tests.providers.finnhub.answers import AAPL, LONDON, answer

RECORDED = Path(__file__).parents[4] / "shared/recordings/finnhub/quote_AAPL.json"
QUOTE = {
    "c": 146.36,
    "d": -3.83,
    "dp": -2.5501,
    "h": 150.71,
    "l": 146.15,
    "o": 149.8,
    "pc": 150.19,
    "t": 1629316803,
}
NOTHING = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}


def snapshot(body: object, instrument: Instrument = AAPL) -> object:
    """Return what is known of one instrument, or why nothing is."""
    return FinnhubQuoting().read_quotes(answer(body), [instrument])[instrument]


def test_one_request_is_about_one_listing() -> None:
    quoting = FinnhubQuoting()

    request = quoting.quote_request([LONDON])

    assert request.full_url == "https://finnhub.io/api/v1/quote?symbol=VOD.L"
    assert request.feature == "quote:international"
    assert quoting.most_symbols == 1
    assert quoting.asset_classes == {AssetClass.EQUITY}


def test_what_has_no_symbol_is_not_asked_for() -> None:
    with pytest.raises(CapabilityMissingError):
        FinnhubQuoting().quote_request([Instrument("^GSPC", AssetClass.INDEX)])


@pytest.mark.parametrize("recorded", [False, True])
def test_the_latest_trade_has_price_and_time_and_no_size(
    recorded: bool,  # noqa: FBT001 - of pytest
) -> None:
    if recorded and not RECORDED.is_file():
        pytest.skip("the recordings are not beside this checkout")

    known = snapshot(RECORDED.read_bytes() if recorded else QUOTE)

    assert isinstance(known, Snapshot)
    assert known.trade is not None
    assert (known.trade.symbol, known.trade.price) == ("AAPL", 146.36)
    assert known.trade.time_ns == 1629316803 * SECOND_NS
    assert known.trade.size is None
    assert known.quote is None
    assert (known.previous_close, known.currency) == (150.19, "USD")
    assert known.feed_delay_seconds == 0.0


def test_of_listings_elsewhere_neither_unit_nor_delay_is_known() -> None:
    known = snapshot(QUOTE, LONDON)

    assert isinstance(known, Snapshot)
    assert (known.currency, known.feed_delay_seconds) == ("", None)


def test_a_quote_of_nothing_at_all_is_an_unknown_symbol() -> None:
    error = snapshot(NOTHING)

    assert isinstance(error, SymbolUnknownError)
    assert error.symbol == "AAPL"


def test_an_empty_object_says_nothing() -> None:
    with pytest.raises(NoDataUnexplainedError):
        snapshot({})


@pytest.mark.parametrize("none", [None, 0])
def test_a_listing_of_today_has_no_close_before(none: int | None) -> None:
    known = snapshot({**QUOTE, "pc": none})

    assert isinstance(known, Snapshot)
    assert known.previous_close is None


@pytest.mark.parametrize(
    "wrong",
    [{"c": 0}, {"c": None}, {"c": -1.0}, {"c": "1"}, {"t": 0}, {"t": 10**12}],
)
def test_half_a_quote_is_none(wrong: dict[str, object]) -> None:
    with pytest.raises(MalformedPayloadError):
        snapshot({**QUOTE, **wrong})
