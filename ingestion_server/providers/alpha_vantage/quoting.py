"""
Latest prices, one instrument a call.

Of equities the vendor tells the day of the last price, and no time [R]: such a price
has the time of that day's midnight, and is marked as doubtful. Of pairs it tells time,
bid and ask [R].
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final, final

import msgspec

from ingestion_server.domain.errors import (
    NoDataUnexplainedError,
    ProviderError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.ticks import Quote, Snapshot, TickMark, Trade
from ingestion_server.domain.zones import utc_from_local
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.providers.alpha_vantage.declarations import (
    LAST_PRICE,
    NAME,
    QUERY_URL,
    RATE,
)
from ingestion_server.providers.alpha_vantage.payloads import (
    UNREADABLE,
    malformed,
    names,
    parts,
    quoted,
)
from ingestion_server.providers.alpha_vantage.stamps import wall_times, zone_named
from ingestion_server.providers.alpha_vantage.symbols import currency, parameters

_LAST_PRICE_PART: Final = "Global Quote"
_RATE_PART: Final = "Realtime Currency Exchange Rate"
_PAIRS: Final = frozenset({AssetClass.FX, AssetClass.CRYPTO})
_NUMBERED: Final = re.compile(r"^\d+[a-z]?\.\s*")
_NONE: Final = frozenset({"", "-", "None", "."})
"""What stands where there is no number [R]."""
_fields: Final = msgspec.json.Decoder(dict[str, str | float | None])


@final
class AlphaVantageQuoting:
    """Tell the latest price of one instrument at a time."""

    asset_classes: frozenset[AssetClass] = frozenset({AssetClass.EQUITY}) | _PAIRS
    day_only: frozenset[AssetClass] = frozenset({AssetClass.EQUITY})
    most_symbols: int = 1
    """More at once are for premium plans only [M]."""

    def quote_request(self, instruments: Sequence[Instrument]) -> HttpRequest:
        """
        Return the request about the only one.

        Raises:
            CapabilityMissingError: The vendor has no symbol for it.

        """
        (instrument,) = instruments
        named = parameters(instrument)
        function = LAST_PRICE
        if instrument.asset_class in _PAIRS:
            function = RATE
            base, quote = instrument.pair
            named = (("from_currency", base), ("to_currency", quote))
        return HttpRequest(
            NAME, QUERY_URL, (("function", function), *named), feature=function
        )

    def read_quotes(
        self, response: HttpResponse, instruments: Sequence[Instrument]
    ) -> Mapping[Instrument, Snapshot | ProviderError]:
        """
        Read the only one.

        Raises:
            MalformedPayloadError: This is no price.
            NoDataUnexplainedError: There is none.

        """
        (instrument,) = instruments
        if instrument.asset_class in _PAIRS:
            return {instrument: _rate(_told(response.body, _RATE_PART), instrument)}
        told = _told(response.body, _LAST_PRICE_PART)
        return {instrument: _last_price(told, instrument)}


def _last_price(told: Mapping[str, str], instrument: Instrument) -> Snapshot:
    given, asked = told.get("symbol", ""), dict(parameters(instrument))["symbol"]
    if given and given.upper() != asked:
        raise malformed(f"the price of {quoted(given)}, asked for {quoted(asked)}")
    price, day = _number(told, "price"), told.get("latest trading day", "")
    if price is None or day in _NONE:
        raise NoDataUnexplainedError(
            f"{NAME} told no price of {instrument.symbol}", provider=NAME
        )
    return Snapshot(
        trade=Trade(
            instrument.symbol,
            int(wall_times([day])[0]),
            price,
            marks=TickMark.TIME_DOUBTFUL,
        ),
        currency=currency(instrument),
        previous_close=_number(told, "previous close"),
    )


def _rate(told: Mapping[str, str], instrument: Instrument) -> Snapshot:
    price, when = _number(told, "Exchange Rate"), told.get("Last Refreshed", "")
    if price is None or when in _NONE:
        raise NoDataUnexplainedError(
            f"{NAME} told no rate of {instrument.symbol}", provider=NAME
        )
    zone = zone_named(told.get("Time Zone") or "UTC")
    time_ns = int(utc_from_local(wall_times([when]), zone)[0])
    bid, ask = _number(told, "Bid Price"), _number(told, "Ask Price")
    quote = None
    if bid is not None or ask is not None:
        quote = Quote(instrument.symbol, time_ns, bid=bid, ask=ask)
    return Snapshot(
        trade=Trade(instrument.symbol, time_ns, price),
        quote=quote,
        currency=currency(instrument),
    )


def _told(body: bytes, part: str) -> dict[str, str]:
    """Return the fields of a part without the numbers before their names."""
    members = parts(body)
    if part not in members:
        raise malformed(f"no {quoted(part)} but {names(members)}")
    try:
        fields = _fields.decode(members[part])
    except UNREADABLE as error:
        raise malformed(f"a price that cannot be read ({error})") from error
    return {
        _NUMBERED.sub("", name): str(value)
        for name, value in fields.items()
        if value is not None
    }


def _number(told: Mapping[str, str], name: str) -> float | None:
    """Return a number; None if there is none, or none that means anything."""
    text = told.get(name, "")
    if text in _NONE:
        return None
    try:
        number = float(text)
    except ValueError as error:
        raise malformed(f"{quoted(name)} of {quoted(text)}") from error
    return number if isfinite(number) else None
