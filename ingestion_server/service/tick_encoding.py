"""Live data, and what happens to a stream, as messages of the contract."""

from __future__ import annotations

from typing import Final

from marketdata.ingestion.v1 import stream_pb2

from ingestion_server.domain.ticks import LiveBar, Quote, TickMark, Trade
from ingestion_server.ports.live import StreamEvent
from ingestion_server.service.moments import duration, maybe_timestamp, timestamp
from ingestion_server.service.vocabulary import (
    INTERVAL_CODES,
    STATE_CODES,
    STREAM_EVENT_CODES,
    TICK_KIND_CODES,
)

_OUT_OF_ORDER: Final = int(TickMark.OUT_OF_ORDER)
_BACKFILLED: Final = int(TickMark.BACKFILLED)
_SAMPLED: Final = int(TickMark.SAMPLED)
_TIME_DOUBTFUL: Final = int(TickMark.TIME_DOUBTFUL)


def trade_of(trade: Trade) -> stream_pb2.Trade:
    """Return a trade for the wire."""
    return stream_pb2.Trade(
        symbol=told(trade.symbol),
        sequence=trade.sequence,
        time=timestamp(trade.time_ns),
        price=trade.price,
        size=trade.size,
        provider=told(trade.provider),
        received_at=timestamp(trade.received_at_ns),
        conditions=map(told, trade.conditions),
        out_of_order=bool(trade.marks & _OUT_OF_ORDER),
        backfilled=bool(trade.marks & _BACKFILLED),
        sampled=bool(trade.marks & _SAMPLED),
        time_doubtful=bool(trade.marks & _TIME_DOUBTFUL),
        trade_id=told(trade.trade_id),
    )


def quote_of(quote: Quote) -> stream_pb2.Quote:
    """Return a quote for the wire."""
    return stream_pb2.Quote(
        symbol=told(quote.symbol),
        sequence=quote.sequence,
        time=timestamp(quote.time_ns),
        bid=quote.bid,
        bid_size=quote.bid_size,
        ask=quote.ask,
        ask_size=quote.ask_size,
        provider=told(quote.provider),
        received_at=timestamp(quote.received_at_ns),
        out_of_order=bool(quote.marks & _OUT_OF_ORDER),
        time_doubtful=bool(quote.marks & _TIME_DOUBTFUL),
    )


def live_bar_of(bar: LiveBar) -> stream_pb2.LiveBar:
    """Return a live bar for the wire."""
    return stream_pb2.LiveBar(
        symbol=told(bar.symbol),
        sequence=bar.sequence,
        interval=INTERVAL_CODES[bar.interval],
        open_time=timestamp(bar.open_time_ns),
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        vwap=bar.vwap,
        trade_count=bar.trade_count,
        state=STATE_CODES[bar.state],
        provider=told(bar.provider),
        derived=bar.derived,
    )


def event_of(event: StreamEvent) -> stream_pb2.StreamEvent:
    """Return what happened to a stream for the wire."""
    kind, delay = event.tick_kind, event.feed_delay_seconds
    message = stream_pb2.StreamEvent(
        kind=STREAM_EVENT_CODES[event.kind],
        symbol=told(event.symbol),
        tick_kind=(
            stream_pb2.TICK_KIND_UNSPECIFIED if kind is None else TICK_KIND_CODES[kind]
        ),
        sequence=event.sequence,
        time=timestamp(event.time_ns),
        to=maybe_timestamp(event.to_ns),
        cause=told(event.cause),
        count=event.count,
        verified=event.verified,
        provider=told(event.provider),
        previous_provider=told(event.previous_provider),
        reason=told(event.reason),
        detail=told(event.detail),
        first_missing=event.first_missing,
        last_missing=event.last_missing,
        feed_delay=None if delay is None else duration(delay),
        sampled=event.sampled,
    )
    if event.from_ns is not None:
        # No argument can have the name of a keyword.
        getattr(message, "from").CopyFrom(timestamp(event.from_ns))
    return message


def told(text: str) -> str:
    """Return a text that can be sent: half a character of a vendor's becomes ``?``."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
