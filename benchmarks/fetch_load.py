"""Questions for a server, and how fast it answers them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    provenance_pb2,
    source_policy_pb2,
)

from benchmarks.fetch_vendor import sessions_before_today, span, symbol
from ingestion_server.domain.interval import SECOND_NS

ALPHA_VANTAGE: Final = "alpha_vantage"
YAHOO: Final = "yahoo"
IN_FLIGHT: Final = 32
UNMETERED: Final = {
    "INGESTION_PROVIDERS__ALPHA_VANTAGE__BUDGET__WINDOWS": "[]",
    "INGESTION_PROVIDERS__YAHOO__PLAN": "unmetered",
}
"""Settings that keep the vendors' quota out of what is measured."""
_AS_THEY_COME: Final = {
    ALPHA_VANTAGE: bar_pb2.ADJUSTMENT_RAW,
    YAHOO: bar_pb2.ADJUSTMENT_SPLIT,
}
"""Another adjustment would need a second call."""
FETCH: Final = "/marketdata.ingestion.v1.IngestionService/Fetch"
Call = Callable[[int], Awaitable[bytes]]
"""Ask one question, by its number."""


class Questions:
    """
    Make the questions whose answers have so many daily bars, all of them there.

    Each is answered by one call of one vendor.
    """

    def __init__(self, vendor: str, bars: int, start_ns: int, end_ns: int) -> None:
        self.vendor = vendor
        self.bars = bars
        self.start_seconds = start_ns // SECOND_NS
        self.end_seconds = end_ns // SECOND_NS

    @classmethod
    async def about(cls, vendor: str, bars: int, calendars: Path) -> Questions:
        """Return the questions about the last so many sessions."""
        labels_ns, _ = await sessions_before_today(calendars, bars)
        return cls(vendor, bars, *span(labels_ns))

    def encoded(self, number: int) -> bytes:
        """Return one of them; another number asks about another symbol."""
        return ingestion_service_pb2.FetchRequest(
            symbol=symbol(self.bars, number),
            start=Timestamp(seconds=self.start_seconds),
            end=Timestamp(seconds=self.end_seconds),
            adjustment=_AS_THEY_COME[self.vendor],
            source_policy=source_policy_pb2.SourcePolicy(
                mode=source_policy_pb2.SourcePolicy.MODE_PINNED,
                providers=[self.vendor],
            ),
        ).SerializeToString()

    def check(self, answer: bytes) -> None:
        """Raise if an answer is not whole: a fast one that is wrong counts nothing."""
        told = ingestion_service_pb2.FetchResponse.FromString(answer)
        whole = told.completeness == provenance_pb2.COMPLETENESS_COMPLETE
        if not whole or len(told.series.bars) != self.bars:
            raise RuntimeError(f"{len(told.series.bars)} of {self.bars} bars: {told}")


def raw_call(
    channel: grpc.aio.Channel, method: str
) -> Callable[[bytes], Awaitable[bytes]]:
    """Return a call that gives the bytes as they are: reading them is not measured."""
    return channel.unary_unary(method)


async def calls_per_second(call: Call, numbers: Iterator[int], calls: int) -> float:
    """Make so many calls, always ``IN_FLIGHT`` at once, and return how fast."""
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await call(next(numbers))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(work())
    return calls / (time.perf_counter() - began)


async def seconds_each(call: Call, numbers: Iterator[int], calls: int) -> list[float]:
    """Make so many calls, one after the other, and return what each took."""
    took = []
    for _ in range(calls):
        began = time.perf_counter()
        await call(next(numbers))
        took.append(time.perf_counter() - began)
    return took
