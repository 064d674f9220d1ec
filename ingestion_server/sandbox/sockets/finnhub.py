"""The words of Finnhub's stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ingestion_server.sandbox.catalogue import for_finnhub
from ingestion_server.sandbox.days import SECOND_NS
from ingestion_server.sandbox.faults import FINNHUB
from ingestion_server.sandbox.finnhub import plan, refusals
from ingestion_server.sandbox.finnhub.ticks import conditions
from ingestion_server.sandbox.instrument import Instrument
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.options import SandboxOptions
from ingestion_server.sandbox.seeding import generator
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

FREE_SYMBOLS: Final = 50
_TRADES_PER_FRAME: Final = 10
_MOST_AT_ONCE: Final = 5000
"""Trades told at once, the latest, after a clock has jumped ahead."""
_MILLISECOND_NS: Final = 1_000_000
_PING: Final = '{"type":"ping"}'
_RUBBISH: Final = (
    '{"data":[{"c":["1","12"],"p":164.06',
    "<html><body>502 Bad Gateway</body></html>",
    '{"data":[{"c":null,"p":"high","s":7,"t":null,"v":[]}],"type":"trade"}',
)


class FinnhubStream:
    """Let clients with a key in."""

    name: Final = FINNHUB

    def __init__(self, market: Market, tape: Tape, options: SandboxOptions) -> None:
        self._market = market
        self._tape = tape
        self._options = options

    def key(self, query: Mapping[str, str]) -> str:
        """Return the key of a handshake."""
        return query.get("token", "")

    def refusal(self, query: Mapping[str, str]) -> Reply | None:
        """Return what a handshake without a good key is answered."""
        key = self.key(query)
        if not key:
            return refusals.no_key()
        if (why := plan.misspelt(key)) or plan.invalid(key):
            return refusals.bad_key(why)
        return None

    def speech(self, query: Mapping[str, str]) -> FinnhubSpeech:
        """Return what is said on the connection of such a handshake."""
        key = self.key(query)
        free = plan.plan_of(key, self._options.finnhub_plan) == plan.FREE
        return FinnhubSpeech(
            self._market,
            self._tape,
            key=key,
            most_symbols=FREE_SYMBOLS if free else MOST_SYMBOLS,
            ping_seconds=self._options.finnhub_ping_seconds,
        )


class FinnhubSpeech:
    """Tell every trade, ten at most in a frame, and unsorted in there."""

    ping: Final = _PING

    def __init__(
        self,
        market: Market,
        tape: Tape,
        *,
        key: str,
        most_symbols: int,
        ping_seconds: float,
    ) -> None:
        self._market = market
        self._tape = tape
        self.key = key
        self.most_symbols = most_symbols
        self.ping_ns = round(ping_seconds * SECOND_NS)
        self.too_many = self.complaint("Subscribing to too many symbols")

    def instrument(self, symbol: str) -> Instrument | None:
        """Find an instrument by Finnhub's spelling."""
        return for_finnhub(symbol)

    def heard(self, text: str) -> Heard:
        """Read one message of the client; news are not told here."""
        invalid = Heard(complaint=self.complaint("Invalid message"))
        try:
            document = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return invalid
        if not isinstance(document, dict):
            return invalid
        symbol = document.get("symbol")
        match document.get("type"):
            case "subscribe" if isinstance(symbol, str):
                return Heard(subscribe=(symbol,))
            case "unsubscribe" if isinstance(symbol, str):
                return Heard(unsubscribe=(symbol,))
            case "subscribe-news" | "unsubscribe-news" | "ping" | "pong":
                return Heard()
            case _:
                return invalid

    async def due(
        self, subscriptions: Sequence[tuple[str, Subscription]], now_ns: int
    ) -> list[Trade]:
        """Return every trade since the last time, ascending."""
        trades: list[Trade] = []
        for symbol, subscription in subscriptions:
            start_ns = max(subscription.until_ns, now_ns - LOOK_BACK_NS)
            # Of a clock that goes back, nothing is told twice.
            if now_ns > start_ns:
                trades += await self._trades(symbol, subscription, start_ns, now_ns)
        trades.sort(key=_time_ms)
        return trades[-_MOST_AT_ONCE:]

    async def frames(self, trades: Sequence[Trade], now_ns: int) -> list[Frame]:
        """Put trades into words; the same trades are always shuffled the same way."""
        del now_ns
        return [
            _frame(trades[first : first + _TRADES_PER_FRAME])
            for first in range(0, len(trades), _TRADES_PER_FRAME)
        ]

    def complaint(self, message: str) -> str:
        """Return an error frame."""
        return msgspec.json.encode({"type": "error", "msg": message}).decode()

    def rubbish(self, number: int) -> str:
        """Return a frame that cannot be read, another for each number."""
        return _RUBBISH[number % len(_RUBBISH)]

    async def _trades(
        self, symbol: str, subscription: Subscription, start_ns: int, end_ns: int
    ) -> list[Trade]:
        instrument = subscription.instrument
        prints = await self._tape.prints(instrument, start_ns, end_ns)
        subscription.until_ns = end_ns
        if not len(prints):
            return []
        codes: Sequence[list[str]] | None = None
        if not instrument.continuous:
            codes = conditions(await self._market.history(instrument), prints)
        return [
            Trade(
                instrument,
                symbol,
                time_ns // _MILLISECOND_NS,
                price,
                size,
                None if codes is None else tuple(codes[row]),
            )
            for row, (time_ns, price, size) in enumerate(
                zip(
                    prints.time_ns.tolist(),
                    prints.price.tolist(),
                    prints.size.tolist(),
                    strict=True,
                )
            )
        ]


def _time_ms(trade: Trade) -> int:
    return trade.time_ms


def _frame(trades: Sequence[Trade]) -> Frame:
    first = trades[0]
    order = generator("frame", first.symbol, first.time_ms).permutation(len(trades))
    shuffled = tuple(trades[place] for place in order.tolist())
    data = [
        {
            "c": trade.codes,
            "p": trade.price,
            "s": trade.symbol,
            "t": trade.time_ms,
            "v": int(trade.size) if trade.size.is_integer() else trade.size,
        }
        for trade in shuffled
    ]
    document = {"data": data, "type": "trade"}
    return Frame(msgspec.json.encode(document).decode(), shuffled)
