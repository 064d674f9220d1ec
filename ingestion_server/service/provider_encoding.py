"""What is known of vendors, from the house to the wire."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration
from marketdata.ingestion.v1 import provider_pb2, provider_service_pb2

from ingestion_server.ports.provider import Capability, Lifecycle
from ingestion_server.ports.routing import (
    BreakerView,
    Event,
    Factor,
    Health,
    ProviderReport,
    RouteCandidate,
    Score,
)
from ingestion_server.service.moments import duration, maybe_timestamp, timestamp
from ingestion_server.service.vocabulary import (
    ADJUSTMENT_CODES,
    ASSET_CLASS_CODES,
    BREAKER_CODES,
    EVENT_CODES,
    INTERVAL_CODES,
    STAGE_CODES,
)


def provider_of(report: ProviderReport) -> provider_pb2.Provider:
    """Return one vendor."""
    return provider_pb2.Provider(
        name=report.name,
        lifecycle=_lifecycle(report.lifecycle),
        enabled=report.enabled,
        priority=report.priority,
        priority_configured=report.priority_configured,
        unusable_reason=report.unusable_reason,
        capabilities=map(_capability, report.capabilities),
        feed_delay=_maybe_duration(report.feed_delay_seconds),
        price=provider_pb2.ProviderPrice(
            plan=report.plan,
            monthly_usd=float(report.monthly_usd),
            per_unit_usd=float(report.per_unit_usd),
        ),
        health=map(_health, report.health),
    )


def event_of(event: Event) -> provider_pb2.ProviderEvent:
    """Return one change of a vendor."""
    return provider_pb2.ProviderEvent(
        number=event.number,
        kind=EVENT_CODES[event.kind],
        provider=event.provider,
        data_kind=event.data_kind,
        at=timestamp(event.at_ns),
        detail=event.detail,
    )


def route_of(
    candidates: Iterable[RouteCandidate], as_of_ns: int
) -> provider_service_pb2.ExplainRouteResponse:
    """Return whom a question would be asked of."""
    return provider_service_pb2.ExplainRouteResponse(
        candidates=map(_candidate, candidates), as_of=timestamp(as_of_ns)
    )


def _candidate(candidate: RouteCandidate) -> provider_pb2.RouteCandidate:
    score = candidate.score
    return provider_pb2.RouteCandidate(
        provider=candidate.provider,
        excluded_reason=candidate.excluded_reason,
        excluded_until=maybe_timestamp(candidate.excluded_until_ns),
        derivation=candidate.derivation,
        score=None if score is None else score.value,
        factors=() if score is None else _factors(score),
        price_usd=float(candidate.price_usd),
        why=candidate.why,
    )


def _lifecycle(lifecycle: Lifecycle) -> provider_pb2.ProviderLifecycle:
    return provider_pb2.ProviderLifecycle(
        stage=STAGE_CODES[lifecycle.stage], since=lifecycle.since
    )


def _capability(capability: Capability) -> provider_pb2.ProviderCapability:
    return provider_pb2.ProviderCapability(
        # Sorted: a set has another order each time the server starts.
        asset_classes=sorted(
            map(ASSET_CLASS_CODES.__getitem__, capability.asset_classes)
        ),
        intervals=sorted(map(INTERVAL_CODES.__getitem__, capability.intervals)),
        adjustments=sorted(map(ADJUSTMENT_CODES.__getitem__, capability.adjustments)),
        extended_hours=capability.extended_hours,
        reach=_maybe_duration(capability.oldest_seconds),
        earliest=maybe_timestamp(capability.earliest_ns),
    )


def _health(health: Health) -> provider_pb2.ProviderHealth:
    return provider_pb2.ProviderHealth(
        kind=health.kind,
        samples=health.samples,
        judged=health.score.judged,
        score=health.score.value,
        factors=_factors(health.score),
        latency_p50=_maybe_duration(health.p50_seconds),
        latency_p95=_maybe_duration(health.p95_seconds),
        last_success_at=maybe_timestamp(health.last_success_ns),
        last_failure_at=maybe_timestamp(health.last_failure_ns),
        last_failure=health.last_failure,
        breaker=_breaker(health.breaker),
    )


def _factors(score: Score) -> Iterable[provider_pb2.ScoreFactor]:
    return map(_factor, score.factors)


def _factor(factor: Factor) -> provider_pb2.ScoreFactor:
    return provider_pb2.ScoreFactor(
        name=factor.name,
        value=factor.value,
        weight=factor.weight,
        detail=factor.detail,
    )


def _breaker(breaker: BreakerView) -> provider_pb2.Breaker:
    return provider_pb2.Breaker(
        state=BREAKER_CODES[breaker.position],
        opened_at=maybe_timestamp(breaker.opened_at_ns),
        reason=breaker.reason,
        retry_at=maybe_timestamp(breaker.retry_at_ns),
        consecutive_failures=breaker.failures,
        rest=duration(breaker.rest_seconds),
    )


def _maybe_duration(seconds: float | None) -> Duration | None:
    return None if seconds is None else duration(seconds)
