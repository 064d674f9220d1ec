"""Symbols in our spelling, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.domain.venues import (
    INDEX_VENUES,
    PRIMARY_VENUE,
    US_VENUES,
    VENUES,
)


@pytest.mark.parametrize(
    ("symbol", "kind", "exchange"),
    [
        ("AAPL", AssetClass.EQUITY, "XNYS"),
        (" aapl ", AssetClass.EQUITY, "XNYS"),
        ("brk.b", AssetClass.EQUITY, "XNYS"),
        ("7203", AssetClass.EQUITY, "XNYS"),
        ("EUR/USD", AssetClass.FX, ""),
        ("eur/usd", AssetClass.FX, ""),
        ("BTC/USD", AssetClass.CRYPTO, ""),
        ("ETH/BTC", AssetClass.CRYPTO, ""),
        ("^GSPC", AssetClass.INDEX, "XNYS"),
        ("^n225", AssetClass.INDEX, "XTKS"),
        ("^NOBODY", AssetClass.INDEX, ""),
    ],
)
def test_a_symbol_tells_its_kind(symbol: str, kind: AssetClass, exchange: str) -> None:
    assert instrument(symbol) == Instrument(symbol.strip().upper(), kind, exchange)


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "   ",
        "^",
        "^^GSPC",
        "A" * 33,
        "A B",
        "A/B/C",
        "/USD",
        "EUR/",
        "EUR//USD",
        "EUR/USD/",
        "^EUR/USD",
        ".A",
        "A.",
        "A-",
        "🚀",
        "AAPL🚀",
        "straße",
        "\N{LATIN SMALL LETTER DOTLESS I}bm",
        "\N{LATIN SMALL LETTER LONG S}py",
        "\N{FULLWIDTH LATIN CAPITAL LETTER A}APL",
        "A\nB",
        "A\x00",
        "../ETC",
        "A&B=C",
        "A" * 13 + "/USD",
        "A" * 1_000_000,
        "USD/USD",
        "btc/BTC",
    ],
)
def test_what_no_symbol_looks_like_is_refused(symbol: str) -> None:
    with pytest.raises(InvalidQueryError) as refused:
        instrument(symbol)

    assert [violation.field for violation in refused.value.violations] == ["symbol"]
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    ("symbol", "kind"),
    [
        ("AAPL", AssetClass.FX),
        ("AAPL", AssetClass.CRYPTO),
        ("AAPL", AssetClass.INDEX),
        ("EUR/USD", AssetClass.EQUITY),
        ("EUR/USD", AssetClass.FUTURE),
        ("BTC/USD", AssetClass.FX),
        ("^GSPC", AssetClass.EQUITY),
        ("^GSPC", AssetClass.FUTURE),
    ],
)
def test_a_kind_that_contradicts_the_symbol_is_refused(
    symbol: str, kind: AssetClass
) -> None:
    with pytest.raises(InvalidQueryError) as refused:
        instrument(symbol, asset_class=kind)

    assert refused.value.facts() == {"fields": "asset_class"}


def test_a_future_is_what_the_caller_says_it_is() -> None:
    assert instrument("GC", asset_class=AssetClass.FUTURE) == Instrument(
        "GC", AssetClass.FUTURE
    )
    assert (
        instrument("gc", asset_class=AssetClass.FUTURE, exchange="xcec").exchange
        == "XCEC"
    )


def test_an_exchange_that_is_told_is_kept() -> None:
    ocado = instrument("OCDO", exchange=" xlon ")

    assert ocado.exchange == "XLON"
    assert ocado.venue is not None
    assert ocado.venue.zone == "Europe/London"


@pytest.mark.parametrize("exchange", ["XXXX", "NYSE", "🚀", "X" * 100_000])
def test_an_unknown_exchange_is_refused_in_few_words(exchange: str) -> None:
    with pytest.raises(InvalidQueryError) as refused:
        instrument("AAPL", exchange=exchange)

    assert refused.value.facts() == {"fields": "exchange"}
    assert len(refused.value.message) < 200


def test_a_pair_has_no_exchange() -> None:
    with pytest.raises(InvalidQueryError, match="must be empty for pairs"):
        instrument("EUR/USD", exchange="XNYS")


def test_a_pair_has_two_parts_and_no_venue() -> None:
    euro = instrument("EUR/USD")

    assert euro.pair == ("EUR", "USD")
    assert euro.venue is None
    assert instrument("AAPL").pair == ("AAPL", "")


@given(st.text(max_size=40))
def test_any_text_is_an_instrument_or_refused(text: str) -> None:
    try:
        read = instrument(text)
    except InvalidQueryError:
        return

    assert read.symbol.isascii()
    assert instrument(read.symbol) == read


def test_only_equities_have_corporate_actions() -> None:
    assert [kind for kind in AssetClass if kind.adjustable] == [AssetClass.EQUITY]


def test_every_venue_that_is_named_is_known() -> None:
    assert {PRIMARY_VENUE, *US_VENUES, *INDEX_VENUES.values()} <= VENUES.keys()
