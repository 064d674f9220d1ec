"""Whom a question would be asked of, and who is left out; nobody is asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal

from ingestion_server.domain.durations import in_words
from ingestion_server.domain.errors import (
    BreakerOpenError,
    CapabilityMissingError,
    ProviderError,
    QuotaExhaustedError,
)
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ingest import pricing
from ingestion_server.ingest.candidates import Candidate, Vendor, kind_of
from ingestion_server.ingest.progress import Progress, reason_of
from ingestion_server.ingest.ranking import Ranked, Ranking
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.policy import LONGEST_QUOTA_WAIT_SECONDS
from ingestion_server.ports.routing import RouteCandidate


def explained(
    found: Iterable[Candidate | ProviderError],
    progress: Progress,
    ranking: Ranking,
    vendors: Mapping[str, Vendor],
    clock: Clock,
) -> list[RouteCandidate]:
    """
    Return the vendors of the route, the likeliest order, and then those left out.

    Where several vendors share the load, another one may come first when it is asked
    in earnest.
    """
    able: list[Candidate] = []
    unable: list[RouteCandidate] = []
    for each in found:
        if isinstance(each, ProviderError):
            unable.append(_left_out(each))
        else:
            able.append(each)
    route: list[RouteCandidate] = []
    resting: list[RouteCandidate] = []
    for place in ranking.expected(able, progress):
        error = _hindrance(place, progress)
        (route if error is None else resting).append(_told(place, error, clock))
    listing = ranking.listing
    named = {each.provider for each in (*route, *resting, *unable)}
    for name in (*listing.enabled, *listing.disabled):
        if name in named:
            continue
        unnamed = CapabilityMissingError(
            "the request does not name it" if name in vendors else "is switched off",
            provider=name,
        )
        unable.append(_left_out(unnamed))
    return [*route, *resting, *unable]


def resting(candidate: Candidate, kind: str) -> BreakerOpenError | None:
    """Return why a vendor that failed is left alone with a kind of data, if it is."""
    breaker = candidate.vendor.breaker(kind)
    if breaker.admits:
        return None
    return BreakerOpenError(
        f"{candidate.name} rests after {breaker.failures} failures in a row, the last: "
        f"{breaker.reason}",
        provider=candidate.name,
        # While a probe is under way, nobody knows.
        retry_after_seconds=breaker.retry_after_seconds or None,
    )


def exhausted(name: str, waits_seconds: float) -> QuotaExhaustedError:
    """Return why a vendor is not called whose turn is too far away."""
    far = math.isinf(waits_seconds)
    told = "as long as is foreseen" if far else f"another {in_words(waits_seconds)}"
    return QuotaExhaustedError(
        f"no call to {name} fits its quota for {told}",
        provider=name,
        window="",
        retry_after_seconds=waits_seconds,
    )


def _told(place: Ranked, error: ProviderError | None, clock: Clock) -> RouteCandidate:
    return RouteCandidate(
        provider=place.candidate.name,
        excluded_reason="" if error is None else reason_of(error),
        excluded_until_ns=None if error is None else _until_ns(error, clock),
        derivation=place.candidate.recipe.derivation,
        score=place.score,
        price_usd=place.price_usd,
        why=place.why,
    )


def _left_out(error: ProviderError) -> RouteCandidate:
    return RouteCandidate(provider=error.provider, excluded_reason=reason_of(error))


def _until_ns(error: ProviderError, clock: Clock) -> int | None:
    seconds = error.retry_after_seconds
    if seconds is None or math.isinf(seconds):
        return None
    return clock.now_ns() + round(seconds * SECOND_NS)


def _hindrance(place: Ranked, progress: Progress) -> ProviderError | None:
    """Return why a vendor that could answer would not be called now."""
    vendor, name = place.candidate.vendor, place.candidate.name
    rests = resting(place.candidate, kind_of(progress.query.instrument))
    if rests is not None:
        return rests
    waits = vendor.quota.available_in()
    if waits > LONGEST_QUOTA_WAIT_SECONDS:
        return exhausted(name, waits)
    left = pricing.left_usd(progress)
    if left is not None and place.price_usd > max(left, Decimal(0)):
        return pricing.too_dear(place.candidate, place.price_usd, left)
    return None
