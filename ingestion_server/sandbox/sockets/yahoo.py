"""The words of Yahoo's streamer."""

from __future__ import annotations

from base64 import b64encode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from ingestion_server.sandbox.catalogue import for_yahoo
from ingestion_server.sandbox.days import MINUTE_NS, SECOND_NS
from ingestion_server.sandbox.faults import YAHOO
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Instrument, Kind
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.sockets.pricing import Value, float32, pricing_data
from ingestion_server.sandbox.sockets.speech import (
    LOOK_BACK_NS,
    MOST_SYMBOLS,
    Frame,
    Heard,
    Subscription,
    Trade,
)
from ingestion_server.sandbox.tape import Tape
from ingestion_server.sandbox.wire import Reply
from ingestion_server.sandbox.yahoo.rows import split_adjusted
from ingestion_server.sandbox.yahoo.summary import (
    price_hint,
    summary_of,
    trading_periods,
    yahoo_volume,
)

_SAMPLE_NS: Final = SECOND_NS // 4
"""At most one message of a symbol in so long."""
_MILLISECOND_NS: Final = 1_000_000
_NEW_ENVELOPE: Final = "2"
_QUOTE_TYPES: Final = {
    Kind.EQUITY: 8,
    Kind.INDEX: 9,
    Kind.CURRENCY: 14,
    Kind.FUTURE: 18,
    Kind.ETF: 20,
    Kind.CRYPTOCURRENCY: 41,
}
_PRE, _REGULAR, _POST, _EXTENDED = range(4)
_OF_SHARES: Final = frozenset({Kind.EQUITY, Kind.ETF})
_CENT: Final = 0.01
_ROUND_LOT: Final = 100
_COINS: Final = 20_000_000
_DAYS_KEPT: Final = 512
_RUBBISH: Final = (
    b"%%% no base64 %%%",
    b64encode(b"\x0a\x7fcut short"),
    b64encode(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
)


@dataclass(frozen=True, slots=True)
class _Today:
    """Hold what the last message of a minute says of the day so far."""

    minute_ns: int
    high: float
    low: float
    previous_close: float
    values: Mapping[str, Value]


class YahooStream:
    """Let everybody in."""

    name: Final = YAHOO

    def __init__(self, market: Market, tape: Tape) -> None:
        self._tape = tape
        self._days = _Days(market)

    def key(self, query: Mapping[str, str]) -> str:
        """Return the key of a handshake: there is none."""
        del query
        return ""

    def refusal(self, query: Mapping[str, str]) -> Reply | None:
        """Return what a handshake without a good key is answered: all are good."""
        del query
        return None

    def speech(self, query: Mapping[str, str]) -> YahooSpeech:
        """Return what is said on the connection of such a handshake."""
        enveloped = query.get("version") == _NEW_ENVELOPE
        return YahooSpeech(self._tape, self._days, enveloped=enveloped)


class _Days:
    """Remember the days of the symbols told last, each for a minute."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._days: OrderedDict[str, _Today] = OrderedDict()

    async def of(self, instrument: Instrument, now_ns: int) -> _Today:
        """Return the day of an instrument so far."""
        minute_ns = now_ns // MINUTE_NS * MINUTE_NS
        today = self._days.get(instrument.symbol)
        if today is None or today.minute_ns != minute_ns:
            today = _today(await self._market.history(instrument), minute_ns)
            self._days[instrument.symbol] = today
            if len(self._days) > _DAYS_KEPT:
                self._days.popitem(last=False)
        return today


class YahooSpeech:
    """Tell the last trade of each symbol now and then; there are no pings."""

    key: Final = ""
    most_symbols: Final = MOST_SYMBOLS
    too_many: Final = ""
    ping: Final = ""
    ping_ns: Final = 0

    def __init__(self, tape: Tape, days: _Days, *, enveloped: bool) -> None:
        self._tape = tape
        self._days = days
        self._enveloped = enveloped

    def instrument(self, symbol: str) -> Instrument | None:
        """Find an instrument by Yahoo's spelling."""
        return for_yahoo(symbol)

    def heard(self, text: str) -> Heard:
        """Read one message of the client; what makes no sense is ignored."""
        try:
            document = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return Heard()
        if not isinstance(document, dict):
            return Heard()
        return Heard(
            subscribe=_symbols(document.get("subscribe")),
            unsubscribe=_symbols(document.get("unsubscribe")),
        )

    async def due(
        self, subscriptions: Sequence[tuple[str, Subscription]], now_ns: int
    ) -> list[Trade]:
        """Return the last trade of each symbol that has waited long enough."""
        trades: list[Trade] = []
        for symbol, subscription in subscriptions:
            start_ns = max(subscription.until_ns, now_ns - LOOK_BACK_NS)
            if now_ns <= start_ns or now_ns - subscription.told_ns < _SAMPLE_NS:
                continue
            instrument = subscription.instrument
            prints = await self._tape.prints(instrument, start_ns, now_ns)
            subscription.until_ns = now_ns
            if len(prints):
                subscription.told_ns = now_ns
                trades.append(
                    Trade(
                        instrument,
                        symbol,
                        int(prints.time_ns[-1]) // _MILLISECOND_NS,
                        float32(float(prints.price[-1])),
                        _told_size(instrument, float(prints.size[-1])),
                    )
                )
        return trades

    async def frames(self, trades: Sequence[Trade], now_ns: int) -> list[Frame]:
        """Put each trade into a message of its own."""
        return [
            Frame(
                self._enclosed(b64encode(await self._message(trade, now_ns))), (trade,)
            )
            for trade in trades
        ]

    def complaint(self, message: str) -> str:
        """Return an error frame."""
        return msgspec.json.encode({"type": "error", "message": message}).decode()

    def rubbish(self, number: int) -> str:
        """Return a frame that cannot be read, another for each number."""
        return self._enclosed(_RUBBISH[number % len(_RUBBISH)])

    def _enclosed(self, message: bytes) -> str:
        text = message.decode()
        if not self._enveloped:
            return text
        return msgspec.json.encode({"type": "pricing", "message": text}).decode()

    async def _message(self, trade: Trade, now_ns: int) -> bytes:
        instrument, price = trade.instrument, trade.price
        today = await self._days.of(instrument, now_ns)
        change = price - today.previous_close
        values: dict[str, Value] = {
            **today.values,
            "id": trade.symbol,
            "price": price,
            "time": trade.time_ms,
            "change": change,
            "change_percent": 100 * change / today.previous_close,
            "day_high": max(today.high, price),
            "day_low": min(today.low, price),
            "last_size": trade.size,
        }
        if instrument.kind in _OF_SHARES:
            values |= {
                "bid": price - _CENT,
                "bid_size": _ROUND_LOT,
                "ask": price + _CENT,
                "ask_size": _ROUND_LOT,
            }
        if instrument.kind is Kind.CRYPTOCURRENCY:
            values["market_cap"] = round(price * _COINS)
        return pricing_data(values)


def _symbols(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(item for item in value if isinstance(item, str))


def _told_size(instrument: Instrument, size: float) -> float:
    # The field is whole, and parts of coins have no place in it.
    return 0.0 if instrument.continuous else float(round(size))


def _today(history: History, minute_ns: int) -> _Today:
    instrument = history.instrument
    summary = summary_of(history, split_adjusted(history, minute_ns), minute_ns)
    days = summary.days
    volume = yahoo_volume(instrument, days)
    values: dict[str, Value] = {
        "currency": instrument.venue.currency,
        "exchange": instrument.venue.code,
        "quote_type": _QUOTE_TYPES[instrument.kind],
        "market_hours": _market_hours(history, minute_ns),
        "day_volume": volume,
        "short_name": instrument.name,
        "open_price": float(days.open[-1]),
        "previous_close": summary.previous_close,
        "price_hint": price_hint(instrument),
    }
    if instrument.kind is Kind.CRYPTOCURRENCY:
        values |= {
            "vol_24hr": volume,
            "vol_all_currencies": volume,
            "from_currency": instrument.symbol.partition("/")[0],
            "circulating_supply": float(_COINS),
        }
    return _Today(
        minute_ns=minute_ns,
        high=float(days.high[-1]),
        low=float(days.low[-1]),
        previous_close=summary.previous_close,
        values=values,
    )


def _market_hours(history: History, minute_ns: int) -> int:
    if history.instrument.continuous or history.running(minute_ns + 1):
        return _REGULAR
    early, regular, late = trading_periods(history, minute_ns)
    minute_s = minute_ns // SECOND_NS
    if early.start_s <= minute_s < regular.start_s:
        return _PRE
    if regular.end_s <= minute_s < late.end_s:
        return _POST
    return _EXTENDED
