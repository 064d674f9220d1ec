"""Yahoo's symbols, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.currencies import FIAT
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.domain.venues import US_VENUES, VENUES
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.providers.yahoo.symbols import SUFFIXES, instrument_of, same


@pytest.mark.parametrize(
    ("symbol", "exchange", "kind", "spelled"),
    [
        ("AAPL", "", None, "AAPL"),
        ("BRK.B", "", None, "BRK-B"),
        ("BRK.B", "XNYS", None, "BRK-B"),
        ("SPY", "ARCX", None, "SPY"),
        ("VOD", "XLON", None, "VOD.L"),
        ("BT.A", "XLON", None, "BT-A.L"),
        ("7203", "XTKS", None, "7203.T"),
        ("EUR/USD", "", None, "EURUSD=X"),
        ("USD/JPY", "", None, "USDJPY=X"),
        ("BTC/USD", "", None, "BTC-USD"),
        ("^GSPC", "", None, "^GSPC"),
        ("GC", "XCEC", AssetClass.FUTURE, "GC=F"),
    ],
)
def test_symbols_are_spelled_as_yahoo_does(
    symbol: str, exchange: str, kind: AssetClass | None, spelled: str
) -> None:
    asked = instrument(symbol, asset_class=kind, exchange=exchange)

    assert Yahoo().spelling(asked) == spelled


@pytest.mark.parametrize("exchange", ["XCME", "XCBT", "", "NOPE"])
def test_a_share_on_an_exchange_without_suffix_has_no_symbol(exchange: str) -> None:
    asked = Instrument("ABC", AssetClass.EQUITY, exchange)

    assert Yahoo().spelling(asked) is None


def test_suffixes_are_of_known_venues_and_each_means_one() -> None:
    assert SUFFIXES.keys() <= VENUES.keys()
    assert len(set(SUFFIXES.values())) == len(SUFFIXES)
    assert not SUFFIXES.keys() & US_VENUES


plain = st.from_regex(r"[A-Z0-9]{1,6}(\.[A-Z0-9]{1,3})?", fullmatch=True)
shares = st.builds(
    Instrument, plain, st.just(AssetClass.EQUITY), st.sampled_from(sorted(SUFFIXES))
)
us_shares = st.builds(
    Instrument,
    plain.filter(lambda symbol: symbol.rpartition(".")[2] not in FIAT),
    st.just(AssetClass.EQUITY),
    st.just("XNYS"),
)
fiat = st.sampled_from(sorted(FIAT))
pairs = st.tuples(fiat, fiat).map("/".join)
coins = st.tuples(st.sampled_from(["BTC", "ETH", "1INCH"]), fiat)
others = st.one_of(
    st.builds(Instrument, pairs, st.just(AssetClass.FX)),
    st.builds(Instrument, coins.map("/".join), st.just(AssetClass.CRYPTO)),
    st.builds(Instrument, st.sampled_from(["GC", "ES"]), st.just(AssetClass.FUTURE)),
    st.sampled_from(["^GSPC", "^FCHI", "^NOBODY"]).map(instrument),
)


@given(asked=st.one_of(shares, us_shares, others))
def test_what_we_spell_means_what_we_meant(asked: Instrument) -> None:
    spelled = Yahoo().spelling(asked)

    assert spelled is not None
    assert instrument_of(spelled) == asked
    assert instrument_of(spelled.lower()) == asked
    assert same(spelled.lower(), spelled)


@given(plain, st.sampled_from(sorted(US_VENUES)))
def test_all_exchanges_of_the_us_are_one_to_yahoo(symbol: str, exchange: str) -> None:
    asked = Instrument(symbol, AssetClass.EQUITY, exchange)

    assert Yahoo().spelling(asked) == symbol.replace(".", "-")


def test_the_dollar_is_left_out_where_it_comes_first() -> None:
    assert instrument_of("JPY=X").symbol == "USD/JPY"
    assert same("JPY=X", "USDJPY=X")


def test_a_suffix_that_we_do_not_know_is_no_us_listing() -> None:
    found = instrument_of("AAPL.BA")

    assert found.exchange == ""
    assert not same("AAPL.BA", "AAPL-BA")


@given(st.text(), st.text())
def test_any_text_can_be_compared(one: str, other: str) -> None:
    assert same(one, one)
    same(one, other)
    Yahoo().spelling(instrument_of(one))
