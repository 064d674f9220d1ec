"""Quotes of many instruments in one answer; made by us, and those recorded."""

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
    SessionExpiredError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.ticks import Quote, Snapshot, Trade
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.provider import Credentials
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.providers.yahoo.quoting import YahooQuoting
from ingestion_server.providers.yahoo.symbols import instrument_of
from tests.providers.yahoo.charts import answer

RECORDINGS = Path(__file__).parents[4] / "shared/recordings/yahoo"
RECORDED = sorted(RECORDINGS.glob("nyf2_quote-*.json"))
AAPL, BRK = instrument("AAPL"), instrument("BRK.B")
EURO, BITCOIN = instrument("EUR/USD"), instrument("BTC/USD")
VODAFONE = instrument("VOD", exchange="XLON")
SHARE = {
    "symbol": "AAPL",
    "quoteType": "EQUITY",
    "currency": "USD",
    "regularMarketPrice": 244.6,
    "regularMarketTime": 1739566800,
    "regularMarketPreviousClose": 241.53,
    "bid": 244.44,
    "ask": 253.37,
    "bidSize": 2,
    "askSize": 1,
    "exchangeDataDelayedBy": 15,
}


def body(*rows: object, error: object = None) -> HttpResponse:
    """Answer with some rows."""
    return answer({"quoteResponse": {"result": list(rows), "error": error}})


def read(*rows: object, about: Instrument = AAPL) -> Snapshot | ProviderError:
    """Read what some rows tell of one instrument."""
    return YahooQuoting().read_quotes(body(*rows), [about])[about]


def snapshot(*rows: object, about: Instrument = AAPL) -> Snapshot:
    """Read what must be a snapshot."""
    found = read(*rows, about=about)
    assert isinstance(found, Snapshot), found
    return found


def test_one_request_is_about_instruments_of_any_kind() -> None:
    quoting = YahooQuoting()
    request = quoting.quote_request([AAPL, BRK, EURO, BITCOIN, VODAFONE])

    assert request.full_url == (
        "https://query2.finance.yahoo.com/v7/finance/quote"
        "?symbols=AAPL,BRK-B,EURUSD%3DX,BTC-USD,VOD.L"
    )
    assert request.feature in Yahoo().endpoints
    assert request.needs_session
    assert quoting.asset_classes == frozenset(AssetClass)
    assert quoting.day_only == frozenset()
    assert Yahoo().quoting is not None


def test_fifty_of_the_longest_symbols_fit_an_address() -> None:
    quoting = YahooQuoting()
    longest = [Instrument("A" * 32, AssetClass.EQUITY, "XNYS")] * quoting.most_symbols

    assert len(quoting.quote_request(longest).full_url) < 2_000


def test_what_has_no_symbol_is_not_asked_for() -> None:
    with pytest.raises(CapabilityMissingError):
        YahooQuoting().quote_request([Instrument("X", AssetClass.EQUITY, "XXXX")])


def test_a_row_tells_price_bid_ask_and_how_late_they_are() -> None:
    time_ns = 1739566800 * SECOND_NS

    assert snapshot(SHARE) == Snapshot(
        trade=Trade("AAPL", time_ns, 244.6),
        quote=Quote("AAPL", time_ns, 244.44, 2.0, 253.37, 1.0),
        currency="USD",
        previous_close=241.53,
        feed_delay_seconds=900.0,
    )


@pytest.mark.parametrize("when", ["pre", "post"])
def test_the_latest_of_the_prices_is_told(when: str) -> None:
    later = {f"{when}MarketPrice": 250.0, f"{when}MarketTime": 1739566801}
    earlier = {f"{when}MarketPrice": 250.0, f"{when}MarketTime": 1739566799}
    untimed = {f"{when}MarketPrice": 250.0}

    assert snapshot(SHARE | later).trade == Trade("AAPL", 1739566801 * SECOND_NS, 250.0)
    for row in (SHARE | earlier, SHARE | untimed):
        assert snapshot(row).trade == Trade("AAPL", 1739566800 * SECOND_NS, 244.6)


def test_zeros_stand_for_what_there_is_not() -> None:
    nothing = {"bid": 0, "ask": 0, "bidSize": 0, "askSize": 0}
    none = snapshot(SHARE | nothing | {"regularMarketPreviousClose": 0})
    assert none.quote is None
    assert none.previous_close is None

    half = snapshot(SHARE | nothing | {"ask": 5.0, "exchangeDataDelayedBy": 0})
    assert half.quote == Quote("AAPL", 1739566800 * SECOND_NS, ask=5.0)
    assert half.feed_delay_seconds == 0.0


def test_rows_may_come_in_any_order_and_spelling() -> None:
    rows = [SHARE | {"symbol": "EURUSD=X"}, SHARE | {"symbol": "brk-b"}, SHARE]

    found = YahooQuoting().read_quotes(body(*rows), [AAPL, BRK, EURO])

    for about, told in found.items():
        assert isinstance(told, Snapshot)
        assert told.trade is not None
        assert told.trade.symbol == about.symbol


def test_a_symbol_that_is_left_out_is_unknown_and_the_others_are_told() -> None:
    found = YahooQuoting().read_quotes(body(SHARE), [AAPL, BRK])

    assert isinstance(found[AAPL], Snapshot)
    missing = found[BRK]
    assert isinstance(missing, SymbolUnknownError)
    assert missing.symbol == "BRK.B"


def test_what_is_listed_no_more_is_unknown() -> None:
    gone = {"symbol": "AAPL", "quoteType": "NONE"}

    assert isinstance(read(gone), SymbolUnknownError)


@pytest.mark.parametrize(
    "without",
    [
        {"regularMarketPrice": None},
        {"regularMarketTime": None},
        {"regularMarketTime": 9_000_000_000},
        {"regularMarketTime": 0},
    ],
)
def test_a_row_without_a_price_or_its_time_tells_nothing(
    without: dict[str, object],
) -> None:
    assert isinstance(read(SHARE | without), NoDataUnexplainedError)


def test_a_row_that_cannot_be_read_takes_no_other_with_it() -> None:
    broken = SHARE | {"regularMarketPrice": "cheap"}
    rows = [broken, SHARE | {"symbol": "BRK-B"}, 7, {"symbol": None}]

    found = YahooQuoting().read_quotes(body(*rows), [AAPL, BRK])

    assert isinstance(found[AAPL], MalformedPayloadError)
    assert isinstance(found[BRK], Snapshot)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"null",
        b'{"quoteResponse"',
        {"chart": {"result": [], "error": None}},
        {"quoteResponse": {"result": [], "error": {"description": "no"}}},
    ],
)
def test_what_is_no_list_of_quotes_is_malformed(rubbish: object) -> None:
    with pytest.raises(MalformedPayloadError):
        YahooQuoting().read_quotes(answer(rubbish), [AAPL])


def sent(of: object) -> bytes:
    """Write what stands in a row's place, or in that of its fields."""
    return json.dumps({"quoteResponse": {"result": of, "error": None}}).encode()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
ROWS = st.fixed_dictionaries(
    {"symbol": st.just("AAPL")},
    optional=dict.fromkeys(SHARE.keys() - {"symbol"}, ANYTHING),
)


@given(st.binary() | (ANYTHING | st.lists(ANYTHING | ROWS)).map(sent))
def test_any_bytes_are_a_classified_error_or_an_answer(raw: bytes) -> None:
    try:
        found = YahooQuoting().read_quotes(HttpResponse(200, raw), [AAPL])
    except ProviderError:
        return
    assert set(found) == {AAPL}


def test_a_refusal_for_want_of_a_crumb_asks_for_a_greeting() -> None:
    request = YahooQuoting().quote_request([AAPL])
    refusal = {"finance": {"result": None, "error": {"description": "Invalid Crumb"}}}

    with pytest.raises(SessionExpiredError):
        Yahoo().check(request, answer(refusal, status=401))
    Yahoo().check(request, body(SHARE))
    signed = Yahoo().sign(request, Credentials(crumb="abc", cookies=(("A3", "x"),)))
    assert dict(signed.params)["crumb"] == "abc"


@pytest.mark.skipif(not RECORDED, reason="the shared recordings are not here")
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_answer_tells_what_it_says(path: Path) -> None:
    if path.name.endswith(".meta.json"):
        return
    raw = path.read_bytes()
    rows = json.loads(raw)["quoteResponse"]["result"]
    about = [instrument_of(row["symbol"]) for row in rows]

    found = YahooQuoting().read_quotes(HttpResponse(200, raw), about)

    for each, row in zip(about, rows, strict=True):
        told = found[each]
        if row["quoteType"] == "NONE":
            assert isinstance(told, SymbolUnknownError)
            continue
        assert isinstance(told, Snapshot)
        assert told.trade is not None
        assert told.trade.price == row.get("postMarketPrice", row["regularMarketPrice"])
        seconds = row.get("postMarketTime", row["regularMarketTime"])
        assert told.trade.time_ns == seconds * SECOND_NS
        assert (told.quote is None) == (not row.get("bid"))
        assert told.currency == row.get("currency", "")
