"""Latest prices, one instrument a call; made by us, and those recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.domain.ticks import Quote, Snapshot, TickMark, Trade
from ingestion_server.ports.http import HttpResponse
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.alpha_vantage.quoting import AlphaVantageQuoting
from tests.providers.alpha_vantage.pages import ns

RECORDINGS = Path(__file__).parents[4] / "shared/recordings/alphavantage"
MSFT, EURO = instrument("MSFT"), instrument("EUR/USD")
VODAFONE = instrument("VOD", exchange="XLON")
PRICE = {
    "01. symbol": "MSFT",
    "05. price": "112.1300",
    "07. latest trading day": "2018-10-05",
    "08. previous close": "112.7900",
    "10. change percent": "-0.5852%",
}
RATE = {
    "5. Exchange Rate": "1.10302230",
    "6. Last Refreshed": "2022-03-21 11:29:42",
    "7. Time Zone": "UTC",
    "8. Bid Price": "1.10",
    "9. Ask Price": "1.11",
}


def body(part: str, fields: object) -> HttpResponse:
    """Answer with one part."""
    return HttpResponse(200, json.dumps({part: fields}).encode())


def price(fields: object, about: Instrument = MSFT) -> Snapshot | ProviderError:
    """Read the last price of a share."""
    reply = body("Global Quote", fields)
    return AlphaVantageQuoting().read_quotes(reply, [about])[about]


def rate(fields: object, about: Instrument = EURO) -> Snapshot | ProviderError:
    """Read the rate of a pair."""
    reply = body("Realtime Currency Exchange Rate", fields)
    return AlphaVantageQuoting().read_quotes(reply, [about])[about]


@pytest.mark.parametrize(
    ("about", "query"),
    [
        (MSFT, "function=GLOBAL_QUOTE&symbol=MSFT"),
        (instrument("BRK.B"), "function=GLOBAL_QUOTE&symbol=BRK-B"),
        (VODAFONE, "function=GLOBAL_QUOTE&symbol=VOD.LON"),
        (
            EURO,
            "function=CURRENCY_EXCHANGE_RATE&from_currency=EUR&to_currency=USD",
        ),
        (
            instrument("BTC/EUR"),
            "function=CURRENCY_EXCHANGE_RATE&from_currency=BTC&to_currency=EUR",
        ),
    ],
)
def test_one_request_is_about_one_instrument(about: Instrument, query: str) -> None:
    request = AlphaVantageQuoting().quote_request([about])

    assert request.full_url == f"https://www.alphavantage.co/query?{query}"
    assert request.feature in AlphaVantage().endpoints


def test_it_says_what_it_tells_and_of_what_only_the_day() -> None:
    quoting = AlphaVantage().quoting

    assert quoting is not None
    assert quoting.most_symbols == 1
    assert quoting.day_only == {AssetClass.EQUITY} < quoting.asset_classes


def test_what_has_no_symbol_is_not_asked_for() -> None:
    with pytest.raises(CapabilityMissingError):
        AlphaVantageQuoting().quote_request([instrument("^GSPC")])


def test_of_a_share_the_day_is_known_and_no_time() -> None:
    assert price(PRICE) == Snapshot(
        trade=Trade(
            "MSFT", ns("2018-10-05"), 112.13, marks=int(TickMark.TIME_DOUBTFUL)
        ),
        currency="USD",
        previous_close=112.79,
    )


def test_a_london_price_has_no_unit_since_nobody_names_it() -> None:
    told = price(PRICE | {"01. symbol": "vod.lon"}, VODAFONE)

    assert isinstance(told, Snapshot)
    assert told.currency == ""


def test_of_a_pair_time_bid_and_ask_are_known() -> None:
    time_ns = ns("2022-03-21T11:29:42")

    assert rate(RATE) == Snapshot(
        trade=Trade("EUR/USD", time_ns, 1.1030223),
        quote=Quote("EUR/USD", time_ns, bid=1.10, ask=1.11),
        currency="USD",
    )


@pytest.mark.parametrize("dash", ["-", None])
def test_a_pair_may_have_neither_bid_nor_ask(dash: str | None) -> None:
    told = rate(RATE | {"8. Bid Price": dash, "9. Ask Price": dash})

    assert isinstance(told, Snapshot)
    assert told.quote is None
    half = rate(RATE | {"8. Bid Price": dash})
    assert isinstance(half, Snapshot)
    assert half.quote is not None
    assert (half.quote.bid, half.quote.ask) == (None, 1.11)


def test_a_time_is_read_in_the_zone_that_is_named() -> None:
    told = rate(RATE | {"7. Time Zone": "US/Eastern"})

    assert isinstance(told, Snapshot)
    assert told.trade is not None
    assert told.trade.time_ns == ns("2022-03-21T15:29:42")


def test_without_a_price_or_its_day_there_is_nothing() -> None:
    for fields in (
        PRICE | {"05. price": "None"},
        PRICE | {"05. price": "nan"},
        PRICE | {"07. latest trading day": ""},
    ):
        with pytest.raises(NoDataUnexplainedError):
            price(fields)
    for fields in (RATE | {"5. Exchange Rate": "-"}, RATE | {"6. Last Refreshed": ""}):
        with pytest.raises(NoDataUnexplainedError):
            rate(fields)


def test_what_is_something_else_is_malformed() -> None:
    for fields in (
        PRICE | {"05. price": "cheap"},
        PRICE | {"01. symbol": "AAPL"},
        PRICE | {"07. latest trading day": "Friday"},
        [],
    ):
        with pytest.raises(MalformedPayloadError):
            price(fields)
    with pytest.raises(MalformedPayloadError):
        rate(RATE | {"7. Time Zone": "Mars"})
    with pytest.raises(MalformedPayloadError):
        AlphaVantageQuoting().read_quotes(body("Time Series", {}), [MSFT])


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
FIELDS = ANYTHING | st.dictionaries(st.sampled_from([*PRICE, *RATE]), ANYTHING)
PARTS = st.fixed_dictionaries(
    {"Global Quote": FIELDS, "Realtime Currency Exchange Rate": FIELDS}
)


@given(st.binary() | PARTS.map(lambda parts: json.dumps(parts).encode()))
def test_any_bytes_are_a_classified_error_or_an_answer(raw: bytes) -> None:
    for about in (MSFT, EURO):
        try:
            found = AlphaVantageQuoting().read_quotes(HttpResponse(200, raw), [about])
        except ProviderError:
            continue
        assert set(found) == {about}


def test_an_unknown_pair_is_named_by_its_currencies() -> None:
    request = AlphaVantageQuoting().quote_request([EURO])
    complaint = HttpResponse(
        200, b'{"Error Message": "Invalid API call. Please retry"}'
    )

    with pytest.raises(SymbolUnknownError) as unknown:
        AlphaVantage().check(request, complaint)
    assert unknown.value.symbol == "EUR/USD"


def test_an_empty_price_is_not_explained() -> None:
    request = AlphaVantageQuoting().quote_request([MSFT])

    with pytest.raises(NoDataUnexplainedError):
        AlphaVantage().check(request, body("Global Quote", {}))
    AlphaVantage().check(request, body("Global Quote", PRICE))


@pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the shared recordings are not here"
)
@pytest.mark.parametrize(
    ("name", "symbol", "expected", "quoted"),
    [
        ("global_quote_MSFT", "MSFT", 112.13, False),
        ("currency_exchange_rate_EUR_USD", "EUR/USD", 1.1030223, True),
        ("currency_exchange_rate_BTC_CNY_2017", "BTC/CNY", 109631.430607, False),
    ],
)
def test_a_recorded_answer_tells_what_it_says(
    name: str,
    symbol: str,
    expected: float,
    quoted: bool,  # noqa: FBT001 - of pytest
) -> None:
    about = instrument(symbol)
    raw = (RECORDINGS / f"{name}.json").read_bytes()

    told = AlphaVantageQuoting().read_quotes(HttpResponse(200, raw), [about])[about]

    assert isinstance(told, Snapshot)
    assert told.trade is not None
    assert told.trade.price == expected
    assert (told.quote is not None) == quoted
