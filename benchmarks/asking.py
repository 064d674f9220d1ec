"""
Ask a server as a caller would that neither remembers nor tries again.

No two questions are the same, and gRPC's own retries are off, for they would hide
what the server did not manage.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import grpc
import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
    source_policy_pb2,
)

UNLIMITED: Final = "99999per1s"
"""A plan whose quota is never the limit."""
UNHELPED: Final = {
    "INGESTION_CACHE__ENABLED": "false",
    "INGESTION_SANDBOX__ALPHA_VANTAGE_PLAN": UNLIMITED,
    "INGESTION_SANDBOX__FINNHUB_PLAN": UNLIMITED,
    "INGESTION_PROVIDERS__YAHOO__PLAN": "unmetered",
}
"""A server that knows nothing of before, and no quota of `UNLIMITED_VENDORS`."""
UNLIMITED_VENDORS: Final = (
    *("--alpha-vantage-plan", UNLIMITED),
    *("--yahoo-per-second", "99999"),
    *("--finnhub-plan", UNLIMITED),
)
PATIENCE_SECONDS: Final = 60.0
SYMBOLS: Final = 60
_FIRST_DAYS_AGO: Final = 40
_END_DAYS_AGO: Final = 10
_DAY_S: Final = 86_400


class Asked(NamedTuple):
    """Be one question and what came of it."""

    question: ingestion_service_pb2.FetchRequest
    seconds: float
    answer: ingestion_service_pb2.FetchResponse | None
    """None = it was refused."""
    failure: str
    """Why it was refused; empty if it was not."""

    @property
    def rested(self) -> bool:
        """Tell whether a vendor was passed over since its breaker was open."""
        return self.answer is not None and any(
            not attempt.calls and " rests " in attempt.reason
            for attempt in self.answer.attempts
        )


class Asker:
    """Ask one server; a context that closes its channel."""

    def __init__(self, door: str) -> None:
        """Name the server."""
        self._channel = grpc.aio.insecure_channel(
            door, options=(("grpc.enable_retries", 0),)
        )
        self._stub = ingestion_service_pb2_grpc.IngestionServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the channel."""
        await self._channel.close()

    async def ask(self, question: ingestion_service_pb2.FetchRequest) -> Asked:
        """Ask once, and wait for as long as it takes."""
        began = time.perf_counter()
        try:
            answer = await self._stub.Fetch(question, timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            took = time.perf_counter() - began
            failure = f"{error.code().name}: {error.details()}"
            return Asked(question, took, None, failure)
        return Asked(question, time.perf_counter() - began, answer, "")

    async def ask_each(
        self,
        questions: Iterable[ingestion_service_pb2.FetchRequest],
        *,
        in_flight: int,
        per_second: float = math.inf,
    ) -> list[Asked]:
        """Ask so many at a time, and begin no more than so many a second."""
        left, found = enumerate(questions), list[Asked]()
        began = time.perf_counter()

        async def one_after_another() -> None:
            for number, question in left:
                due = began + number / per_second
                await asyncio.sleep(max(due - time.perf_counter(), 0))
                found.append(await self.ask(question))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(in_flight):
                tasks.create_task(one_after_another())
        return found


def questions() -> Iterator[ingestion_service_pb2.FetchRequest]:
    """
    Yield questions for some weeks of final daily bars, each another one.

    Symbols take turns, so that only what waits for long overlaps with the next of its
    kind. They are as many as the simulator has at hand, which else would spend its
    time on inventing prices. If they ever split it was in 2019, so split-adjusted
    prices of today are those that were traded.
    """
    for number in itertools.count():
        longer, turn = divmod(number, SYMBOLS)
        yield ingestion_service_pb2.FetchRequest(
            symbol=f"SBX{turn + 1:04}",
            interval=bar_pb2.INTERVAL_1_DAY,
            adjustment=bar_pb2.ADJUSTMENT_SPLIT,
            layout=ingestion_service_pb2.LAYOUT_COLUMNS,
            asset_class=ingestion_service_pb2.ASSET_CLASS_EQUITY,
            start=_ago(_FIRST_DAYS_AGO + longer),
            end=_ago(_END_DAYS_AGO),
        )


def pinned(
    question: ingestion_service_pb2.FetchRequest, provider: str
) -> ingestion_service_pb2.FetchRequest:
    """Return the question for one vendor alone."""
    made = ingestion_service_pb2.FetchRequest()
    made.CopyFrom(question)
    made.source_policy.mode = source_policy_pb2.SourcePolicy.MODE_PINNED
    made.source_policy.providers.append(provider)
    return made


def control(
    url: str, method: str, name: str, document: object = None
) -> Mapping[str, Any]:
    """Make one control call to the simulated vendors."""
    # No proxy of the user's stands between processes of one machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(  # noqa: S310 - ours
        f"{url}/control/{name}", data=body, method=method
    )
    with opener.open(request, timeout=10) as reply:
        told: Mapping[str, Any] = json.load(reply)
        return told


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of the values that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]


def _ago(days_ago: int) -> Timestamp:
    return Timestamp(seconds=(int(time.time()) // _DAY_S - days_ago) * _DAY_S)
