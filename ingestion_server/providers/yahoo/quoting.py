"""
Latest quotes: ``{"quoteResponse": {"result": [{"symbol", …}], "error"}}``.

An unknown symbol is silently missing from the list [R]. Prices are plain decimals here,
unlike those of charts [R].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, final

import msgspec

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    NoDataUnexplainedError,
    ProviderError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.ticks import Quote, Snapshot, Trade
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.providers.yahoo.declarations import NAME, QUOTE, QUOTE_URL
from ingestion_server.providers.yahoo.payload import FARTHEST_SECONDS, malformed
from ingestion_server.providers.yahoo.symbols import same, spelling

_MOST_SYMBOLS: Final = 50
"""
No limit is known. Even of the longest symbols these fit an address of 2,000 letters,
and a call that fails takes no more of an answer with it.
"""
_NOTHING: Final = "NONE"
"""The kind of an instrument that is listed no more [R]."""
_MINUTE_SECONDS: Final = 60.0
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class _Trouble(msgspec.Struct):
    description: str | None = None


class _Response(msgspec.Struct):
    result: list[msgspec.Raw] | None = None
    error: _Trouble | None = None


class _Reply(msgspec.Struct, rename="camel"):
    quote_response: _Response


class _Named(msgspec.Struct):
    symbol: str


class _Row(msgspec.Struct, rename="camel"):
    """Hold what is told of one instrument; keys come and go [R]."""

    symbol: str
    quote_type: str | None = None
    currency: str | None = None
    regular_market_price: float | None = None
    regular_market_time: int | None = None
    pre_market_price: float | None = None
    pre_market_time: int | None = None
    post_market_price: float | None = None
    post_market_time: int | None = None
    regular_market_previous_close: float | None = None
    bid: float | None = None
    bid_size: float | None = None
    ask: float | None = None
    ask_size: float | None = None
    exchange_data_delayed_by: float | None = None
    """In minutes [R]."""


_reply: Final = msgspec.json.Decoder(_Reply)
_named: Final = msgspec.json.Decoder(_Named)
_row: Final = msgspec.json.Decoder(_Row)


@final
class YahooQuoting:
    """Tell the latest quotes of up to 50 instruments at once."""

    asset_classes: frozenset[AssetClass] = frozenset(AssetClass)
    day_only: frozenset[AssetClass] = frozenset()
    most_symbols: int = _MOST_SYMBOLS

    def quote_request(self, instruments: Sequence[Instrument]) -> HttpRequest:
        """
        Return the one request about all of them.

        Raises:
            CapabilityMissingError: There is no symbol for one of them.

        """
        symbols = ",".join(map(_spelled, instruments))
        return HttpRequest(
            NAME,
            QUOTE_URL,
            (("symbols", symbols),),
            feature=QUOTE,
            # Without a crumb it is refused [R].
            needs_session=True,
        )

    def read_quotes(
        self, response: HttpResponse, instruments: Sequence[Instrument]
    ) -> Mapping[Instrument, Snapshot | ProviderError]:
        """
        Read what is told of each, in whatever order and spelling.

        Raises:
            MalformedPayloadError: This is no list of quotes.

        """
        rows = dict(_rows(response.body))
        found: dict[Instrument, Snapshot | ProviderError] = {}
        for instrument in instruments:
            asked = _spelled(instrument)
            raw = rows.get(asked) or next(
                (row for given, row in rows.items() if same(given, asked)), None
            )
            if raw is None:
                found[instrument] = _unknown(instrument, "left it out")
            else:
                found[instrument] = _read(raw, instrument)
        return found


def _rows(body: bytes) -> Iterator[tuple[str, msgspec.Raw]]:
    """Yield the rows that have a name; others mean nothing."""
    try:
        told = _reply.decode(body).quote_response
    except _UNREADABLE as error:
        raise malformed(f"quotes that cannot be read: {error}") from error
    if told.error is not None:
        description = told.error.description or ""
        raise malformed(f"an error beside a success: {description[:200]}")
    for raw in told.result or ():
        try:
            yield _named.decode(raw).symbol, raw
        except _UNREADABLE:
            continue


def _read(raw: msgspec.Raw, instrument: Instrument) -> Snapshot | ProviderError:
    try:
        row = _row.decode(raw)
    except _UNREADABLE as error:
        return malformed(f"a quote that cannot be read: {error}")
    if row.quote_type == _NOTHING:
        return _unknown(instrument, "has nothing by this name any more")
    trade = _trade(row, instrument)
    quote = None if trade is None else _quote(row, instrument, trade.time_ns)
    if trade is None:
        return NoDataUnexplainedError(
            f"{NAME} told no price of {instrument.symbol}", provider=NAME
        )
    delay = row.exchange_data_delayed_by
    return Snapshot(
        trade=trade,
        quote=quote,
        currency=row.currency or "",
        previous_close=row.regular_market_previous_close or None,
        feed_delay_seconds=None if delay is None else max(delay, 0) * _MINUTE_SECONDS,
    )


def _trade(row: _Row, instrument: Instrument) -> Trade | None:
    """Return the latest price, be it of before or after the regular hours."""
    told = (
        (row.regular_market_time, row.regular_market_price),
        (row.pre_market_time, row.pre_market_price),
        (row.post_market_time, row.post_market_price),
    )
    prices = [
        (seconds, price)
        for seconds, price in told
        if seconds is not None and price is not None and 0 < seconds < FARTHEST_SECONDS
    ]
    if not prices:
        return None
    seconds, price = max(prices, key=lambda each: each[0])
    return Trade(instrument.symbol, seconds * SECOND_NS, price)


def _quote(row: _Row, instrument: Instrument, time_ns: int) -> Quote | None:
    """Return bid and ask; zeros stand for none [R], and their time is not told."""
    if not (row.bid or row.ask):
        return None
    return Quote(
        instrument.symbol,
        time_ns,
        bid=row.bid or None,
        bid_size=row.bid_size or None,
        ask=row.ask or None,
        ask_size=row.ask_size or None,
    )


def _unknown(instrument: Instrument, what: str) -> SymbolUnknownError:
    return SymbolUnknownError(
        f"{NAME} does not know the symbol: asked for {instrument.symbol}, it {what}",
        provider=NAME,
        symbol=instrument.symbol,
    )


def _spelled(instrument: Instrument) -> str:
    symbol = spelling(instrument)
    if symbol is None:
        raise CapabilityMissingError(
            f"{NAME} has no symbol for {instrument.symbol} on {instrument.exchange}",
            provider=NAME,
        )
    return symbol
