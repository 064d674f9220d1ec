"""Everything that clients do with a server, mixed, so many at a time."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
    provider_service_pb2,
    provider_service_pb2_grpc,
    quota_service_pb2,
    quota_service_pb2_grpc,
    source_policy_pb2,
)

EQUITIES: Final = (
    *("AAPL", "MSFT", "NVDA", "AMZN", "META", "GOOGL", "TSLA", "JPM"),
    *("KO", "IBM", "ORCL", "INTC", "XOM", "PFE", "DIS", "BA"),
)
OTHERS: Final = ("EUR/USD", "USD/JPY", "BTC/USD", "ETH/USD", "NOSUCH")
INTERVALS: Final = (
    bar_pb2.INTERVAL_1_DAY,
    bar_pb2.INTERVAL_1_DAY,
    bar_pb2.INTERVAL_1_WEEK,
    bar_pb2.INTERVAL_1_HOUR,
    bar_pb2.INTERVAL_5_MINUTES,
    bar_pb2.INTERVAL_1_MINUTE,
)
LIMITS: Final = (5, 100, 1000)
ADJUSTMENTS: Final = (
    bar_pb2.ADJUSTMENT_RAW,
    bar_pb2.ADJUSTMENT_SPLIT,
    bar_pb2.ADJUSTMENT_SPLIT_DIVIDEND,
)
VENDORS: Final = ("alpha_vantage", "yahoo")
_SECONDS: Final = 5.0
"""The deadline of each call."""
_SOON: Final = Duration(nanos=100_000_000)
_DEFECTS: Final = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})


class Load:
    """Call a server until it is enough; the same seed makes the same calls."""

    def __init__(self, channel: grpc.aio.Channel, *, seed: int = 7) -> None:
        """Talk over one channel."""
        self._bars = ingestion_service_pb2_grpc.IngestionServiceStub(channel)
        self._providers = provider_service_pb2_grpc.ProviderServiceStub(channel)
        self._quotas = quota_service_pb2_grpc.QuotaServiceStub(channel)
        self._random = Random(seed)  # noqa: S311 - no secret
        self.statuses: Counter[str] = Counter()
        """How calls ended: ``OK``, or the code and what was done."""
        self.defects: list[str] = []
        """What the server should never say."""
        kinds: Sequence[tuple[Callable[[], Awaitable[None]], int]] = (
            (self._fetch, 60),
            (self._batch, 6),
            (self._leave, 12),
            (self._look, 6),
            (self._plan, 4),
            (self._change, 2),
            (self._watch, 3),
        )
        self._acts = [act for act, _ in kinds]
        self._up_to = list(itertools.accumulate(often for _, often in kinds))

    async def run(self, at_once: int, seconds: float) -> None:
        """Make so many calls at a time, for so long."""
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(self._work(until))

    async def _work(self, until: float) -> None:
        while asyncio.get_running_loop().time() < until:
            [act] = self._random.choices(self._acts, cum_weights=self._up_to)
            try:
                await act()
                status = "OK"
            except grpc.aio.AioRpcError as error:
                status = error.code().name
                if error.code() in _DEFECTS:
                    self.defects.append(f"{act.__name__}: {error.details()}")
            self.statuses[status] += 1

    def _question(self) -> ingestion_service_pb2.FetchRequest:
        pick = self._random.choice
        equity = self._random.random() < 0.8
        policy = source_policy_pb2.SourcePolicy()
        if self._random.random() < 0.3:
            policy.mode = source_policy_pb2.SourcePolicy.MODE_PINNED
            policy.providers.append(pick(VENDORS))
        return ingestion_service_pb2.FetchRequest(
            symbol=pick(EQUITIES if equity else OTHERS),
            interval=pick(INTERVALS),
            limit=pick(LIMITS),
            adjustment=pick(ADJUSTMENTS if equity else ADJUSTMENTS[:1]),
            layout=pick(ingestion_service_pb2.Layout.values()),
            source_policy=policy,
            priority=pick(ingestion_service_pb2.Priority.values()),
        )

    async def _fetch(self) -> None:
        await self._bars.Fetch(self._question(), timeout=_SECONDS)

    async def _batch(self) -> None:
        symbols = self._random.sample(EQUITIES, self._random.randint(2, 8))
        request = ingestion_service_pb2.FetchBatchRequest(
            symbols=symbols,
            interval=self._random.choice(INTERVALS),
            limit=self._random.choice(LIMITS),
        )
        async for _ in self._bars.FetchBatch(request, timeout=_SECONDS):
            pass

    async def _leave(self) -> None:
        call = self._bars.Fetch(self._question(), timeout=_SECONDS)
        await asyncio.sleep(self._random.random() * 0.05)
        call.cancel()
        await asyncio.wait([asyncio.ensure_future(call.code())])

    async def _look(self) -> None:
        await self._providers.ListProviders(
            provider_service_pb2.ListProvidersRequest(), timeout=_SECONDS
        )
        await self._providers.ExplainRoute(
            provider_service_pb2.ExplainRouteRequest(request=self._question()),
            timeout=_SECONDS,
        )

    async def _plan(self) -> None:
        await self._quotas.ListQuotas(
            quota_service_pb2.ListQuotasRequest(), timeout=_SECONDS
        )
        planned = quota_service_pb2.PlannedCalls(provider="yahoo", calls=500)
        await self._quotas.ForecastQuota(
            quota_service_pb2.ForecastQuotaRequest(planned=[planned]), timeout=_SECONDS
        )

    async def _change(self) -> None:
        request = provider_service_pb2.UpdateProviderRequest(
            name=self._random.choice(VENDORS), enabled=True
        )
        await self._providers.UpdateProvider(request, timeout=_SECONDS)

    async def _watch(self) -> None:
        watches: tuple[Any, ...] = (
            self._providers.WatchProviders(
                provider_service_pb2.WatchProvidersRequest(min_interval=_SOON)
            ),
            self._quotas.WatchQuotas(
                quota_service_pb2.WatchQuotasRequest(min_interval=_SOON)
            ),
        )
        try:
            for watch in watches:
                await watch.read()
            await asyncio.sleep(self._random.random())
        finally:
            for watch in watches:
                watch.cancel()
