"""Instruments in Finnhub's spelling."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ingestion_server.domain.errors import CapabilityMissingError
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.venues import US_VENUES
from ingestion_server.providers.finnhub.declarations import ABROAD, NAME

SUFFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "XLON": ".L",
        "XDUB": ".IR",
        "XETR": ".DE",
        "XFRA": ".F",
        "XPAR": ".PA",
        "XAMS": ".AS",
        "XBRU": ".BR",
        "XLIS": ".LS",
        "XMIL": ".MI",
        "XMAD": ".MC",
        "XSWX": ".SW",
        "XWBO": ".VI",
        "XSTO": ".ST",
        "XOSL": ".OL",
        "XCSE": ".CO",
        "XHEL": ".HE",
        "XWAR": ".WA",
        "XTAE": ".TA",
        "XJSE": ".JO",
        "XTSE": ".TO",
        "XTSX": ".V",
        "BVMF": ".SA",
        "XMEX": ".MX",
        "XTKS": ".T",
        "XHKG": ".HK",
        "XSHG": ".SS",
        "XSHE": ".SZ",
        "XKRX": ".KS",
        "XTAI": ".TW",
        "XSES": ".SI",
        "XBOM": ".BO",
        "XNSE": ".NS",
        "XIDX": ".JK",
        "XASX": ".AX",
        "XNZE": ".NZ",
    }
)
"""What follows a symbol, by exchange: ``.L`` and ``.TO`` [D], the rest [M]."""
_ON_COINBASE: Final = frozenset({"USD", "EUR", "GBP"})
_ON_BINANCE: Final = frozenset({"USDT", "USDC", "BTC", "ETH", "BNB"})
"""
Where what follows the dollar is the quote; that is no dollar, and ``BTC/USD`` is not
meant by it.
"""


def spelling(instrument: Instrument) -> str | None:
    """
    Return the vendor's symbol, or None if it has none for the instrument.

    US share classes keep their dot, elsewhere it is a hyphen [M]. Of pairs, the
    vendor's symbol names a market too: OANDA for currencies [D]; for crypto Coinbase
    [M] where the quote is a national currency, else Binance [R].
    """
    base, quote = instrument.pair
    match instrument.asset_class:
        case AssetClass.EQUITY:
            if instrument.exchange in US_VENUES:
                return base
            suffix = SUFFIXES.get(instrument.exchange)
            return None if suffix is None else base.replace(".", "-") + suffix
        case AssetClass.FX:
            return f"OANDA:{base}_{quote}"
        case AssetClass.CRYPTO:
            if quote in _ON_COINBASE:
                return f"COINBASE:{base}-{quote}"
            return f"BINANCE:{base}{quote}" if quote in _ON_BINANCE else None
        case AssetClass.INDEX | AssetClass.FUTURE:
            return None


def spelled(instrument: Instrument) -> str:
    """
    Return the vendor's symbol.

    Raises:
        CapabilityMissingError: The vendor has none for the instrument.

    """
    symbol = spelling(instrument)
    if symbol is None:
        place = f" on {instrument.exchange}" if instrument.exchange else ""
        raise CapabilityMissingError(
            f"{NAME} has no symbol for {instrument.symbol}{place}", provider=NAME
        )
    return symbol


def feature(path: str, instrument: Instrument) -> str:
    """Return what a plan may not include: a path, perhaps of other markets only."""
    listed = instrument.asset_class is AssetClass.EQUITY
    return path + ABROAD if listed and instrument.exchange not in US_VENUES else path


def currency(instrument: Instrument) -> str:
    """
    Return the unit of the prices; empty where the vendor's answers do not say.

    US listings trade in dollars; in London, pence or pounds are both possible.
    """
    if instrument.asset_class in {AssetClass.FX, AssetClass.CRYPTO}:
        return instrument.pair[1]
    return "USD" if instrument.exchange in US_VENUES else ""
