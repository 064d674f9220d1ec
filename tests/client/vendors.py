"""Vendors, as a fake service tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

import grpc
from google.protobuf.message import Message
from marketdata.ingestion.v1 import (
    bar_pb2,
    benchmark_pb2,
    cache_pb2,
    ingestion_service_pb2,
    provenance_pb2,
    provider_pb2,
    provider_service_pb2,
    provider_service_pb2_grpc,
)

from tests.client.telling import DAY, FIRST, Refusal, stamp


class FakeProviders(provider_service_pb2_grpc.ProviderServiceServicer):
    """Answer as told; each watch is the next of the streams."""

    def __init__(self) -> None:
        self.refusal: Refusal | None = None
        self.listed = providers()
        self.route = route()
        self.benchmark = benchmark()
        self.streams: list[Iterable[object]] = []
        self.requests: list[Message] = []

    def ListProviders(  # noqa: N802 - named by the contract
        self,
        request: provider_service_pb2.ListProvidersRequest,
        context: grpc.ServicerContext,
    ) -> provider_service_pb2.ListProvidersResponse:
        """Answer as told."""
        self._hear(request, context)
        return self.listed

    def GetProvider(  # noqa: N802 - named by the contract
        self,
        request: provider_service_pb2.GetProviderRequest,
        context: grpc.ServicerContext,
    ) -> provider_service_pb2.GetProviderResponse:
        """Answer with the first one."""
        self._hear(request, context)
        return provider_service_pb2.GetProviderResponse(
            provider=self.listed.providers[0], as_of=self.listed.as_of
        )

    def WatchProviders(  # noqa: N802 - named by the contract
        self,
        request: provider_service_pb2.WatchProvidersRequest,
        context: grpc.ServicerContext,
    ) -> Iterator[provider_service_pb2.WatchProvidersResponse]:
        """Stream as told."""
        self._hear(request, context)
        for told in self.streams.pop(0):
            if isinstance(told, Refusal):
                told.raise_in(context)
            yield told

    def UpdateProvider(  # noqa: N802 - named by the contract
        self,
        request: provider_service_pb2.UpdateProviderRequest,
        context: grpc.ServicerContext,
    ) -> provider_service_pb2.UpdateProviderResponse:
        """Answer with the first one."""
        self._hear(request, context)
        return provider_service_pb2.UpdateProviderResponse(
            provider=self.listed.providers[0]
        )

    def ExplainRoute(  # noqa: N802 - named by the contract
        self,
        request: provider_service_pb2.ExplainRouteRequest,
        context: grpc.ServicerContext,
    ) -> provider_service_pb2.ExplainRouteResponse:
        """Answer as told."""
        self._hear(request, context)
        return self.route

    def BenchmarkProviders(  # noqa: N802 - named by the contract
        self,
        request: provider_service_pb2.BenchmarkProvidersRequest,
        context: grpc.ServicerContext,
    ) -> provider_service_pb2.BenchmarkProvidersResponse:
        """Answer as told."""
        self._hear(request, context)
        return self.benchmark

    def _hear(self, request: Message, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        if self.refusal is not None:
            self.refusal.raise_in(context)


def factors() -> list[provider_pb2.ScoreFactor]:
    """Tell what a score is made of."""
    return [
        provider_pb2.ScoreFactor(
            name="success", value=0.9, weight=0.5, detail="9 of 10 calls"
        ),
        provider_pb2.ScoreFactor(
            name="latency", value=0.6, weight=0.5, detail="half within 0.2 s"
        ),
    ]


def breaker() -> provider_pb2.Breaker:
    """Tell of a vendor that is left alone for 29 seconds more."""
    return provider_pb2.Breaker(
        state=provider_pb2.Breaker.STATE_OPEN,
        opened_at=stamp(FIRST - timedelta(seconds=1)),
        reason="HTTP 503",
        retry_at=stamp(FIRST + timedelta(seconds=29)),
        consecutive_failures=5,
        rest=timedelta(seconds=30),
    )


def health(**more: object) -> provider_pb2.ProviderHealth:
    """Tell of equities, of which most calls succeed."""
    return provider_pb2.ProviderHealth(
        **{
            "kind": "bars:equity",
            "samples": 10,
            "judged": True,
            "score": 0.75,
            "factors": factors(),
            "latency_p50": timedelta(milliseconds=200),
            "latency_p95": timedelta(seconds=1.5),
            "last_success_at": stamp(FIRST - timedelta(seconds=9)),
            "last_failure_at": stamp(FIRST - timedelta(seconds=90)),
            "last_failure": "timed out",
            "breaker": provider_pb2.Breaker(state=provider_pb2.Breaker.STATE_CLOSED),
        }
        | more
    )


def provider(name: str = "alpha_vantage", **more: object) -> provider_pb2.Provider:
    """Tell of a vendor that is well."""
    return provider_pb2.Provider(
        **{
            "name": name,
            "lifecycle": provider_pb2.ProviderLifecycle(
                stage=provider_pb2.ProviderLifecycle.STAGE_ACTIVE
            ),
            "enabled": True,
            "priority": 10,
            "capabilities": [
                provider_pb2.ProviderCapability(
                    asset_classes=[ingestion_service_pb2.ASSET_CLASS_EQUITY],
                    intervals=[bar_pb2.INTERVAL_1_MINUTE, bar_pb2.INTERVAL_1_DAY],
                    adjustments=[bar_pb2.ADJUSTMENT_RAW],
                    extended_hours=True,
                    reach=30 * DAY,
                    earliest=stamp(FIRST - 9_000 * DAY),
                )
            ],
            "feed_delay": timedelta(minutes=15),
            "price": provider_pb2.ProviderPrice(
                plan="premium", monthly_usd=49.99, per_unit_usd=0.002
            ),
            "health": [health()],
        }
        | more
    )


def retired() -> provider_pb2.Provider:
    """Tell of a vendor that has ended, and was never asked."""
    return provider_pb2.Provider(
        name="iex",
        lifecycle=provider_pb2.ProviderLifecycle(
            stage=provider_pb2.ProviderLifecycle.STAGE_RETIRED, since="2024-08-31"
        ),
        capabilities=[provider_pb2.ProviderCapability()],
        priority=500,
    )


def cache(**more: object) -> cache_pb2.CacheUse:
    """Tell of a cache that answers most questions."""
    return cache_pb2.CacheUse(
        **{
            "enabled": True,
            "bytes": 12_900_000,
            "limit_bytes": 64 * 2**20,
            "file_bytes": 4_096,
            "limit_file_bytes": 2**28,
            "series": 42,
            "bars": 4_200,
            "hits": 1_500,
            "partial_hits": 200,
            "misses": 300,
            "hit_ratio": 0.75,
            "encoded_hits": 1_000,
            "shared": 5,
            "negative_hits": 6,
            "stale": 7,
            "evictions": 8,
            "rebased": 9,
            "revised": 10,
            "oldest_forming": timedelta(seconds=1.5),
        }
        | more
    )


def providers() -> provider_service_pb2.ListProvidersResponse:
    """Tell of two vendors."""
    return provider_service_pb2.ListProvidersResponse(
        providers=[provider(), retired()], as_of=stamp(FIRST), cache=cache()
    )


def event() -> provider_pb2.ProviderEvent:
    """Tell that a breaker opened."""
    return provider_pb2.ProviderEvent(
        number=1,
        kind=provider_pb2.ProviderEvent.KIND_BREAKER_OPENED,
        provider="alpha_vantage",
        data_kind="bars:equity",
        at=stamp(FIRST),
        detail="HTTP 503",
    )


def provider_changes(
    priority: int = 20, **more: object
) -> provider_service_pb2.WatchProvidersResponse:
    """Tell of another priority, a second later."""
    return provider_service_pb2.WatchProvidersResponse(
        **{
            "providers": [provider(priority=priority)],
            "as_of": stamp(FIRST + timedelta(seconds=1)),
        }
        | more
    )


def route() -> provider_service_pb2.ExplainRouteResponse:
    """Tell of one vendor that would be asked, and of two that would not."""
    return provider_service_pb2.ExplainRouteResponse(
        candidates=[
            provider_pb2.RouteCandidate(
                provider="yahoo",
                derivation="30m from 15m",
                score=0.75,
                factors=factors(),
                price_usd=0.01,
                why="the better score",
            ),
            provider_pb2.RouteCandidate(
                provider="alpha_vantage",
                excluded_reason="QUOTA_EXHAUSTED: 25 a day",
                excluded_until=stamp(FIRST + timedelta(hours=5)),
                score=0.5,
            ),
            provider_pb2.RouteCandidate(
                provider="iex", excluded_reason="CAPABILITY_MISSING: it has ended"
            ),
        ],
        as_of=stamp(FIRST),
    )


def benchmark() -> provider_service_pb2.BenchmarkProvidersResponse:
    """Tell of a vendor that answered, of one that failed, and of one left out."""
    return provider_service_pb2.BenchmarkProvidersResponse(
        providers=[
            benchmark_pb2.ProviderBenchmark(
                provider="yahoo",
                asked=2,
                answered=2,
                calls=2,
                p50=timedelta(milliseconds=25),
                p95=timedelta(seconds=1.5),
                completeness=0.9996,
                quarantined=1,
                answers=[
                    benchmark_pb2.BenchmarkAnswer(
                        outcome=provenance_pb2.ATTEMPT_OUTCOME_SERVED,
                        latency=timedelta(milliseconds=25),
                        bars=20,
                        completeness=1,
                    ),
                    benchmark_pb2.BenchmarkAnswer(
                        question=1,
                        outcome=provenance_pb2.ATTEMPT_OUTCOME_SERVED,
                        reason="PARTIAL: 1 of 20 bars are still missing",
                        latency=timedelta(seconds=1.5),
                        bars=19,
                        completeness=0.95,
                    ),
                ],
            ),
            benchmark_pb2.ProviderBenchmark(
                provider="finnhub",
                asked=2,
                calls=3,
                cost_usd=0.02,
                answers=[
                    benchmark_pb2.BenchmarkAnswer(
                        question=number,
                        outcome=provenance_pb2.ATTEMPT_OUTCOME_FAILED,
                        reason="PINNED_PROVIDER_FAILED: HTTP 500",
                    )
                    for number in range(2)
                ],
            ),
            benchmark_pb2.ProviderBenchmark(
                provider="alpha_vantage",
                skipped_reason="QUOTA_EXHAUSTED: 13 of 25 calls are left",
            ),
        ],
        agreements=[
            benchmark_pb2.ProviderAgreement(
                provider="yahoo",
                other="finnhub",
                compared=39,
                agreeing=38,
                unmatched=1,
                worst=0.000484,
                worst_symbol="MSFT",
                worst_time=stamp(FIRST),
            )
        ],
        as_of=stamp(FIRST),
    )
