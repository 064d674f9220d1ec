"""A server that answers as it is told, on a free port of this machine."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Self

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
    job_service_pb2_grpc,
    provenance_pb2,
    provider_service_pb2_grpc,
    quota_pb2,
    quota_service_pb2,
    quota_service_pb2_grpc,
    report_service_pb2_grpc,
    stream_pb2,
)

from tests.client.jobs import FakeJobs
from tests.client.reports import FakeReports
from tests.client.streams import FakeStreams
from tests.client.telling import DAY, FIRST, Refusal, stamp
from tests.client.vendors import FakeProviders

Answer = ingestion_service_pb2.FetchResponse | Refusal | Callable[[], object]


class FakeIngestion(ingestion_service_pb2_grpc.IngestionServiceServicer):
    """Answer each call with the next answer; the last one stays."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [answer()]
        self.stream: Iterator[ingestion_service_pb2.FetchBatchResponse] = iter(())
        self.requests: list[Message] = []
        self.metadata: dict[str, str | bytes] = {}
        self.asked = threading.Event()
        self.ended = threading.Event()
        self.live = FakeStreams()
        self.quoted: ingestion_service_pb2.GetQuotesResponse | Refusal = quotes()

    def Fetch(  # noqa: N802 - named by the contract
        self,
        request: ingestion_service_pb2.FetchRequest,
        context: grpc.ServicerContext,
    ) -> ingestion_service_pb2.FetchResponse:
        """Answer as told."""
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        told = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(told, Refusal):
            told.raise_in(context)
        if isinstance(told, ingestion_service_pb2.FetchResponse):
            return told
        told()
        return answer()

    def FetchBatch(  # noqa: N802 - named by the contract
        self,
        request: ingestion_service_pb2.FetchBatchRequest,
        context: grpc.ServicerContext,
    ) -> Iterator[ingestion_service_pb2.FetchBatchResponse]:
        """Stream as told."""
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        context.add_callback(self.ended.set)
        self.asked.set()
        for told in self.stream:
            if isinstance(told, Refusal):
                told.raise_in(context)
            yield told

    def GetQuotes(  # noqa: N802 - named by the contract
        self,
        request: ingestion_service_pb2.GetQuotesRequest,
        context: grpc.ServicerContext,
    ) -> ingestion_service_pb2.GetQuotesResponse:
        """Answer as told."""
        self.requests.append(request)
        if isinstance(self.quoted, Refusal):
            self.quoted.raise_in(context)
        return self.quoted

    def StreamQuotes(  # noqa: N802 - named by the contract
        self,
        request: ingestion_service_pb2.StreamQuotesRequest,
        context: grpc.ServicerContext,
    ) -> Iterator[ingestion_service_pb2.StreamQuotesResponse]:
        """Stream live data as told."""
        return self.live.stream(request, context)


class FakeQuotas(quota_service_pb2_grpc.QuotaServiceServicer):
    """Answer as told; each watch is the next of the streams."""

    def __init__(self) -> None:
        self.listed: quota_service_pb2.ListQuotasResponse | Refusal = quotas()
        self.foreseen: quota_service_pb2.ForecastQuotaResponse | Refusal = forecast()
        self.streams: list[Iterable[quota_service_pb2.WatchQuotasResponse]] = []
        self.requests: list[Message] = []
        self.forecasts: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.ended = threading.Event()

    def ListQuotas(  # noqa: N802 - named by the contract
        self,
        request: quota_service_pb2.ListQuotasRequest,
        context: grpc.ServicerContext,
    ) -> quota_service_pb2.ListQuotasResponse:
        """Answer as told."""
        self.requests.append(request)
        if isinstance(self.listed, Refusal):
            self.listed.raise_in(context)
        return self.listed

    def WatchQuotas(  # noqa: N802 - named by the contract
        self,
        request: quota_service_pb2.WatchQuotasRequest,
        context: grpc.ServicerContext,
    ) -> Iterator[quota_service_pb2.WatchQuotasResponse]:
        """Stream as told."""
        self.requests.append(request)
        context.add_callback(self.ended.set)
        for told in self.streams.pop(0):
            if isinstance(told, Refusal):
                told.raise_in(context)
            yield told

    def ForecastQuota(  # noqa: N802 - named by the contract
        self,
        request: quota_service_pb2.ForecastQuotaRequest,
        context: grpc.ServicerContext,
    ) -> quota_service_pb2.ForecastQuotaResponse:
        """Answer as told."""
        self.requests.append(request)
        self.forecasts.put(None)
        if isinstance(self.foreseen, Refusal):
            self.foreseen.raise_in(context)
        return self.foreseen


class FakeHealth(health.HealthServicer):
    """Watch as the real one does, or refuse as often as told."""

    def __init__(self) -> None:
        # Without callbacks, Watch is a plain generator, which may refuse.
        super().__init__(experimental_non_blocking=False)
        self.asked = threading.Event()
        self.refusals: list[Refusal] = []

    def Watch(  # noqa: N802 - named by the contract
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> Iterator[health_pb2.HealthCheckResponse]:
        """Watch, and say that somebody does."""
        self.asked.set()
        if self.refusals:
            self.refusals.pop().raise_in(context)
        return super().Watch(request, context)


class FakeServer:
    """Serve a fake on a free port while the block lasts."""

    def __init__(self) -> None:
        self.service = FakeIngestion()
        self.quotas = FakeQuotas()
        self.providers = FakeProviders()
        self.jobs = FakeJobs()
        self.reports = FakeReports()
        self.health = FakeHealth()
        self._threads = ThreadPoolExecutor(4)
        self._server = grpc.server(self._threads)
        ingestion_service_pb2_grpc.add_IngestionServiceServicer_to_server(
            self.service, self._server
        )
        quota_service_pb2_grpc.add_QuotaServiceServicer_to_server(
            self.quotas, self._server
        )
        provider_service_pb2_grpc.add_ProviderServiceServicer_to_server(
            self.providers, self._server
        )
        job_service_pb2_grpc.add_JobServiceServicer_to_server(self.jobs, self._server)
        report_service_pb2_grpc.add_ReportServiceServicer_to_server(
            self.reports, self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.target = f"127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()
        self._threads.shutdown()

    def healthy(self, *, serving: bool) -> None:
        """Say whether the server serves."""
        status = health_pb2.HealthCheckResponse
        self.health.set("", status.SERVING if serving else status.NOT_SERVING)


def columns(bars: int = 3, first: datetime = FIRST, **more: list) -> bar_pb2.BarColumns:
    """Make columns of daily bars: 100.5, 101.5, ... without vwap and trade counts."""
    start_ns = int(first.timestamp()) * 10**9
    day_ns = 86_400 * 10**9
    return bar_pb2.BarColumns(
        **{
            "open_time_ns": [start_ns + day_ns * n for n in range(bars)],
            "open": [100.5 + n for n in range(bars)],
            "high": [102.25 + n for n in range(bars)],
            "low": [99.0 + n for n in range(bars)],
            "close": [101.5 + n for n in range(bars)],
            "volume": [1000.0 * (n + 1) for n in range(bars)],
            "state": [1] * (bars - 1) + [2] * (bars > 0),
        }
        | more
    )


def source(
    provider: str = "yahoo", first: datetime = FIRST, days: int = 3
) -> provenance_pb2.Source:
    """Sign some days."""
    signed = provenance_pb2.Source(
        provider=provider,
        start=stamp(first),
        end=stamp(first + days * DAY),
        received_at=stamp(FIRST + 10 * DAY),
    )
    signed.feed_delay.FromTimedelta(timedelta(minutes=15))
    return signed


def attempt() -> provenance_pb2.Attempt:
    """Tell of a vendor that failed before."""
    tried = provenance_pb2.Attempt(
        provider="alpha_vantage",
        outcome=provenance_pb2.ATTEMPT_OUTCOME_FAILED,
        reason="QUOTA_EXHAUSTED: 25 a day",
        calls=2,
        cost_usd=0.01,
    )
    tried.latency.FromTimedelta(timedelta(milliseconds=120))
    return tried


def answer(
    bars: bar_pb2.BarColumns | None = None, **more: object
) -> ingestion_service_pb2.FetchResponse:
    """Make a complete answer about AAPL."""
    return ingestion_service_pb2.FetchResponse(
        **{
            "series": bar_pb2.BarSeries(
                symbol="AAPL",
                interval=bar_pb2.INTERVAL_1_DAY,
                adjustment=bar_pb2.ADJUSTMENT_SPLIT,
                currency="USD",
                time_zone="America/New_York",
                exchange="XNYS",
                columns=columns() if bars is None else bars,
            ),
            "completeness": provenance_pb2.COMPLETENESS_COMPLETE,
            "sources": [source()],
            "attempts": [attempt()],
            "request_id": "r-1",
        }
        | more
    )


def partial_answer() -> ingestion_service_pb2.FetchResponse:
    """Make an answer that lacks a day and tells what was noticed."""
    return answer(
        completeness=provenance_pb2.COMPLETENESS_PARTIAL,
        missing=[
            provenance_pb2.MissingInterval(
                start=stamp(FIRST + 3 * DAY),
                end=stamp(FIRST + 4 * DAY),
                reason="yahoo has no row",
            )
        ],
        quality_flags=[
            provenance_pb2.QualityFlag(
                kind=provenance_pb2.QUALITY_FLAG_KIND_ROW_QUARANTINED,
                time=stamp(FIRST),
                detail="high below low",
            ),
            provenance_pb2.QualityFlag(
                kind=provenance_pb2.QUALITY_FLAG_KIND_DERIVED, detail="from 30m"
            ),
        ],
    )


def chunk(
    symbol: str,
    response: ingestion_service_pb2.FetchResponse,
    *,
    last: bool = True,
) -> ingestion_service_pb2.FetchBatchResponse:
    """Send a part of one symbol's bars."""
    return ingestion_service_pb2.FetchBatchResponse(
        symbol=symbol, chunk=response, last=last
    )


def failed(
    symbol: str, reason: str, code: int
) -> ingestion_service_pb2.FetchBatchResponse:
    """Send one symbol's failure."""
    failure = ingestion_service_pb2.Failure(
        code=code, reason=reason, message="it failed", metadata={"symbol": symbol}
    )
    failure.retry_delay.FromTimedelta(timedelta(seconds=3))
    return ingestion_service_pb2.FetchBatchResponse(
        symbol=symbol, failure=failure, last=True
    )


def quotes() -> ingestion_service_pb2.GetQuotesResponse:
    """Tell of one that a vendor told late, one that is live, and one unknown."""
    asked = ingestion_service_pb2.QuoteResult(
        symbol="AAPL",
        provider="yahoo",
        quote=stream_pb2.Quote(
            symbol="AAPL",
            time=stamp(FIRST),
            bid=101.25,
            bid_size=3,
            ask=101.5,
            provider="yahoo",
            received_at=stamp(FIRST),
        ),
        trade=stream_pb2.Trade(
            symbol="AAPL",
            time=stamp(FIRST),
            price=101.5,
            provider="yahoo",
            received_at=stamp(FIRST),
        ),
        received_at=stamp(FIRST),
        currency="USD",
        previous_close=100.0,
        attempts=[attempt()],
    )
    asked.age.FromTimedelta(timedelta(seconds=90))
    asked.feed_delay.FromTimedelta(timedelta(minutes=15))
    live = ingestion_service_pb2.QuoteResult(
        symbol="btc/usd",
        provider="finnhub",
        live=True,
        trade=stream_pb2.Trade(
            symbol="BTC/USD",
            sequence=7,
            time=stamp(FIRST),
            price=42_000.5,
            time_doubtful=True,
        ),
        received_at=stamp(FIRST),
    )
    live.age.FromTimedelta(timedelta(milliseconds=250))
    return ingestion_service_pb2.GetQuotesResponse(
        results=[asked, live, unquoted("NOSUCH", "SYMBOL_UNKNOWN", 5)],
        request_id="r-1",
    )


def unquoted(symbol: str, reason: str, code: int) -> ingestion_service_pb2.QuoteResult:
    """Tell of one that nobody could tell of."""
    return ingestion_service_pb2.QuoteResult(
        symbol=symbol, failure=failed(symbol, reason, code).failure
    )


def quota_window(
    provider: str = "alpha_vantage", name: str = "day", used: int = 20, **more: object
) -> quota_pb2.QuotaWindow:
    """Tell of a day of 25 calls, of which 20 are used."""
    return quota_pb2.QuotaWindow(
        **{
            "provider": provider,
            "plan": "free",
            "scope": quota_pb2.QUOTA_SCOPE_KEY,
            "name": name,
            "kind": quota_pb2.QUOTA_WINDOW_KIND_FIXED,
            "limit": 25,
            "used": used,
            "reserved": 2,
            "remaining": 3,
            "resets_at": stamp(FIRST + timedelta(hours=9, minutes=30)),
            "tracked": True,
            "source": quota_pb2.QUOTA_SOURCE_HEADER,
            "length": DAY,
            "reset_zone": "America/New_York",
            "counts": quota_pb2.QUOTA_COUNTS_CALLS,
            "kept_for_interactive": 3,
        }
        | more
    )


def own_pace() -> quota_pb2.QuotaWindow:
    """Tell of a vendor that publishes nothing."""
    return quota_pb2.QuotaWindow(
        provider="yahoo",
        plan="unofficial",
        name="second",
        own_limit=2,
        used=1,
        free_at=stamp(FIRST),
        kind=99,
    )


def quota_provider(**more: object) -> quota_pb2.QuotaProvider:
    """Tell of a vendor that keeps calls waiting and costs something."""
    return quota_pb2.QuotaProvider(
        **{
            "provider": "alpha_vantage",
            "plan": "free",
            "closed_until": stamp(FIRST + timedelta(seconds=28)),
            "closed_reason": "429",
            "waiting_interactive": 3,
            "waiting_batch": 12,
            "spend": quota_pb2.QuotaSpend(
                month="2025-01",
                units=1_234,
                allowance_units=1_000,
                price_per_unit_usd=0.002,
                flat_usd=29,
                metered_usd=0.468,
                total_usd=29.468,
                projected_usd=31.2,
            ),
        }
        | more
    )


def quota_alert() -> quota_pb2.QuotaAlert:
    """Tell that most of a day is used."""
    return quota_pb2.QuotaAlert(
        number=1,
        kind=quota_pb2.QUOTA_ALERT_KIND_USED_80_PERCENT,
        provider="alpha_vantage",
        window="day",
        used=20,
        limit=25,
        at=stamp(FIRST),
        detail="careful",
    )


def quotas() -> quota_service_pb2.ListQuotasResponse:
    """Tell of two vendors."""
    return quota_service_pb2.ListQuotasResponse(
        windows=[quota_window(), own_pace()],
        providers=[quota_provider(), quota_pb2.QuotaProvider(provider="yahoo")],
        as_of=stamp(FIRST),
    )


def changes(used: int = 21, **more: object) -> quota_service_pb2.WatchQuotasResponse:
    """Tell that more of the day is used, a second later."""
    return quota_service_pb2.WatchQuotasResponse(
        **{
            "windows": [quota_window(used=used)],
            "as_of": stamp(FIRST + timedelta(seconds=1)),
        }
        | more
    )


def forecast() -> quota_service_pb2.ForecastQuotaResponse:
    """Tell that the day runs out, and that a plan does not fit."""
    return quota_service_pb2.ForecastQuotaResponse(
        windows=[
            quota_pb2.QuotaWindowForecast(
                window=quota_window(),
                rate_per_second=0.2,
                by_time_of_day=True,
                expected_until_reset=7,
                exhausts_at=stamp(FIRST + timedelta(minutes=40)),
            )
        ],
        planned=[
            quota_pb2.QuotaPlanForecast(
                provider="alpha_vantage",
                fits=3,
                will_not_finish=97,
                finishes_at=stamp(FIRST + 4 * DAY),
                held_by="day",
                cost_usd=0.5,
            )
        ],
        as_of=stamp(FIRST),
    )
