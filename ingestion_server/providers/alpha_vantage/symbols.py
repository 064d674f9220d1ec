"""Instruments in Alpha Vantage's spelling."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ingestion_server.domain.currencies import FIAT
from ingestion_server.domain.errors import CapabilityMissingError
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.venues import US_VENUES
from ingestion_server.providers.alpha_vantage.declarations import NAME

SUFFIXES: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(US_VENUES, "")
    | {
        "XLON": ".LON",
        "XTSE": ".TRT",
        "XTSX": ".TRV",
        "XETR": ".DEX",
        "XBOM": ".BSE",
        "XSHG": ".SHH",
        "XSHE": ".SHZ",
    }
)
"""What follows a symbol, by exchange [P]."""


def spelling(instrument: Instrument) -> str | None:
    """
    Return the vendor's symbol, or None if it has none for the instrument.

    A share class is written with a hyphen, ``BRK-B`` [M], because the vendor keeps the
    dot for the exchange. A pair stays ``EUR/USD``, though requests name its halves
    apart. The quote of a crypto pair must be a national currency: the vendor's
    "markets" are those [P].
    """
    base, quote = instrument.pair
    match instrument.asset_class:
        case AssetClass.EQUITY:
            suffix = SUFFIXES.get(instrument.exchange)
            return None if suffix is None else base.replace(".", "-") + suffix
        case AssetClass.FX:
            return instrument.symbol
        case AssetClass.CRYPTO:
            known = quote in FIAT and base not in FIAT
            return instrument.symbol if known else None
        case AssetClass.INDEX | AssetClass.FUTURE:
            return None


def parameters(instrument: Instrument) -> tuple[tuple[str, str], ...]:
    """
    Return the query parameters that name the instrument.

    Raises:
        CapabilityMissingError: The vendor has no symbol for it.

    """
    spelled = spelling(instrument)
    if spelled is None:
        raise CapabilityMissingError(
            f"{NAME} has no symbol for {instrument.symbol}"
            + (f" on {instrument.exchange}" if instrument.exchange else ""),
            provider=NAME,
        )
    base, quote = instrument.pair
    match instrument.asset_class:
        case AssetClass.FX:
            return ("from_symbol", base), ("to_symbol", quote)
        case AssetClass.CRYPTO:
            return ("symbol", base), ("market", quote)
        case _:
            return (("symbol", spelled),)


def currency(instrument: Instrument) -> str:
    """
    Return the unit of the prices; empty where the vendor's bars do not say.

    US listings trade in dollars; in London, pence or pounds are both possible.
    """
    if instrument.asset_class in {AssetClass.FX, AssetClass.CRYPTO}:
        return instrument.pair[1]
    return "USD" if instrument.exchange in US_VENUES else ""
