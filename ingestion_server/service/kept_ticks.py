"""Live data that were published, read back from the bytes that are kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from marketdata.ingestion.v1 import bar_pb2, ingestion_service_pb2, stream_pb2

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.ticks import LiveBar, Quote, Tick, TickMark, Trade
from ingestion_server.service.moments import nanoseconds
from ingestion_server.service.vocabulary import INTERVALS, STATE_CODES

_STATES: Final[dict[bar_pb2.BarState.ValueType, BarState]] = {
    code: state for state, code in STATE_CODES.items()
}
_OUT_OF_ORDER: Final = int(TickMark.OUT_OF_ORDER)
_BACKFILLED: Final = int(TickMark.BACKFILLED)
_SAMPLED: Final = int(TickMark.SAMPLED)
_TIME_DOUBTFUL: Final = int(TickMark.TIME_DOUBTFUL)


def ticks_in(message: ingestion_service_pb2.StreamQuotesResponse) -> Sequence[Tick]:
    """Return the ticks of a message that has ticks of one kind."""
    if message.trades:
        return [_trade(each) for each in message.trades]
    if message.quotes:
        return [_quote(each) for each in message.quotes]
    return [_bar(each) for each in message.bars]


def _trade(told: stream_pb2.Trade) -> Trade:
    return Trade(
        told.symbol,
        nanoseconds(told.time),
        told.price,
        told.size if told.HasField("size") else None,
        tuple(told.conditions),
        told.trade_id,
        told.out_of_order * _OUT_OF_ORDER
        | told.backfilled * _BACKFILLED
        | told.sampled * _SAMPLED
        | told.time_doubtful * _TIME_DOUBTFUL,
        nanoseconds(told.received_at),
        told.provider,
        told.sequence,
    )


def _quote(told: stream_pb2.Quote) -> Quote:
    return Quote(
        told.symbol,
        nanoseconds(told.time),
        told.bid if told.HasField("bid") else None,
        told.bid_size if told.HasField("bid_size") else None,
        told.ask if told.HasField("ask") else None,
        told.ask_size if told.HasField("ask_size") else None,
        told.out_of_order * _OUT_OF_ORDER | told.time_doubtful * _TIME_DOUBTFUL,
        nanoseconds(told.received_at),
        told.provider,
        told.sequence,
    )


def _bar(told: stream_pb2.LiveBar) -> LiveBar:
    return LiveBar(
        symbol=told.symbol,
        open_time_ns=nanoseconds(told.open_time),
        open=told.open if told.HasField("open") else None,
        high=told.high if told.HasField("high") else None,
        low=told.low if told.HasField("low") else None,
        close=told.close if told.HasField("close") else None,
        interval=INTERVALS[told.interval],
        volume=told.volume if told.HasField("volume") else None,
        vwap=told.vwap if told.HasField("vwap") else None,
        trade_count=told.trade_count if told.HasField("trade_count") else None,
        state=_STATES[told.state],
        derived=told.derived,
        provider=told.provider,
        sequence=told.sequence,
    )
