"""Subscribers of a stream, and what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final
from urllib.request import urlopen

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    source_policy_pb2,
)

from benchmarks.fetch_load import UNMETERED
from benchmarks.stream_vendor import SYMBOLS

FINNHUB: Final = "finnhub"
STREAM: Final = "/marketdata.ingestion.v1.IngestionService/StreamQuotes"
SETTINGS: Final = {
    **UNMETERED,
    "INGESTION_PROVIDERS__FINNHUB__PLAN": "premium",
}
"""The free plan has fewer symbols than are asked for."""
_PROVIDER: Final = b"2\x07finnhub"
"""How each trade names its vendor: the field, its length, and the name."""
_SECONDS_TO_BEGIN: Final = 30.0
_WARM_SECONDS: Final = 0.5
_SECONDS: Final = 1.0
Call = grpc.aio.UnaryStreamCall[Any, Any]
Opened = Callable[[bytes], Call]


def request(symbols: Sequence[str] = SYMBOLS, **fields: object) -> bytes:
    """Ask for the trades of some symbols, of the one vendor that there is."""
    return ingestion_service_pb2.StreamQuotesRequest(
        symbols=symbols,
        source_policy=source_policy_pb2.SourcePolicy(
            mode=source_policy_pb2.SourcePolicy.MODE_PINNED, providers=[FINNHUB]
        ),
        # No answer to the question how fast data come.
        heartbeat_interval=Duration(seconds=60),
        **fields,  # type: ignore[arg-type]  # of the contract
    ).SerializeToString()


def trades_in(message: bytes) -> int:
    """
    Count the trades of a message without reading it.

    Reading would be most of what the caller does, and hide what the server does.
    """
    return message.count(_PROVIDER)


class Subscribers:
    """Be told, and count."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls
        self.trades = 0
        self.messages = 0

    async def read(self) -> None:
        """Read for ever."""
        async with asyncio.TaskGroup() as tasks:
            for call in self._calls:
                tasks.create_task(self._read(call))

    async def _read(self, call: Call) -> None:
        async for message in call:
            self.trades += trades_in(message)
            self.messages += 1


async def trades_per_second(opened: Opened, question: bytes, count: int) -> float:
    """Return how many trades so many subscribers are told in a second, together."""
    async with subscribed(opened, question, count) as calls:
        subscribers = Subscribers(calls)
        reading = asyncio.ensure_future(subscribers.read())
        try:
            await asyncio.sleep(_WARM_SECONDS)
            before, began = subscribers.trades, time.perf_counter()
            await asyncio.sleep(_SECONDS)
            told = subscribers.trades - before
            took = time.perf_counter() - began
        finally:
            reading.cancel()
            # Not to be waited for if a call has failed: that is raised.
            await asyncio.wait([reading])
        if not reading.cancelled():
            reading.result()
        return told / took


@contextlib.asynccontextmanager
async def subscribed(
    opened: Opened, question: bytes, count: int
) -> AsyncIterator[Sequence[Call]]:
    """Open so many streams, and cancel them."""
    calls = [opened(question) for _ in range(count)]
    try:
        yield calls
    finally:
        for call in calls:
            call.cancel()


async def recorded(door: str, question: bytes, count: int, most: int) -> list[bytes]:
    """Return messages that one of so many subscribers is told, from the first trade."""
    async with grpc.aio.insecure_channel(door) as channel:
        opened: Opened = channel.unary_stream(STREAM)
        async with subscribed(opened, question, count) as (first, *others):
            reading = asyncio.ensure_future(Subscribers(others).read())
            try:
                async with asyncio.timeout(_SECONDS_TO_BEGIN):
                    return await _told(first, most)
            finally:
                reading.cancel()
                await asyncio.wait([reading])


async def _told(call: Call, most: int) -> list[bytes]:
    found: list[bytes] = []
    async for message in call:
        if found or trades_in(message):
            found.append(message)
        if len(found) == most:
            break
    return found


def continuous(messages: Sequence[bytes]) -> None:
    """Raise unless each trade is counted, and its number the next or said to be."""
    due: dict[str, int] = {}
    for message in messages:
        told = ingestion_service_pb2.StreamQuotesResponse.FromString(message)
        if len(told.trades) != trades_in(message):
            raise RuntimeError(f"{trades_in(message)} of {len(told.trades)} counted")
        for event in told.events:
            if event.last_missing:
                due[event.symbol] = event.last_missing + 1
        for trade in told.trades:
            if trade.sequence != due.get(trade.symbol, trade.sequence):
                raise RuntimeError(f"{trade.symbol} {trade.sequence} is not the next")
            due[trade.symbol] = trade.sequence + 1


async def turn(vendor: str, rate: str) -> int:
    """Set how many trades the vendor sends in a second; return those sent so far."""

    def asked() -> int:
        with urlopen(f"{vendor}/rate/{rate}") as answer:  # noqa: S310 - of our own
            return int(answer.read())

    return await asyncio.to_thread(asked)
