"""
What a stream tells, as bytes of the wire, written once for all who are told.

Each part is a whole field of the contract's ``StreamQuotesResponse``, so a message is
its parts one after the other. Trades come by the ten thousand a second: what is the
same in many of them is written once and kept, and the rest has the same layout in all.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from struct import Struct
from typing import Final, assert_never

from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import ingestion_service_pb2, stream_pb2

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.ticks import LiveBar, Quote, Tick, Trade
from ingestion_server.ports.live import StreamEvent
from ingestion_server.service.kept_ticks import ticks_in
from ingestion_server.service.row_encoding import field_tag, framed
from ingestion_server.service.tick_encoding import (
    event_of,
    live_bar_of,
    quote_of,
    trade_of,
)

_Message = ingestion_service_pb2.StreamQuotesResponse
_TRADES: Final = _Message.TRADES_FIELD_NUMBER

_VARINT: Final = 0
_FIXED_8_BYTES: Final = 1
_SEQUENCE: Final = field_tag(stream_pb2.Trade.SEQUENCE_FIELD_NUMBER, _FIXED_8_BYTES)
_PRICE: Final = field_tag(stream_pb2.Trade.PRICE_FIELD_NUMBER, _FIXED_8_BYTES)
_SIZE: Final = field_tag(stream_pb2.Trade.SIZE_FIELD_NUMBER, _FIXED_8_BYTES)
_TIME: Final = bytes((field_tag(stream_pb2.Trade.TIME_FIELD_NUMBER),))
_RECEIVED: Final = bytes((field_tag(stream_pb2.Trade.RECEIVED_AT_FIELD_NUMBER),))
_SECONDS: Final = field_tag(Timestamp.SECONDS_FIELD_NUMBER, _VARINT)
_NANOS: Final = field_tag(Timestamp.NANOS_FIELD_NUMBER, _VARINT)

_WITH_SIZE: Final = Struct("<BQBdBd")
"""Number, price and size."""
_WITHOUT_SIZE: Final = Struct("<BQBd")
_MOMENT: Final = Struct("<BBHHBBHHB")
"""Its length, and a point in time whose two numbers take five bytes each."""
_MOMENT_BYTES: Final = _MOMENT.size - 1
_TIMES_BYTES: Final = 2 * _MOMENT.size + len(_TIME) + len(_RECEIVED)
_BYTES_WITH_SIZE: Final = _WITH_SIZE.size + _TIMES_BYTES
_BYTES_WITHOUT_SIZE: Final = _WITHOUT_SIZE.size + _TIMES_BYTES
_MORE: Final = 0x80
"""Marks a byte of a number that another one follows; each has seven bits of it."""
_PAIR_BITS: Final = 14
_PAIR: Final = (1 << _PAIR_BITS) - 1
_PAIRS: Final = array(
    "H",
    (bits >> 7 << 8 | bits % _MORE | _MORE << 8 | _MORE for bits in range(_PAIR + 1)),
)
"""Two bytes of a number that goes on, by the bits they hold."""
_MOST_SECONDS: Final = 1 << 35
"""They take more than five bytes, from 3058 on."""
_SHORT: Final = 512
_FRAMES: Final = tuple(
    framed(_TRADES, bytes(length))[: -length or None] for length in range(_SHORT)
)
"""What stands before a trade, by its length."""
_MOST_KEPT: Final = 1 << 14
"""How many symbols, and how many sets of conditions, are kept as bytes."""
_MOST_MOMENTS: Final = 1 << 10


class WireEncoder:
    """Write the parts of a ``StreamQuotesResponse``."""

    def __init__(self) -> None:
        """Keep nothing yet; what is kept later is bounded."""
        self._names: dict[tuple[str, str], bytes] = {}
        self._remarks: dict[tuple[int, tuple[str, ...]], bytes] = {}
        self._moments: dict[int, bytes] = {}

    def ticks(self, ticks: Sequence[Tick]) -> bytes:
        """Write ticks in their order."""
        trades = self._trades(ticks)
        if trades is not None:
            return trades
        return b"".join(map(self._tick, ticks))

    def read(self, encoded: bytes) -> Sequence[Tick]:
        """Return the ticks of one kind that were written so."""
        return ticks_in(_Message.FromString(encoded))

    def event(self, event: StreamEvent) -> bytes:
        """Write an event."""
        message = event_of(event).SerializeToString()
        return framed(_Message.EVENTS_FIELD_NUMBER, message)

    def token(self, token: bytes) -> bytes:
        """Write where to go on after the message."""
        return framed(_Message.RESUME_TOKEN_FIELD_NUMBER, token)

    def _trades(self, ticks: Sequence[Tick]) -> bytes | None:
        """Write trades that have the usual layout; None if one of them has not."""
        parts: list[bytes] = []
        moments = self._moments
        symbol = provider = ""
        names = tail = b""
        last_ns = last_received_ns = -1
        for trade in ticks:
            if type(trade) is not Trade or trade.trade_id:
                return None
            if trade.symbol != symbol or trade.provider != provider:
                symbol, provider = trade.symbol, trade.provider
                names = self._names.get((symbol, provider)) or self._named(trade)
            time_ns, received_ns = trade.time_ns, trade.received_at_ns
            if time_ns != last_ns or received_ns != last_received_ns:
                time = moments.get(time_ns) or self._moment(time_ns)
                received = moments.get(received_ns) or self._moment(received_ns)
                if not time or not received:
                    return None
                tail = b"".join((_TIME, time, _RECEIVED, received))
                last_ns, last_received_ns = time_ns, received_ns
            remarks = b""
            if trade.marks or trade.conditions:
                key = trade.marks, trade.conditions
                remarks = self._remarks.get(key) or self._remarked(trade)
            size = trade.size
            if size is None:
                values = _WITHOUT_SIZE.pack(
                    _SEQUENCE, trade.sequence, _PRICE, trade.price
                )
                length = _BYTES_WITHOUT_SIZE + len(names) + len(remarks)
            else:
                values = _WITH_SIZE.pack(
                    _SEQUENCE, trade.sequence, _PRICE, trade.price, _SIZE, size
                )
                length = _BYTES_WITH_SIZE + len(names) + len(remarks)
            if length >= _SHORT:
                return None
            parts += (_FRAMES[length], names, values, tail, remarks)
        return b"".join(parts)

    def _tick(self, tick: Tick) -> bytes:
        match tick:
            case Trade():
                return framed(_TRADES, trade_of(tick).SerializeToString())
            case Quote():
                message = quote_of(tick).SerializeToString()
                return framed(_Message.QUOTES_FIELD_NUMBER, message)
            case LiveBar():
                message = live_bar_of(tick).SerializeToString()
                return framed(_Message.BARS_FIELD_NUMBER, message)
            case _:
                assert_never(tick)

    def _named(self, trade: Trade) -> bytes:
        names = _untimed(Trade(trade.symbol, 0, 0.0, provider=trade.provider))
        if len(names) < _SHORT:
            if len(self._names) >= _MOST_KEPT:
                self._names.clear()
            self._names[trade.symbol, trade.provider] = names
        return names

    def _remarked(self, trade: Trade) -> bytes:
        marks, conditions = trade.marks, trade.conditions
        remarks = _untimed(Trade("", 0, 0.0, marks=marks, conditions=conditions))
        if len(remarks) < _SHORT:
            if len(self._remarks) >= _MOST_KEPT:
                self._remarks.clear()
            self._remarks[marks, conditions] = remarks
        return remarks

    def _moment(self, time_ns: int) -> bytes:
        """Return a point in time; nothing if it does not have the usual layout."""
        seconds, nanos = divmod(time_ns, SECOND_NS)
        if not 0 <= seconds < _MOST_SECONDS:
            return b""
        if len(self._moments) >= _MOST_MOMENTS:
            self._moments.clear()
        moment = _MOMENT.pack(
            _MOMENT_BYTES,
            _SECONDS,
            _PAIRS[seconds & _PAIR],
            _PAIRS[seconds >> _PAIR_BITS & _PAIR],
            seconds >> 2 * _PAIR_BITS,
            _NANOS,
            _PAIRS[nanos & _PAIR],
            _PAIRS[nanos >> _PAIR_BITS & _PAIR],
            nanos >> 2 * _PAIR_BITS,
        )
        self._moments[time_ns] = moment
        return moment


def _untimed(trade: Trade) -> bytes:
    """Return what is not zero of a trade, but its times."""
    message = trade_of(trade)
    message.ClearField("time")
    message.ClearField("received_at")
    return message.SerializeToString()
