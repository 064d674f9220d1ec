"""
Measure how long a trade takes from the vendor to a subscriber.

The vendor writes into each trade when it is sent, in whole milliseconds rounded down,
so what is measured is up to a millisecond too long. The reference is a connection of
our own to the same vendor, without a server in between.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp
import grpc.aio
import uvloop
from marketdata.ingestion.v1 import ingestion_service_pb2

from benchmarks.programs import answering, serving
from benchmarks.results import Results, at_most
from benchmarks.stream_load import SETTINGS, STREAM, Call, request, subscribed, turn

ROUNDS: Final = 5
SUBSCRIBERS: Final = 10
TRADES_PER_SECOND: Final = 5_000
SECONDS: Final = 2.0
MOST_MS: Final = 25.0
_WARM_SECONDS: Final = 1.0
_MS_NS: Final = 1_000_000


def measured() -> Results:
    """Measure in turn, and judge."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "kept")
        with (
            answering(cache, "benchmarks.stream_vendor") as vendor,
            serving(cache, "--sandbox-url", vendor, settings=SETTINGS) as server,
        ):
            return uvloop.run(_measured(vendor, server.door))


async def _measured(vendor: str, door: str) -> Results:
    await turn(vendor, str(TRADES_PER_SECOND))
    ours: list[Sequence[float]] = []
    bare: list[Sequence[float]] = []
    async with grpc.aio.insecure_channel(door) as channel:
        for _ in range(ROUNDS):
            async with subscribed(
                channel.unary_stream(STREAM), request(), SUBSCRIBERS
            ) as calls:
                ours.append(await _taken([_Subscriber(call) for call in calls]))
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(vendor) as socket,
            ):
                bare.append(await _taken([_Listener(socket)]))
    return {
        "stream_latency": at_most(_p99(ours), "ms", _p99(bare), MOST_MS),
        "stream_latency_p50": at_most(_p50(ours), "ms", _p50(bare), MOST_MS),
    }


def _p99(rounds: Sequence[Sequence[float]]) -> float:
    return statistics.median(statistics.quantiles(each, n=100)[98] for each in rounds)


def _p50(rounds: Sequence[Sequence[float]]) -> float:
    return statistics.median(statistics.median(each) for each in rounds)


class _Subscriber:
    """Read what our server tells, and when."""

    def __init__(self, call: Call) -> None:
        self.took: list[float] = []
        self._call = call

    async def read(self) -> None:
        """Read for ever."""
        async for message in self._call:
            now = time.time_ns()
            told = ingestion_service_pb2.StreamQuotesResponse.FromString(message)
            self.took += [
                (now - each.time.ToNanoseconds()) / _MS_NS for each in told.trades
            ]


class _Listener:
    """Read what the vendor tells, and when."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.took: list[float] = []
        self._socket = socket

    async def read(self) -> None:
        """Read for ever."""
        async for message in self._socket:
            now = time.time_ns()
            self.took += [
                now / _MS_NS - each["t"] for each in json.loads(message.data)["data"]
            ]


async def _taken(readers: Sequence[_Subscriber | _Listener]) -> Sequence[float]:
    """Return how long each trade took, in milliseconds, to each who was told."""
    reading = [asyncio.ensure_future(each.read()) for each in readers]
    try:
        await asyncio.sleep(_WARM_SECONDS)
        for each in readers:
            each.took.clear()
        await asyncio.sleep(SECONDS)
        took = [one for each in readers for one in each.took]
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    least = 0.9 * SECONDS * TRADES_PER_SECOND * len(readers)
    if len(took) < least:
        raise RuntimeError(f"{len(took)} trades were told, and not {least:.0f}")
    return took
