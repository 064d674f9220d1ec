"""The latest prices, from ``/quote`` of one symbol or the batch of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final, final

import msgspec

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.ticks import Quote, Snapshot, Trade
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.providers.iex_cloud.declarations import (
    FEED_DELAY_SECONDS,
    MOST_SYMBOLS,
    NAME,
    QUOTE,
)
from ingestion_server.providers.iex_cloud.payloads import (
    FARTHEST_MS,
    decoded,
    malformed,
)
from ingestion_server.providers.iex_cloud.symbols import CURRENCY, in_path, spelled

BATCH: Final = "stock/market/batch"
_MILLISECOND_NS: Final = 1_000_000
_DELAYS_SECONDS: Final = {
    "IEX real time price": 0.0,
    "15 minute delayed price": FEED_DELAY_SECONDS,
}
"""What the vendor says of a price, and how late it is then [M]."""


class _Quote(msgspec.Struct, rename="camel"):
    symbol: str = ""
    latest_price: float | None = None
    latest_source: str | None = None
    latest_update: int | None = None
    previous_close: float | None = None
    iex_last_updated: int | None = None
    iex_bid_price: float | None = None
    iex_bid_size: float | None = None
    iex_ask_price: float | None = None
    iex_ask_size: float | None = None


class _Quoted(msgspec.Struct):
    quote: _Quote | None = None


_one: Final = msgspec.json.Decoder(_Quote)
_several: Final = msgspec.json.Decoder(dict[str, _Quoted])


@final
class IexQuoting:
    """Tell the latest trades of US listings, and the best bid and ask on IEX."""

    asset_classes: frozenset[AssetClass] = frozenset({AssetClass.EQUITY})
    day_only: frozenset[AssetClass] = frozenset()
    most_symbols: int = MOST_SYMBOLS

    def __init__(self, root: str) -> None:
        self._root = root

    def quote_request(self, instruments: Sequence[Instrument]) -> HttpRequest:
        """
        Return the request about so many instruments at most.

        Raises:
            CapabilityMissingError: The vendor has no symbol for one of them.

        """
        if len(instruments) == 1:
            url = f"{self._root}stock/{in_path(instruments[0])}/{QUOTE}"
            return HttpRequest(NAME, url, feature=QUOTE)
        symbols = ",".join(map(spelled, instruments))
        return HttpRequest(
            NAME,
            self._root + BATCH,
            (("symbols", symbols), ("types", QUOTE)),
            feature=QUOTE,
            times=len(instruments),
        )

    def read_quotes(
        self, response: HttpResponse, instruments: Sequence[Instrument]
    ) -> Mapping[Instrument, Snapshot | ProviderError]:
        """
        Read the answer: for each instrument what is known, or why nothing is.

        Raises:
            MalformedPayloadError: It holds no quotes.
            NoDataUnexplainedError: The only quote tells nothing.

        """
        if len(instruments) == 1:
            (instrument,) = instruments
            quote = decoded(_one, response.body, "a quote")
            return {instrument: _told(quote, instrument)}
        quotes = {
            symbol.upper(): quoted.quote
            for symbol, quoted in decoded(_several, response.body, "quotes").items()
        }
        return {each: _of_several(quotes, each) for each in instruments}


def told_at_ns(body: bytes) -> int | None:
    """Return when the latest trade took place; None if the body is no quote."""
    try:
        quote = decoded(_one, body, "a quote")
    except MalformedPayloadError:
        return None
    return _time_ns(quote.latest_update)


def _of_several(
    quotes: Mapping[str, _Quote | None], instrument: Instrument
) -> Snapshot | ProviderError:
    quote = quotes.get(spelled(instrument))
    if quote is None:
        # What it does not know is left out [M].
        return unknown(instrument)
    try:
        return _told(quote, instrument)
    except ProviderError as error:
        return error


def unknown(instrument: Instrument) -> SymbolUnknownError:
    """Return the error that says that a symbol is left out of an answer about many."""
    return SymbolUnknownError(
        f"{NAME} does not know {spelled(instrument)}",
        provider=NAME,
        symbol=instrument.symbol,
    )


def _told(quote: _Quote, instrument: Instrument) -> Snapshot:
    if quote.symbol.upper() not in {"", spelled(instrument)}:
        raise malformed("a quote of another symbol")
    if quote.latest_price is None:
        raise NoDataUnexplainedError(
            f"{NAME} told no price of {instrument.symbol}", provider=NAME
        )
    if not quote.latest_price > 0 or not isfinite(quote.latest_price):
        raise malformed("a quote without a price")
    time_ns = _time_ns(quote.latest_update)
    if time_ns is None:
        raise malformed("a quote without a time")
    return Snapshot(
        trade=Trade(instrument.symbol, time_ns, quote.latest_price),
        quote=_best(quote, instrument),
        currency=CURRENCY,
        previous_close=_positive(quote.previous_close),
        feed_delay_seconds=_DELAYS_SECONDS.get(quote.latest_source or ""),
    )


def _best(quote: _Quote, instrument: Instrument) -> Quote | None:
    """Return the best bid and ask on IEX alone; 0 stands for none [R]."""
    bid, ask = _positive(quote.iex_bid_price), _positive(quote.iex_ask_price)
    time_ns = _time_ns(quote.iex_last_updated)
    if time_ns is None or (bid is None and ask is None):
        return None
    return Quote(
        instrument.symbol,
        time_ns,
        bid=bid,
        bid_size=None if bid is None else _positive(quote.iex_bid_size),
        ask=ask,
        ask_size=None if ask is None else _positive(quote.iex_ask_size),
    )


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 and isfinite(value) else None


def _time_ns(time_ms: int | None) -> int | None:
    if time_ms is None or not 0 < time_ms < FARTHEST_MS:
        return None
    return time_ms * _MILLISECOND_NS
