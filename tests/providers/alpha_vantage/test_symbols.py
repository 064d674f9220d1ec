"""Instruments in Alpha Vantage's spelling."""

from __future__ import annotations

import pytest

from ingestion_server.domain.errors import CapabilityMissingError
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.alpha_vantage.symbols import currency, parameters


@pytest.mark.parametrize(
    ("symbol", "exchange", "spelled"),
    [
        ("AAPL", "", "AAPL"),
        ("AAPL", "XNAS", "AAPL"),
        ("BRK.B", "", "BRK-B"),
        ("TSCO", "XLON", "TSCO.LON"),
        ("SHOP", "XTSE", "SHOP.TRT"),
        ("GPV", "XTSX", "GPV.TRV"),
        ("MBG", "XETR", "MBG.DEX"),
        ("RELIANCE", "XBOM", "RELIANCE.BSE"),
        ("600104", "XSHG", "600104.SHH"),
        ("000002", "XSHE", "000002.SHZ"),
        ("7203", "XTKS", None),
        ("^GSPC", "", None),
        ("EUR/USD", "", "EUR/USD"),
        ("BTC/USD", "", "BTC/USD"),
        ("BTC/USDT", "", None),
    ],
)
def test_spelling(symbol: str, exchange: str, spelled: str | None) -> None:
    assert AlphaVantage().spelling(instrument(symbol, exchange=exchange)) == spelled


def test_a_future_and_an_unknown_exchange_have_no_spelling() -> None:
    vendor = AlphaVantage()

    assert vendor.spelling(Instrument("GC", AssetClass.FUTURE)) is None
    assert vendor.spelling(Instrument("IBM", AssetClass.EQUITY)) is None


def test_requests_name_the_halves_of_a_pair_apart() -> None:
    assert parameters(instrument("EUR/USD")) == (
        ("from_symbol", "EUR"),
        ("to_symbol", "USD"),
    )
    assert parameters(instrument("BTC/EUR")) == (("symbol", "BTC"), ("market", "EUR"))


def test_what_has_no_spelling_has_no_parameters() -> None:
    with pytest.raises(CapabilityMissingError, match="XTKS"):
        parameters(instrument("7203", exchange="XTKS"))


@pytest.mark.parametrize(
    ("symbol", "exchange", "unit"),
    [
        ("IBM", "", "USD"),
        ("CHF/JPY", "", "JPY"),
        ("BTC/CNY", "", "CNY"),
        ("TSCO", "XLON", ""),
    ],
)
def test_the_unit_of_prices(symbol: str, exchange: str, unit: str) -> None:
    assert currency(instrument(symbol, exchange=exchange)) == unit
