"""
What a stream tells, as bytes of the wire, written once for all who are told.

Each part is a whole field of the contract's ``StreamQuotesResponse``, so a message is
its parts one after the other. Trades come by the ten thousand a second: what is the
same in many of them is written once and kept, and the rest is packed behind it at once.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from struct import Struct, calcsize
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
_TIME: Final = field_tag(stream_pb2.Trade.TIME_FIELD_NUMBER)
_RECEIVED: Final = field_tag(stream_pb2.Trade.RECEIVED_AT_FIELD_NUMBER)
_SECONDS: Final = field_tag(Timestamp.SECONDS_FIELD_NUMBER, _VARINT)
_NANOS: Final = field_tag(Timestamp.NANOS_FIELD_NUMBER, _VARINT)

_MOMENT: Final = Struct("<BBBHHBBHHB")
"""A tag, a length, and a point in time whose two numbers take five bytes each."""
_MOMENT_BYTES: Final = _MOMENT.size - 2
_WITH_SIZE: Final = f"BQBdBd{_MOMENT.size}s{_MOMENT.size}s"
"""Number, price and size, each behind its tag, and both times."""
_WITHOUT_SIZE: Final = f"BQBd{_MOMENT.size}s{_MOMENT.size}s"
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
_MOST_FORMS: Final = 1 << 15
_MOST_MOMENTS: Final = 1 << 10

_Form = tuple[bytes, Callable[..., bytes]]
"""What stands before a trade's number, and what writes that and the rest."""
_Kind = tuple[str, ...] | tuple[int, tuple[str, ...], bool]
"""The conditions; or the marks, the conditions, and whether there is no size."""


class WireEncoder:
    """Write the parts of a ``StreamQuotesResponse``."""

    def __init__(self) -> None:
        """Keep nothing yet; what is kept later is bounded."""
        self._forms: dict[tuple[str, str], dict[_Kind, _Form]] = {}
        self._formed = 0
        self._times: dict[int, bytes] = {}
        self._receipts: dict[int, bytes] = {}

    def ticks(self, ticks: Sequence[Tick]) -> bytes:
        """Write ticks in their order."""
        parts: list[bytes] = []
        times, receipts = self._times, self._receipts
        forms: dict[_Kind, _Form] = {}
        symbol = provider = None
        last_ns = last_received_ns = -1
        time = received = b""
        for tick in ticks:
            if type(tick) is not Trade or tick.trade_id:
                parts.append(_written(tick))
                continue
            if tick.symbol != symbol or tick.provider != provider:
                symbol, provider = tick.symbol, tick.provider
                forms = self._forms.setdefault((symbol, provider), {})
            if tick.time_ns != last_ns:
                last_ns = tick.time_ns
                time = times.get(last_ns) or _moment(_TIME, last_ns, times)
            if tick.received_at_ns != last_received_ns:
                last_received_ns = tick.received_at_ns
                received = receipts.get(last_received_ns) or _moment(
                    _RECEIVED, last_received_ns, receipts
                )
            if not time or not received:
                parts.append(_written(tick))
                continue
            size = tick.size
            if size is None or tick.marks:
                kind: _Kind = (tick.marks, tick.conditions, size is None)
            else:
                kind = tick.conditions
            form = forms.get(kind)
            if form is None:
                form = self._form(tick, kind, forms)
            head, pack = form
            if size is None:
                part = pack(
                    head, _SEQUENCE, tick.sequence, _PRICE, tick.price, time, received
                )
            else:
                part = pack(
                    head,
                    _SEQUENCE,
                    tick.sequence,
                    _PRICE,
                    tick.price,
                    _SIZE,
                    size,
                    time,
                    received,
                )
            parts.append(part)
        return b"".join(parts)

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

    def _form(self, trade: Trade, kind: _Kind, forms: dict[_Kind, _Form]) -> _Form:
        """Write what other trades of the kind have as well, and keep it."""
        if self._formed >= _MOST_FORMS:
            self._forms.clear()
            self._formed = 0
            forms.clear()
            self._forms[trade.symbol, trade.provider] = forms
        self._formed += 1
        same = _untimed(
            Trade(
                trade.symbol,
                0,
                0.0,
                None,
                trade.conditions,
                marks=trade.marks,
                provider=trade.provider,
            )
        )
        rest = _WITHOUT_SIZE if trade.size is None else _WITH_SIZE
        rest_bytes = calcsize("<" + rest)
        head = framed(_TRADES, same + bytes(rest_bytes))[:-rest_bytes]
        form = forms[kind] = head, Struct(f"<{len(head)}s{rest}").pack
        return form


def _written(tick: Tick) -> bytes:
    """Write a tick of whatever kind by itself."""
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


def _moment(tag: int, time_ns: int, kept: dict[int, bytes]) -> bytes:
    """Write a point in time; nothing if it does not have the usual layout."""
    seconds, nanos = divmod(time_ns, SECOND_NS)
    if not 0 <= seconds < _MOST_SECONDS:
        return b""
    if len(kept) >= _MOST_MOMENTS:
        kept.clear()
    moment = kept[time_ns] = _MOMENT.pack(
        tag,
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
    return moment


def _untimed(trade: Trade) -> bytes:
    """Return what is not zero of a trade, but its times."""
    message = trade_of(trade)
    message.ClearField("time")
    message.ClearField("received_at")
    return message.SerializeToString()
