"""Who the vendors are, how they do and what they meter, with asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Unpack

from marketdata.ingestion.v1 import (
    provider_service_pb2,
    provider_service_pb2_grpc,
    quota_service_pb2_grpc,
)

from ingestion_server.client.benchmarks import Benchmark, benchmark_from
from ingestion_server.client.connection import AsyncConnection
from ingestion_server.client.provider_request import (
    BenchmarkOptions,
    benchmark_request,
    explain_request,
    update_request,
    watch_providers_request,
)
from ingestion_server.client.providers import (
    Provider,
    ProviderChanges,
    Providers,
    Route,
    provider_changes_from,
    provider_from,
    providers_from,
    route_from,
)
from ingestion_server.client.quota_request import (
    PlannedCalls,
    forecast_request,
    list_request,
    watch_request,
)
from ingestion_server.client.quotas import (
    QuotaChanges,
    QuotaForecast,
    Quotas,
    changes_from,
    forecast_from,
    quotas_from,
)
from ingestion_server.client.request import Query, takes_query
from ingestion_server.client.status import failures_of


class AsyncVendors(AsyncConnection):
    """Ask a server about its vendors; only `benchmark` has them asked anything."""

    async def quotas(
        self,
        providers: str | Sequence[str] = (),
        *,
        timeout_seconds: float | None = None,
    ) -> Quotas:
        """
        Tell what vendors meter, and what is left of it; no vendor is asked.

        Args:
            providers: ids of vendors; empty = all.
            timeout_seconds: bounds the call, retries included; None = the client's.

        Raises:
            IngestionClientError: one subclass per reason, see `client.errors`.

        """
        request = list_request(providers)
        stub = quota_service_pb2_grpc.QuotaServiceStub(self._connected())
        with failures_of(self.target):
            answer = await stub.ListQuotas(
                request, timeout=timeout_seconds or self._timeout
            )
        return quotas_from(answer)

    async def watch_quotas(
        self,
        providers: str | Sequence[str] = (),
        *,
        min_interval_seconds: float = 1.0,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[QuotaChanges, None]:
        """
        Tell all windows first, and then what changes, until the server stops.

        Two changes without an alert are at least `min_interval_seconds` apart; alerts
        come at once. `Quotas.updated` applies changes. Leaving the loop early ends
        the call; `contextlib.aclosing` makes that happen at once. Only
        `timeout_seconds` bounds it; else see `quotas`.
        """
        request = watch_request(providers, min_interval_seconds)
        stub = quota_service_pb2_grpc.QuotaServiceStub(self._connected())
        call = stub.WatchQuotas(request, timeout=timeout_seconds)
        try:
            with failures_of(self.target):
                async for response in call:
                    yield changes_from(response)
        finally:
            call.cancel()

    async def forecast_quota(
        self,
        planned: Sequence[PlannedCalls] = (),
        *,
        providers: str | Sequence[str] = (),
        timeout_seconds: float | None = None,
    ) -> QuotaForecast:
        """
        Tell when windows run out at the present rate, and which planned calls fit.

        Args:
            planned: calls that somebody wants to make, at most 20 entries; each is
                foreseen as if it were alone.
            providers: ids of vendors whose windows are forecast; empty = all.
            timeout_seconds: bounds the call, retries included; None = the client's.

        Raises:
            IngestionClientError: one subclass per reason, see `client.errors`.
            ValueError: an option is none of those that exist (InvalidOptionError).

        """
        request = forecast_request(planned, providers)
        stub = quota_service_pb2_grpc.QuotaServiceStub(self._connected())
        with failures_of(self.target):
            answer = await stub.ForecastQuota(
                request, timeout=timeout_seconds or self._timeout
            )
        return forecast_from(answer)

    async def providers(self, *, timeout_seconds: float | None = None) -> Providers:
        """
        Tell who the vendors are and how they have done of late; none is asked.

        Args:
            timeout_seconds: bounds the call, retries included; None = the client's.

        Raises:
            IngestionClientError: one subclass per reason, see `client.errors`.

        """
        request = provider_service_pb2.ListProvidersRequest()
        stub = provider_service_pb2_grpc.ProviderServiceStub(self._connected())
        with failures_of(self.target):
            answer = await stub.ListProviders(
                request, timeout=timeout_seconds or self._timeout
            )
        return providers_from(answer)

    async def provider(
        self, name: str, *, timeout_seconds: float | None = None
    ) -> Provider:
        """Tell of one vendor; see `providers`."""
        request = provider_service_pb2.GetProviderRequest(name=name)
        stub = provider_service_pb2_grpc.ProviderServiceStub(self._connected())
        with failures_of(self.target):
            answer = await stub.GetProvider(
                request, timeout=timeout_seconds or self._timeout
            )
        return provider_from(answer.provider)

    async def watch_providers(
        self,
        names: str | Sequence[str] = (),
        *,
        min_interval_seconds: float = 1.0,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[ProviderChanges, None]:
        """
        Tell all vendors first, and then what changes, until the server stops.

        Two changes without an event are at least `min_interval_seconds` apart; events
        come at once. `Providers.updated` applies changes. Leaving the loop early ends
        the call; `contextlib.aclosing` makes that happen at once. Only
        `timeout_seconds` bounds it; else see `providers`.
        """
        request = watch_providers_request(names, min_interval_seconds)
        stub = provider_service_pb2_grpc.ProviderServiceStub(self._connected())
        call = stub.WatchProviders(request, timeout=timeout_seconds)
        try:
            with failures_of(self.target):
                async for response in call:
                    yield provider_changes_from(response)
        finally:
            call.cancel()

    async def update_provider(
        self,
        name: str,
        *,
        enabled: bool | None = None,
        priority: int | None = None,
        timeout_seconds: float | None = None,
    ) -> Provider:
        """
        Change a vendor for good, and return it as it is then.

        Args:
            name: id of the vendor.
            enabled: whether it may be asked; None = as it is.
            priority: its place from 0 to 1,000: smaller is asked first, equals share
                the load; None = as it is.
            timeout_seconds: bounds the call, retries included; None = the client's.

        Raises:
            IngestionClientError: one subclass per reason, see `client.errors`.

        """
        request = update_request(name, enabled=enabled, priority=priority)
        stub = provider_service_pb2_grpc.ProviderServiceStub(self._connected())
        with failures_of(self.target):
            answer = await stub.UpdateProvider(
                request, timeout=timeout_seconds or self._timeout
            )
        return provider_from(answer.provider)

    @takes_query
    async def explain_route(
        self,
        symbol: str,
        *,
        timeout_seconds: float | None = None,
        **query: Unpack[Query],
    ) -> Route:
        """
        Tell whom `fetch` would ask, and who is left out and why; nobody is asked.

        It takes what `fetch` takes.
        """
        request = explain_request(symbol, query)
        stub = provider_service_pb2_grpc.ProviderServiceStub(self._connected())
        with failures_of(self.target):
            answer = await stub.ExplainRoute(
                request, timeout=timeout_seconds or self._timeout
            )
        return route_from(answer)

    async def benchmark(
        self,
        symbols: str | Sequence[str] = (),
        *,
        timeout_seconds: float | None = None,
        **options: Unpack[BenchmarkOptions],
    ) -> Benchmark:
        """
        Ask several vendors the same questions, and tell how they compare.

        Without symbols, for the last 20 daily bars of AAPL, MSFT and EUR/USD. It
        spends quota, but only of vendors that have plenty. It takes two minutes at
        most unless `timeout_seconds` names another time; what was not asked by then
        says so. See `BenchmarkOptions`, else `fetch`.
        """
        request = benchmark_request(symbols, **options)
        stub = provider_service_pb2_grpc.ProviderServiceStub(self._connected())
        with failures_of(self.target):
            answer = await stub.BenchmarkProviders(request, timeout=timeout_seconds)
        return benchmark_from(answer)
