"""The client for notebooks, scripts and threads: the same without asyncio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Unpack

from marketdata.ingestion.v1 import (
    provider_service_pb2,
)

from ingestion_server.client.bars import Bars, decoded
from ingestion_server.client.batch import Batch, BatchItem
from ingestion_server.client.benchmarks import Benchmark, benchmark_from
from ingestion_server.client.connection import SyncConnection
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
from ingestion_server.client.quotes_request import QuotesOptions, quotes_request
from ingestion_server.client.quotes_snapshot import QuoteSnapshots, quotes_from
from ingestion_server.client.request import (
    Query,
    batch_request,
    fetch_request,
    takes_query,
)
from ingestion_server.client.status import failures_of
from ingestion_server.client.stream_course import Course, OnInterruption
from ingestion_server.client.stream_request import StreamOptions, stream_request
from ingestion_server.client.streaming import SyncStream


class SyncClient(SyncConnection):
    """
    Ask a server for bars, without asyncio.

        with SyncClient() as client:
            client.fetch("AAPL", interval="1d", start="2024-01-01").to_pandas()

    It needs no event loop and minds none, so it works in a notebook, whose loop is
    always running; threads may share it.
    """

    @takes_query
    def fetch(
        self,
        symbol: str,
        *,
        timeout_seconds: float | None = None,
        **query: Unpack[Query],
    ) -> Bars:
        """
        Fetch the bars of one instrument in ``[start, end)``.

        Args:
            symbol: "AAPL", "BRK.B", "EUR/USD", "BTC/USD", "^GSPC".
            timeout_seconds: bounds the call, retries included; None = the client's.
            query: see `Query`; without any, the last 100 daily bars.

        Raises:
            IngestionClientError: one subclass per reason, see `client.errors`.
            ValueError: an option is none of those that exist (InvalidOptionError).

        """
        request = fetch_request(symbol, query)
        with failures_of(self.target):
            answer = self._stub.Fetch(request, timeout=timeout_seconds or self._timeout)
        return decoded([answer])

    @takes_query
    def fetch_batch(
        self,
        symbols: str | Sequence[str],
        *,
        timeout_seconds: float | None = None,
        **query: Unpack[Query],
    ) -> Iterator[BatchItem]:
        """
        Fetch the bars of many instruments, each as soon as it is there.

        The failure of one symbol is that item's `error`. Leaving the loop early ends
        the call. A batch takes as long as it takes unless `timeout_seconds` bounds it;
        else see `fetch`.
        """
        request = batch_request(symbols, query)
        call = self._stub.FetchBatch(request, timeout=timeout_seconds)
        batch = Batch()
        try:
            with failures_of(self.target):
                for response in call:
                    if item := batch.add(response):
                        yield item
        finally:
            call.cancel()
        yield from batch.unfinished()

    def quotes(
        self,
        *symbols: str | Sequence[str],
        timeout_seconds: float | None = None,
        **options: Unpack[QuotesOptions],
    ) -> QuoteSnapshots:
        """
        Tell the latest price, bid and ask of some instruments.

        The failure of one symbol is that entry's `error`; else see `Client.quotes`.
        """
        request = quotes_request(symbols, **options)
        with failures_of(self.target):
            answer = self._stub.GetQuotes(
                request, timeout=timeout_seconds or self._timeout
            )
        return quotes_from(answer)

    def stream(
        self,
        *symbols: str | Sequence[str],
        heartbeats: bool = False,
        on_interruption: OnInterruption | None = None,
        **options: Unpack[StreamOptions],
    ) -> SyncStream:
        """
        Hear data as they happen, until you leave; see `Client.stream`.

        Args:
            symbols: texts, or sequences of them.
            heartbeats: whether to yield the events that say that the stream lives.
            on_interruption: is called when a connection is lost, in this thread.
            options: see `StreamOptions`; without any, all trades.

        Raises:
            ValueError: an option is none of those that exist (InvalidOptionError).

        """
        course = Course(
            stream_request(symbols, **options),
            self.target,
            heartbeats=heartbeats,
            on_interruption=on_interruption,
        )
        return SyncStream(course, self._channel)

    def quotas(
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
        with failures_of(self.target):
            answer = self._quota_stub.ListQuotas(
                request, timeout=timeout_seconds or self._timeout
            )
        return quotas_from(answer)

    def watch_quotas(
        self,
        providers: str | Sequence[str] = (),
        *,
        min_interval_seconds: float = 1.0,
        timeout_seconds: float | None = None,
    ) -> Iterator[QuotaChanges]:
        """
        Tell all windows first, and then what changes, until the server stops.

        Two changes without an alert are at least `min_interval_seconds` apart; alerts
        come at once. `Quotas.updated` applies changes. Leaving the loop early ends
        the call. Only `timeout_seconds` bounds it; else see `quotas`.
        """
        request = watch_request(providers, min_interval_seconds)
        call = self._quota_stub.WatchQuotas(request, timeout=timeout_seconds)
        try:
            with failures_of(self.target):
                for response in call:
                    yield changes_from(response)
        finally:
            call.cancel()

    def forecast_quota(
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
        with failures_of(self.target):
            answer = self._quota_stub.ForecastQuota(
                request, timeout=timeout_seconds or self._timeout
            )
        return forecast_from(answer)

    def providers(self, *, timeout_seconds: float | None = None) -> Providers:
        """
        Tell who the vendors are and how they have done of late; none is asked.

        Args:
            timeout_seconds: bounds the call, retries included; None = the client's.

        Raises:
            IngestionClientError: one subclass per reason, see `client.errors`.

        """
        request = provider_service_pb2.ListProvidersRequest()
        with failures_of(self.target):
            answer = self._provider_stub.ListProviders(
                request, timeout=timeout_seconds or self._timeout
            )
        return providers_from(answer)

    def provider(self, name: str, *, timeout_seconds: float | None = None) -> Provider:
        """Tell of one vendor; see `providers`."""
        request = provider_service_pb2.GetProviderRequest(name=name)
        with failures_of(self.target):
            answer = self._provider_stub.GetProvider(
                request, timeout=timeout_seconds or self._timeout
            )
        return provider_from(answer.provider)

    def watch_providers(
        self,
        names: str | Sequence[str] = (),
        *,
        min_interval_seconds: float = 1.0,
        timeout_seconds: float | None = None,
    ) -> Iterator[ProviderChanges]:
        """
        Tell all vendors first, and then what changes, until the server stops.

        Two changes without an event are at least `min_interval_seconds` apart; events
        come at once. `Providers.updated` applies changes. Leaving the loop early ends
        the call. Only `timeout_seconds` bounds it; else see `providers`.
        """
        request = watch_providers_request(names, min_interval_seconds)
        call = self._provider_stub.WatchProviders(request, timeout=timeout_seconds)
        try:
            with failures_of(self.target):
                for response in call:
                    yield provider_changes_from(response)
        finally:
            call.cancel()

    def update_provider(
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
        with failures_of(self.target):
            answer = self._provider_stub.UpdateProvider(
                request, timeout=timeout_seconds or self._timeout
            )
        return provider_from(answer.provider)

    @takes_query
    def explain_route(
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
        with failures_of(self.target):
            answer = self._provider_stub.ExplainRoute(
                request, timeout=timeout_seconds or self._timeout
            )
        return route_from(answer)

    def benchmark(
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
        with failures_of(self.target):
            answer = self._provider_stub.BenchmarkProviders(
                request, timeout=timeout_seconds
            )
        return benchmark_from(answer)
