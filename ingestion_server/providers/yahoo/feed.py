"""
Yahoo's side of a streaming connection.

A message is ``{"type":"pricing","message":"<base64>"}`` [R], or the bare base64 [S];
inside is what is known of one symbol after one of several changes.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Final, final

import msgspec

from ingestion_server.domain.ticks import Quote, TickMark, Trade
from ingestion_server.ports.stream import Heard, Malformed
from ingestion_server.providers.yahoo import symbols
from ingestion_server.providers.yahoo.pricing import (
    PricingData,
    published,
    read_pricing,
)

_MILLISECOND_NS: Final = 1_000_000
_LATEST_MILLISECOND: Final = 9_223_372_036_854
"""Nanoseconds of more do not fit 64 bits."""
_LONGEST_DETAIL: Final = 200
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_SAMPLED: Final = int(TickMark.SAMPLED)


class _Envelope(msgspec.Struct, gc=False):
    """Hold a message of version 2."""

    type: str
    message: str = ""


class _Subscribe(msgspec.Struct):
    subscribe: Sequence[str]


class _Unsubscribe(msgspec.Struct):
    unsubscribe: Sequence[str]


class _Known(msgspec.Struct):
    """Remember what was told of a symbol last; it changes."""

    time: int = 0
    price: float = 0.0
    day_volume: int = 0
    quote: tuple[float, int, float, int] = (0.0, 0, 0.0, 0)


_decoder: Final = msgspec.json.Decoder(_Envelope)
_encoder: Final = msgspec.json.Encoder()


@final
class YahooFeed:
    """
    Be the conversation with Yahoo over one connection.

    What is remembered is bounded by what is subscribed.
    """

    def __init__(self) -> None:
        self._subscribed: dict[str, _Known] = {}

    def subscribe(self, symbols: Sequence[str]) -> Sequence[str]:
        """Return one message for all symbols."""
        for symbol in symbols:
            self._subscribed.setdefault(symbol, _Known())
        return [_text(_Subscribe(symbols))] if symbols else ()

    def unsubscribe(self, symbols: Sequence[str]) -> Sequence[str]:
        """Return one message for all symbols."""
        for symbol in symbols:
            self._subscribed.pop(symbol, None)
        return [_text(_Unsubscribe(symbols))] if symbols else ()

    def beat(self) -> Sequence[str]:
        """Return the message that subscribes everything anew, as Yahoo expects."""
        return [_text(_Subscribe([*self._subscribed]))] if self._subscribed else ()

    def hear(self, message: str | bytes, received_at_ns: int) -> Sequence[Heard]:
        """Return the trade and the quote of a message, as far as they are new."""
        try:
            body = _payload(message)
            if body is None:
                return ()
            data = read_pricing(body)
        except _UNREADABLE as error:
            return (_malformed(f"a message that cannot be read: {error}"),)
        symbol, time = data.id, data.time
        if not symbol:
            return (_malformed("a price without a symbol"),)
        if not 0 < time <= _LATEST_MILLISECOND:
            return (_malformed("a price without a time that can be true"),)
        known = self._subscribed.get(symbol)
        if known is None:
            symbol = symbols.spelling(symbols.instrument_of(symbol)) or symbol
            # What is said of a symbol that nobody wants any more is forgotten at once.
            known = self._subscribed.get(symbol) or _Known()
        heard = list[Heard]()
        if data.price > 0 and _traded(data, known):
            heard.append(_trade(symbol, data, received_at_ns))
        quote = (data.bid, data.bid_size, data.ask, data.ask_size)
        if (data.bid > 0 or data.ask > 0) and quote != known.quote:
            known.quote = quote
            heard.append(_quote(symbol, data, received_at_ns))
        return heard


def _payload(message: str | bytes) -> bytes | None:
    """Return the protobuf message inside; None of a message that is no price."""
    text = message.strip()
    if text[:1] not in {"{", b"{"}:
        return binascii.a2b_base64(text, strict_mode=True)
    envelope = _decoder.decode(text)
    if envelope.type != "pricing":
        return None
    return binascii.a2b_base64(envelope.message, strict_mode=True)


def _traded(data: PricingData, known: _Known) -> bool:
    """
    Tell whether a message is of another trade than the last one, and remember it.

    A change of the quote repeats the last trade, whole or without the day's volume.
    """
    volume = data.day_volume
    if (
        data.time == known.time
        and data.price == known.price
        and volume in {0, known.day_volume}
    ):
        return False
    known.time, known.price, known.day_volume = data.time, data.price, volume
    return True


def _trade(symbol: str, data: PricingData, received_at_ns: int) -> Trade:
    return Trade(
        symbol,
        data.time * _MILLISECOND_NS,
        published(data.price),
        # Of crypto it is the day's volume that stands here [R].
        _size(data.last_size) if data.last_size != data.day_volume else None,
        marks=_SAMPLED,
        received_at_ns=received_at_ns,
    )


def _quote(symbol: str, data: PricingData, received_at_ns: int) -> Quote:
    bid = published(data.bid) if data.bid > 0 else None
    ask = published(data.ask) if data.ask > 0 else None
    return Quote(
        symbol,
        # Yahoo tells no other time than that of the last trade.
        data.time * _MILLISECOND_NS,
        bid,
        None if bid is None else _size(data.bid_size),
        ask,
        None if ask is None else _size(data.ask_size),
        marks=_SAMPLED,
        received_at_ns=received_at_ns,
    )


def _size(units: int) -> float | None:
    return float(units) if units > 0 else None


def _malformed(what: str) -> Malformed:
    return Malformed(f"yahoo sent {what}"[:_LONGEST_DETAIL])


def _text(message: msgspec.Struct) -> str:
    return _encoder.encode(message).decode()
