"""Instruments in IEX Cloud's spelling: US listings, as the exchanges write them."""

from __future__ import annotations

from urllib.parse import quote

from ingestion_server.domain.errors import CapabilityMissingError
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.venues import US_VENUES
from ingestion_server.providers.iex_cloud.declarations import NAME

CURRENCY = "USD"
"""Of all its prices, since they are of US listings; no answer says so."""


def spelling(instrument: Instrument) -> str | None:
    """
    Return the vendor's symbol, or None if it has none for the instrument.

    A share class has a dot, ``BRK.B`` [M].
    """
    if instrument.asset_class is not AssetClass.EQUITY:
        return None
    return instrument.symbol if instrument.exchange in US_VENUES else None


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


def in_path(instrument: Instrument) -> str:
    """
    Return the vendor's symbol as it stands in the path of a url.

    Raises:
        CapabilityMissingError: The vendor has none for the instrument.

    """
    return quote(spelled(instrument), safe="")
