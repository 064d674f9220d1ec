"""Yahoo's symbols, to and from ours."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from ingestion_server.domain.currencies import FIAT
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.venues import INDEX_VENUES, PRIMARY_VENUE, US_VENUES

SUFFIXES: Final = MappingProxyType(
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
"""What follows a symbol, by the exchange's market identifier code."""
_VENUES: Final = {suffix: mic for mic, suffix in SUFFIXES.items()}


def spelling(instrument: Instrument) -> str | None:
    """Return Yahoo's symbol, or None if it has none for the exchange."""
    match instrument.asset_class:
        case AssetClass.FX:
            return "".join(instrument.pair) + "=X"
        case AssetClass.CRYPTO:
            return "-".join(instrument.pair)
        case AssetClass.INDEX:
            return instrument.symbol
        case AssetClass.FUTURE:
            return f"{instrument.symbol}=F"
        case AssetClass.EQUITY:
            plain = instrument.symbol.replace(".", "-")
            if instrument.exchange in US_VENUES:
                return plain
            suffix = SUFFIXES.get(instrument.exchange)
            return None if suffix is None else plain + suffix


def instrument_of(symbol: str) -> Instrument:
    """Return what Yahoo means by one of its symbols."""
    symbol = symbol.upper()
    if symbol.startswith("^"):
        return Instrument(symbol, AssetClass.INDEX, INDEX_VENUES.get(symbol, ""))
    if symbol.endswith("=X"):
        pair = symbol.removesuffix("=X")
        # The dollar is left out where it comes first: JPY=X is USD/JPY.
        base, quote = (pair[:-3], pair[-3:]) if len(pair) > 3 else ("USD", pair)  # noqa: PLR2004 - length of a currency code
        return Instrument(f"{base}/{quote}", AssetClass.FX)
    if symbol.endswith("=F"):
        return Instrument(symbol.removesuffix("=F"), AssetClass.FUTURE)
    name, dot, suffix = symbol.rpartition(".")
    if dot and f".{suffix}" in _VENUES:
        return Instrument(
            name.replace("-", "."), AssetClass.EQUITY, _VENUES[f".{suffix}"]
        )
    base, dash, quote = symbol.rpartition("-")
    if dash and quote in FIAT:
        return Instrument(f"{base}/{quote}", AssetClass.CRYPTO)
    # No symbol of a US listing has a dot, so this is an exchange that we do not know.
    venue = "" if dot else PRIMARY_VENUE
    return Instrument(symbol.replace("-", "."), AssetClass.EQUITY, venue)


def same(given: str, asked: str) -> bool:
    """Tell whether two of Yahoo's symbols mean the same instrument."""
    return given.upper() == asked.upper() or (
        instrument_of(given) == instrument_of(asked)
    )
