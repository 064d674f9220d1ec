"""Symbols that are like another: what is asked, and what of the answer can be meant."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.ports.searching import Suggestion
from ingestion_server.providers.finnhub import Finnhub
from ingestion_server.providers.finnhub.declarations import ENDPOINTS
from ingestion_server.providers.finnhub.search import FinnhubSearch
from tests.providers.finnhub.answers import BITCOIN, EURUSD, answer

SEARCH = FinnhubSearch()
APPL = Instrument("APPL", AssetClass.EQUITY, "XNYS")
VODA = Instrument("VODA", AssetClass.EQUITY, "XLON")


def row(symbol: str, name: str = "Acme Inc") -> dict[str, str]:
    """Return a match as the vendor writes it."""
    return {
        "description": name,
        "displaySymbol": symbol,
        "symbol": symbol,
        "type": "Common Stock",
    }


def found(*rows: Mapping[str, object], of: Instrument = APPL) -> list[Suggestion]:
    """Read an answer with these matches."""
    body = {"count": len(rows), "result": rows}
    return list(SEARCH.read_search(answer(body), of))


def symbols(*spelled: str, of: Instrument = APPL) -> list[str]:
    """Return our spelling of those matches that can be meant."""
    return [each.symbol for each in found(*map(row, spelled), of=of)]


@pytest.mark.parametrize(
    ("instrument", "exchange", "feature"),
    [(APPL, "US", "search"), (VODA, "L", "search:international")],
)
def test_it_is_asked_for_the_exchange_of_the_instrument(
    instrument: Instrument, exchange: str, feature: str
) -> None:
    request = SEARCH.search_request(instrument)

    assert request is not None
    assert request.url == "https://finnhub.io/api/v1/search"
    assert request.params == (("q", instrument.symbol), ("exchange", exchange))
    assert request.feature == feature
    assert feature in ENDPOINTS
    assert Finnhub().identity(request.full_url, b"") is not None


@pytest.mark.parametrize(
    "instrument",
    [
        EURUSD,
        BITCOIN,
        Instrument("^GSPX", AssetClass.INDEX, "XNYS"),
        Instrument("GX", AssetClass.FUTURE),
        Instrument("VODA", AssetClass.EQUITY, "XCME"),
    ],
)
def test_what_it_has_no_listings_of_is_not_asked_for(instrument: Instrument) -> None:
    assert SEARCH.search_request(instrument) is None


def test_matches_come_in_the_order_of_the_vendor_with_their_names() -> None:
    told = found(row("AAPL", "Apple Inc"), row("AMAT", "Applied Materials Inc"))

    assert told == [
        Suggestion("AAPL", "Apple Inc"),
        Suggestion("AMAT", "Applied Materials Inc"),
    ]


def test_in_the_us_a_share_class_is_meant_and_a_listing_abroad_is_not() -> None:
    spelled = ("BRK.B", "AAPL.TO", "AAPL.L", "AAPL.BE", "ACME.WS", "brk.a", "AAPL")

    assert symbols(*spelled) == ["BRK.B", "BRK.A", "AAPL"]


def test_abroad_the_suffix_is_the_exchange_and_no_part_of_the_symbol() -> None:
    assert symbols("VOD.L", "BT-A.L", "VOD", "VOD.DE", ".L", of=VODA) == ["VOD", "BT.A"]


def test_what_could_not_be_asked_for_is_left_out() -> None:
    spelled = ("OANDA:EUR_USD", "BTC-USD", "^GSPC", "", "A" * 33, "ÄPFEL", "A B", "OK")

    assert symbols(*spelled) == ["OK"]


def test_a_name_is_made_fit_for_a_sentence() -> None:
    (told,) = found(row("AAPL", " Apple\x1b[31m\n  Inc " + "x" * 100))

    assert told.name == "Apple [31m Inc " + "x" * 45


def test_a_match_without_a_symbol_is_left_out_and_one_without_a_name_is_not() -> None:
    told = found({"symbol": None}, {}, {"symbol": "AAPL", "description": None})

    assert told == [Suggestion("AAPL", "")]


def test_that_nothing_is_like_it_is_an_answer() -> None:
    assert found() == []


def test_an_empty_object_is_no_answer() -> None:
    with pytest.raises(NoDataUnexplainedError):
        SEARCH.read_search(answer({}), APPL)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"result": 7}', b'{"result": [[]]}'])
def test_what_is_no_list_of_matches_is_rubbish(body: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        SEARCH.read_search(answer(body), APPL)


@given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from(["symbol", "description", "type"]),
            st.one_of(st.none(), st.integers(), st.text(max_size=40)),
        ),
        max_size=4,
    )
)
def test_whatever_is_in_a_match_it_ends_in_symbols_of_ours_or_in_our_error(
    rows: list[dict[str, object]],
) -> None:
    body = json.dumps({"count": len(rows), "result": rows}).encode()
    for instrument in (APPL, VODA):
        try:
            told = SEARCH.read_search(answer(body), instrument)
        except ProviderError:
            continue
        for each in told:
            assert each.symbol == each.symbol.upper()
            assert "," not in each.symbol
            assert each.name.isprintable()
