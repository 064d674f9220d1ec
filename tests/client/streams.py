"""A fake of the live stream, and the messages it sends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

import grpc
from google.protobuf.message import Message
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    stream_pb2,
)

from tests.client.telling import FIRST, Refusal, stamp

Response = ingestion_service_pb2.StreamQuotesResponse
Event = stream_pb2.StreamEvent
Told = Response | Refusal | Callable[[], object]

TRADES = stream_pb2.TICK_KIND_TRADES
QUOTES = stream_pb2.TICK_KIND_QUOTES
BARS = stream_pb2.TICK_KIND_BARS
SECOND = timedelta(seconds=1)


class FakeStreams:
    """Answer each stream with the next of the scripts; the last one stays."""

    def __init__(self) -> None:
        self.scripts: list[Iterable[Told]] = []
        self.requests: list[Message] = []
        self.asked = threading.Event()
        self.ended = threading.Event()

    def stream(
        self,
        request: ingestion_service_pb2.StreamQuotesRequest,
        context: grpc.ServicerContext,
    ) -> Iterator[Response]:
        """Stream as told."""
        self.requests.append(request)
        context.add_callback(self.ended.set)
        self.asked.set()
        for told in self.scripts.pop(0) if self.scripts else ():
            if isinstance(told, Refusal):
                told.raise_in(context)
            if isinstance(told, Response):
                yield told
            elif callable(told):
                told()


def said(*parts: Message, token: bytes = b"") -> Response:
    """Put items and events into one message."""
    return Response(
        quotes=[part for part in parts if isinstance(part, stream_pb2.Quote)],
        trades=[part for part in parts if isinstance(part, stream_pb2.Trade)],
        bars=[part for part in parts if isinstance(part, stream_pb2.LiveBar)],
        events=[part for part in parts if isinstance(part, Event)],
        resume_token=token,
    )


def at(number: int) -> datetime:
    """Return the time of the item of that number."""
    return FIRST + number * SECOND


def trade(number: int, symbol: str = "AAPL", **more: object) -> stream_pb2.Trade:
    """Tell of a trade."""
    return stream_pb2.Trade(
        **{
            "symbol": symbol,
            "sequence": number,
            "time": stamp(at(number)),
            "price": 100.0 + number,
            "size": 10.0,
            "provider": "finnhub",
            "received_at": stamp(at(number)),
        }
        | more
    )


def quote(number: int, symbol: str = "AAPL", **more: object) -> stream_pb2.Quote:
    """Tell of a bid and an ask."""
    return stream_pb2.Quote(
        **{
            "symbol": symbol,
            "sequence": number,
            "time": stamp(at(number)),
            "bid": 99.5,
            "ask": 100.5,
            "ask_size": 3.0,
            "provider": "yahoo",
            "received_at": stamp(at(number)),
        }
        | more
    )


def live_bar(number: int, symbol: str = "AAPL", **more: object) -> stream_pb2.LiveBar:
    """Tell of a minute that is not over."""
    return stream_pb2.LiveBar(
        **{
            "symbol": symbol,
            "sequence": number,
            "interval": bar_pb2.INTERVAL_1_MINUTE,
            "open_time": stamp(FIRST),
            "open": 100.0,
            "high": 103.0,
            "low": 99.0,
            "close": 102.0,
            "volume": 500.0,
            "trade_count": 7,
            "state": bar_pb2.BAR_STATE_PARTIAL,
            "provider": "finnhub",
            "derived": True,
        }
        | more
    )


def event(kind: Event.Kind.ValueType, symbol: str = "AAPL", **more: object) -> Event:
    """Tell what happened."""
    told = Event(kind=kind, symbol=symbol, time=stamp(FIRST))
    begin = more.pop("begin", None)
    if begin is not None:
        getattr(told, "from").FromDatetime(begin)
    told.MergeFrom(Event(**more))
    return told


def subscribed(number: int, symbol: str = "AAPL", **more: object) -> Event:
    """Tell that items after this number come."""
    return event(
        Event.KIND_SUBSCRIBED,
        symbol,
        **{"tick_kind": TRADES, "sequence": number, "provider": "finnhub"} | more,
    )


def heartbeat() -> Event:
    """Tell that the stream lives."""
    return event(Event.KIND_HEARTBEAT, "")
