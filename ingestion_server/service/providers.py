"""ProviderService: let people look at the vendors, and choose among them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from marketdata.ingestion.v1 import provider_service_pb2, provider_service_pb2_grpc
from typing_extensions import override

from ingestion_server.ports.benchmarking import Benchmark, Benchmarker, BenchmarkReport
from ingestion_server.ports.caching import CacheReport
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.routing import Directory, Router
from ingestion_server.service.admission import Context, Door
from ingestion_server.service.benchmark_decoding import benchmark_of
from ingestion_server.service.benchmark_encoding import benchmark_response_of
from ingestion_server.service.cache_encoding import cache_of
from ingestion_server.service.deadlines import seconds_to_answer
from ingestion_server.service.decoding import query_of
from ingestion_server.service.moments import timestamp
from ingestion_server.service.provider_decoding import (
    change_of,
    fields_within,
    name_of,
)
from ingestion_server.service.provider_encoding import provider_of, route_of
from ingestion_server.service.provider_news import Told
from ingestion_server.service.vendor_decoding import Vendors, watch_of
from ingestion_server.service.watching import Subject, Watcher

_BENCHMARK_SECONDS: Final = 120.0


class ProviderServicer(provider_service_pb2_grpc.ProviderServiceServicer):
    """Answer the RPCs of ProviderService."""

    def __init__(
        self,
        directory: Directory,
        router: Router,
        door: Door,
        clock: Clock,
        *,
        cache: CacheReport,
        benchmarker: Benchmarker,
    ) -> None:
        self._directory = directory
        self._router = router
        self._door = door
        self._clock = clock
        self._cache = cache
        self._benchmarker = benchmarker

    @override
    async def ListProviders(
        self, request: provider_service_pb2.ListProvidersRequest, context: Context
    ) -> provider_service_pb2.ListProvidersResponse:
        """Answer with every vendor, in the order in which they are asked."""
        async with self._door.call(context, "ProviderService/ListProviders"):
            return provider_service_pb2.ListProvidersResponse(
                providers=map(provider_of, self._directory.reports()),
                as_of=timestamp(self._clock.now_ns()),
                cache=cache_of(self._cache()),
            )
        raise AssertionError

    @override
    async def GetProvider(
        self, request: provider_service_pb2.GetProviderRequest, context: Context
    ) -> provider_service_pb2.GetProviderResponse:
        """Answer with one vendor."""
        async with self._door.call(context, "ProviderService/GetProvider"):
            reports = {report.name: report for report in self._directory.reports()}
            name = name_of(request, Vendors(reports))
            return provider_service_pb2.GetProviderResponse(
                provider=provider_of(reports[name]),
                as_of=timestamp(self._clock.now_ns()),
            )
        raise AssertionError

    @override
    async def WatchProviders(
        self, request: provider_service_pb2.WatchProvidersRequest, context: Context
    ) -> AsyncIterator[provider_service_pb2.WatchProvidersResponse]:
        """Answer with every vendor first, then with what has changed."""
        async with self._door.watch(context, "ProviderService/WatchProviders"):
            wanted, interval_seconds = watch_of(request, self._vendors())
            told = Told(wanted)
            watcher = Watcher(
                Subject(
                    self._directory.events,
                    self._directory.changed,
                    lambda events: told.news(
                        self._directory.reports(),
                        self._cache(),
                        events,
                        self._clock.now_ns(),
                    ),
                ),
                wanted,
                interval_seconds,
                self._door,
                self._clock,
            )
            while True:
                yield await watcher.next()

    @override
    async def UpdateProvider(
        self, request: provider_service_pb2.UpdateProviderRequest, context: Context
    ) -> provider_service_pb2.UpdateProviderResponse:
        """Switch a vendor on or off, or change its place, and answer with it."""
        async with self._door.call(context, "ProviderService/UpdateProvider"):
            change = change_of(request, self._vendors())
            report = await self._directory.update(
                change.name, enabled=change.enabled, priority=change.priority
            )
            return provider_service_pb2.UpdateProviderResponse(
                provider=provider_of(report)
            )
        raise AssertionError

    @override
    async def ExplainRoute(
        self, request: provider_service_pb2.ExplainRouteRequest, context: Context
    ) -> provider_service_pb2.ExplainRouteResponse:
        """Answer with those who would be asked, and those who would not."""
        async with self._door.call(context, "ProviderService/ExplainRoute"):
            # The router too may find a field wrong that Fetch would find wrong.
            with fields_within("request"):
                candidates = await self._router.explain(query_of(request.request))
            return route_of(candidates, self._clock.now_ns())
        raise AssertionError

    @override
    async def BenchmarkProviders(
        self,
        request: provider_service_pb2.BenchmarkProvidersRequest,
        context: Context,
    ) -> provider_service_pb2.BenchmarkProvidersResponse:
        """Ask vendors the same questions, and answer with how they compare."""
        async with self._door.call(context, "ProviderService/BenchmarkProviders"):
            report = await self._compared(
                benchmark_of(request, self._directory.reports()),
                seconds_to_answer(context, _BENCHMARK_SECONDS),
            )
            return benchmark_response_of(report)
        raise AssertionError

    async def _compared(
        self, benchmark: Benchmark, budget_seconds: float
    ) -> BenchmarkReport:
        reports: list[BenchmarkReport] = []

        async def work() -> None:
            reports.append(
                await self._benchmarker.run(benchmark, budget_seconds=budget_seconds)
            )

        # It may take minutes, which a server that stops does not wait for.
        await self._door.while_open(work())
        return reports[0]

    def _vendors(self) -> Vendors:
        return Vendors([report.name for report in self._directory.reports()])
