"""Instruments in Finnhub's spelling: each names one market, or none."""

from __future__ import annotations

import pytest

from ingestion_server.domain.instrument import AssetClass, instrument
from ingestion_server.domain.venues import US_VENUES, VENUES
from ingestion_server.providers.finnhub import Finnhub
from ingestion_server.providers.finnhub.symbols import SUFFIXES


@pytest.mark.parametrize(
    ("symbol", "exchange", "spelled"),
    [
        ("AAPL", "XNAS", "AAPL"),
        ("BRK.B", "XNYS", "BRK.B"),
        ("VOD", "XLON", "VOD.L"),
        ("BT.A", "XLON", "BT-A.L"),
        ("SHOP", "XTSE", "SHOP.TO"),
        ("EUR/USD", "", "OANDA:EUR_USD"),
        ("BTC/USD", "", "COINBASE:BTC-USD"),
        ("BTC/EUR", "", "COINBASE:BTC-EUR"),
        ("BTC/USDT", "", "BINANCE:BTCUSDT"),
        ("ETH/BTC", "", "BINANCE:ETHBTC"),
        ("BTC/JPY", "", None),
        ("^GSPC", "", None),
        ("ES", "XCME", None),
    ],
)
def test_each_instrument_has_one_spelling_or_none(
    symbol: str, exchange: str, spelled: str | None
) -> None:
    found = Finnhub().spelling(instrument(symbol, exchange=exchange))

    assert found == spelled


def test_a_coin_that_follows_the_dollar_is_not_the_dollar() -> None:
    vendor = Finnhub()

    assert vendor.spelling(instrument("BTC/USD")) != vendor.spelling(
        instrument("BTC/USDT")
    )


def test_futures_have_none() -> None:
    found = Finnhub().spelling(instrument("GC", asset_class=AssetClass.FUTURE))

    assert found is None


def test_every_suffix_belongs_to_one_exchange_that_we_know() -> None:
    assert SUFFIXES.keys() <= VENUES.keys() - US_VENUES
    assert len(set(SUFFIXES.values())) == len(SUFFIXES)
