"""A whole house for tests: the server, the simulated vendors, and a client's stub."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import grpc
import grpc.aio
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
    job_service_pb2_grpc,
    provider_service_pb2_grpc,
    quota_pb2,
    quota_service_pb2,
    quota_service_pb2_grpc,
)

from ingestion_server.app.mode import Mode
from ingestion_server.app.services import services
from ingestion_server.app.settings import load_settings
from ingestion_server.app.tracing import tracing
from ingestion_server.app.wiring import joined
from ingestion_server.ingest.probing import Prober
from ingestion_server.service.admission import Door
from ingestion_server.service.server import GrpcServer, bound_server

UNMETERED: Final = {
    "PROVIDERS__YAHOO__PLAN": "unmetered",
    "SANDBOX__YAHOO_PER_SECOND": "1000",
}
"""Settings that let tests ask Yahoo without pauses."""
FREE: Final = {"SANDBOX__ALPHA_VANTAGE_PLAN": "free"}
"""Settings with which Alpha Vantage allows 25 calls a day, and one a second."""
TWO_VENDORS: Final = {"PROVIDERS__FINNHUB__ENABLED": "false"}
"""Settings for tests in which a third vendor would answer as well."""
Build = Callable[..., AbstractAsyncContextManager["House"]]
"""Builds a house, as ``house`` does, but knows where calendars are kept."""
NOON = datetime(2024, 6, 12, 12, 0, tzinfo=UTC)
"""A Wednesday before New York opens, unless a test wants another time."""


_PATIENCE_SECONDS: Final = 10
_NEW_SYMBOLS: Final = cycle(f"SBX{number:04}" for number in range(1000, 10_000))


class ShiftedClock:
    """Run at the pace of the real clock, from a time of the test's choice."""

    def __init__(self, start: datetime = NOON) -> None:
        self._shift_ns = int(start.timestamp() * 1e9) - time.time_ns()
        self._ahead_seconds = 0.0
        self._advanced = asyncio.Event()

    def now_ns(self) -> int:
        return time.time_ns() + self._shift_ns + int(self._ahead_seconds * 1e9)

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead_seconds

    async def sleep(self, seconds: float) -> None:
        # By the real clock, since one that is made to stand would never come so far.
        until = time.monotonic() + self._ahead_seconds + seconds
        await asyncio.sleep(0)
        while (left := until - time.monotonic() - self._ahead_seconds) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._advanced.wait()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_ns() / 1e9, UTC)

    def advance(self, seconds: float) -> None:
        """Let time jump, for everybody who holds this clock."""
        self._ahead_seconds += seconds
        advanced, self._advanced = self._advanced, asyncio.Event()
        advanced.set()


class RefusedError(Exception):
    """Hold what a failed call told."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(error.details())
        self.code = error.code()
        self.message = error.details() or ""
        self.status = status_pb2.Status()
        for name, value in error.trailing_metadata() or ():
            if name == "grpc-status-details-bin":
                self.status.ParseFromString(value)

    def detail(self, kind: Any) -> Any:
        """Return the detail of a kind, or None."""
        for packed in self.status.details:
            if packed.Is(kind.DESCRIPTOR):
                found = kind()
                packed.Unpack(found)
                return found
        return None

    @property
    def fields(self) -> set[str]:
        """Return the names of the wrong fields."""
        wrong = self.detail(error_details_pb2.BadRequest)
        return set() if wrong is None else {one.field for one in wrong.field_violations}

    @property
    def facts(self) -> dict[str, str]:
        info = self.detail(error_details_pb2.ErrorInfo)
        return {} if info is None else dict(info.metadata)

    @property
    def reason(self) -> str:
        info = self.detail(error_details_pb2.ErrorInfo)
        return "" if info is None else info.reason

    @property
    def retry_seconds(self) -> float | None:
        info = self.detail(error_details_pb2.RetryInfo)
        if info is None:
            return None
        return info.retry_delay.seconds + info.retry_delay.nanos / 1e9


@dataclass
class House:
    """Talk to a server under test, and to its simulated vendors."""

    stub: ingestion_service_pb2_grpc.IngestionServiceStub
    quotas: quota_service_pb2_grpc.QuotaServiceStub
    providers: provider_service_pb2_grpc.ProviderServiceStub
    jobs: job_service_pb2_grpc.JobServiceStub
    channel: grpc.aio.Channel
    target: str
    clock: ShiftedClock
    sandbox_url: str
    web: aiohttp.ClientSession
    server: GrpcServer
    door: Door
    prober: Prober
    metadata: tuple[tuple[str, str], ...] = ()

    async def fetch(
        self,
        *,
        timeout: float | None = 20,  # noqa: ASYNC109 - the deadline of the call
        **request: Any,
    ) -> ingestion_service_pb2.FetchResponse:
        """Fetch; the request is written as in JSON. Raises ``RefusedError``."""
        message = json_format.ParseDict(request, ingestion_service_pb2.FetchRequest())
        try:
            return await self.stub.Fetch(
                message, timeout=timeout, metadata=self.metadata
            )
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from error

    async def refused(self, **request: Any) -> RefusedError:
        """Fetch what must fail, and return how it did."""
        try:
            answer = await self.fetch(**request)
        except RefusedError as error:
            return error
        raise AssertionError(f"this was answered: {answer}")

    async def batch(
        self,
        *,
        timeout: float | None = 20,  # noqa: ASYNC109 - the deadline of the call
        **request: Any,
    ) -> list[ingestion_service_pb2.FetchBatchResponse]:
        """Fetch a batch; the request is written as in JSON. Raises ``RefusedError``."""
        message = json_format.ParseDict(
            request, ingestion_service_pb2.FetchBatchRequest()
        )
        call = self.stub.FetchBatch(message, timeout=timeout, metadata=self.metadata)
        try:
            return [response async for response in call]
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from error

    async def quotes(
        self,
        *symbols: str,
        timeout: float | None = 20,  # noqa: ASYNC109 - the deadline of the call
        **request: Any,
    ) -> ingestion_service_pb2.GetQuotesResponse:
        """Get quotes; the request is written as in JSON. Raises ``RefusedError``."""
        message = json_format.ParseDict(
            request, ingestion_service_pb2.GetQuotesRequest(symbols=symbols)
        )
        try:
            return await self.stub.GetQuotes(
                message, timeout=timeout, metadata=self.metadata
            )
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from error

    async def spend(self, vendor: str, calls: int) -> None:
        """Make so many calls of a vendor, none of them too soon after another."""
        for _ in range(calls):
            self.clock.advance(1.1)
            await self.fetch(**one_call(vendor))

    async def listed(self, *vendors: str) -> quota_service_pb2.ListQuotasResponse:
        """Return what ListQuotas tells. Raises ``RefusedError``."""
        message = quota_service_pb2.ListQuotasRequest(providers=vendors)
        try:
            return await self.quotas.ListQuotas(message, timeout=_PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from error

    async def windows(self) -> Mapping[tuple[str, str], quota_pb2.QuotaWindow]:
        """Return every window by its vendor and its name."""
        listed = await self.listed()
        return {(one.provider, one.name): one for one in listed.windows}

    async def window(self, vendor: str, name: str) -> quota_pb2.QuotaWindow:
        """Return one window."""
        return (await self.windows())[vendor, name]

    async def account(self, vendor: str) -> quota_pb2.QuotaProvider:
        """Return what is true of all windows of a vendor together."""
        (account,) = (await self.listed(vendor)).providers
        return account

    async def foreseen(self, **request: Any) -> quota_service_pb2.ForecastQuotaResponse:
        """Forecast; the request is written as in JSON. Raises ``RefusedError``."""
        message = json_format.ParseDict(
            request, quota_service_pb2.ForecastQuotaRequest()
        )
        try:
            return await self.quotas.ForecastQuota(message, timeout=_PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from error

    async def fault(self, vendor: str, fault: str, **options: Any) -> None:
        """Add a fault to a simulated vendor."""
        url = f"{self.sandbox_url}/control/{vendor}"
        async with self.web.post(url, json={"fault": fault, **options}) as reply:
            assert reply.status < 300, await reply.text()

    async def mend(self, vendor: str) -> None:
        """Clear the faults of a simulated vendor."""
        async with self.web.delete(f"{self.sandbox_url}/control/{vendor}") as reply:
            assert reply.status < 300, await reply.text()

    async def stats(self, vendor: str) -> Mapping[str, Any]:
        """Return what a simulated vendor counted."""
        async with self.web.get(f"{self.sandbox_url}/control/stats") as reply:
            return (await reply.json())[vendor]

    async def calls(self, vendor: str) -> int:
        """Return how often a simulated vendor was called."""
        return int((await self.stats(vendor))["calls"])

    async def functions(self) -> Mapping[str, int]:
        """Return how often each function of Alpha Vantage was called."""
        return (await self.stats("alpha_vantage"))["by_function"]

    async def until_called(self, vendor: str, calls: int = 1) -> None:
        """Wait until a simulated vendor was called so often."""

        async def called() -> bool:
            return await self.calls(vendor) >= calls

        await until(called)

    async def recovered(self, **request: Any) -> ingestion_service_pb2.FetchResponse:
        """Fetch until it is answered; the server may still hear of who left."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                try:
                    return await self.fetch(**request)
                except RefusedError:
                    await asyncio.sleep(0.01)


@asynccontextmanager
async def house(
    *,
    cache: Path,
    start: datetime = NOON,
    settings: Mapping[str, str] | None = None,
    mode: Mode | None = None,
) -> AsyncIterator[House]:
    """Build a house; ``settings`` are environment variables without their prefix."""
    variables = {"INGESTION_CALENDARS__CACHE_FOLDER": str(cache)}
    variables |= {
        f"INGESTION_{name}": value for name, value in (settings or {}).items()
    }
    chosen = load_settings(config_file=None, overrides={}, environ=variables)
    clock = ShiftedClock(start)
    async with (
        tracing(chosen) as traces,
        joined(chosen, mode or Mode(sandbox=True), clock=clock, tracer=traces) as rooms,
        aiohttp.ClientSession() as web,
    ):
        door = Door(
            chosen.grpc.max_concurrent_calls,
            most_streams=chosen.grpc.max_streams,
            hooks=[rooms.tally],
            tracer=traces,
        )
        server = bound_server(
            services(rooms, door, chosen),
            "127.0.0.1:0",
            None,
        )
        await server.serving()
        target = f"127.0.0.1:{server.port}"
        try:
            async with grpc.aio.insecure_channel(target) as channel:
                yield House(
                    ingestion_service_pb2_grpc.IngestionServiceStub(channel),
                    quota_service_pb2_grpc.QuotaServiceStub(channel),
                    provider_service_pb2_grpc.ProviderServiceStub(channel),
                    job_service_pb2_grpc.JobServiceStub(channel),
                    channel,
                    target,
                    clock,
                    rooms.sandbox_url,
                    web,
                    server,
                    door,
                    rooms.prober,
                )
        finally:
            await server.server.stop(0)


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what happens beyond the reach of this process's events."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not await happened():  # noqa: ASYNC110 - there is no such event
            await asyncio.sleep(0.005)


def new_symbol() -> str:
    """Return a stock that no test has asked for, so that a vendor must be called."""
    return next(_NEW_SYMBOLS)


def anew(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request with a stock that nobody asked for, so that it takes a call."""
    return {**request, "symbol": new_symbol()}


def one_call(vendor: str) -> dict[str, Any]:
    """
    Return a request that one call of a vendor answers, and no other vendor may.

    Each is for another stock: neither what is known nor another's call answers it.
    """
    native = {"alpha_vantage": "ADJUSTMENT_RAW", "yahoo": "ADJUSTMENT_SPLIT"}
    return {
        "symbol": new_symbol(),
        "limit": 5,
        "adjustment": native[vendor],
        "source_policy": pinned(vendor),
    }


def budget(vendor: str, **parts: Any) -> dict[str, str]:
    """Return settings that replace parts of a vendor's budget."""
    return {
        f"PROVIDERS__{vendor.upper()}__BUDGET__{name.upper()}": (
            value if isinstance(value, str) else json.dumps(value)
        )
        for name, value in parts.items()
    }


def seconds_between(earlier: datetime, later: Timestamp) -> float:
    """Return how much later a moment of the wire is."""
    return later.ToDatetime(UTC).timestamp() - earlier.timestamp()


def times(answer: ingestion_service_pb2.FetchResponse) -> list[str]:
    """Return the open times of an answer's bars, as ISO text."""
    return [bar.open_time.ToJsonString() for bar in answer.series.bars]


def closes(answer: ingestion_service_pb2.FetchResponse) -> list[float]:
    """Return the closes of an answer's bars."""
    return [bar.close for bar in answer.series.bars]


def pinned(provider: str) -> dict[str, Any]:
    """Return a policy that allows one vendor only."""
    return {"mode": "MODE_PINNED", "providers": [provider]}


def ordered(*providers: str) -> dict[str, Any]:
    """Return a policy that asks these vendors in this order."""
    return {"mode": "MODE_ORDERED", "providers": list(providers)}


def served_by(answer: ingestion_service_pb2.FetchResponse) -> list[str]:
    """Return who served each stretch of an answer, in order."""
    return [source.provider for source in answer.sources]


def holes(answer: ingestion_service_pb2.FetchResponse) -> list[tuple[str, str]]:
    """Return the missing intervals of an answer, as ISO text."""
    return [
        (hole.start.ToJsonString(), hole.end.ToJsonString()) for hole in answer.missing
    ]


def flags(answer: ingestion_service_pb2.FetchResponse, kind: int) -> list[str]:
    """Return the times of an answer's flags of a kind; empty for the whole series."""
    return [
        flag.time.ToJsonString() if flag.HasField("time") else ""
        for flag in answer.quality_flags
        if flag.kind == kind
    ]


def attempts(answer: ingestion_service_pb2.FetchResponse) -> list[tuple[str, str]]:
    """Return each attempt's vendor and the first word of its reason."""
    return [
        (attempt.provider, attempt.reason.partition(":")[0])
        for attempt in answer.attempts
    ]


def asked(folder: Path) -> list[tuple[str, dict[str, str]]]:
    """Return what left for the vendors, as recorded: vendor, and its parameters."""
    found = []
    for path in folder.rglob("*.meta.json"):
        document = json.loads(path.read_text())
        parameters = dict(parse_qsl(urlsplit(document["url"]).query))
        vendor = path.parent.name.replace("alphavantage", "alpha_vantage")
        found.append((document["recorded"], vendor, parameters))
    return [(vendor, parameters) for _, vendor, parameters in sorted(found, key=str)]
