"""The truth about the bars: who served them, what is missing, what was noticed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from marketdata.ingestion.v1 import ingestion_service_pb2, provenance_pb2

from ingestion_server.client.vocabulary import Completeness
from ingestion_server.client.wire import moment, name, span


@dataclass(frozen=True, slots=True)
class Source:
    """Sign one stretch ``[start, end)`` of the bars."""

    provider: str
    """Id of the vendor, for example ``alpha_vantage``."""
    start: datetime
    """Open time of the first bar of the stretch."""
    end: datetime
    """End of the stretch, exclusive."""
    feed_delay: timedelta | None
    """How late the vendor's data are by its own word; None if it does not say."""
    received_at: datetime | None
    """
    When the vendor's answer arrived; for a recording, when it was recorded; for bars
    of several answers in the cache, when the oldest of them arrived.
    """
    from_cache: bool
    """Whether the stretch came from the server's cache."""
    cache_age: timedelta | None
    """How long ago ``received_at`` was; None if it was not cached."""
    derived: bool
    """Whether the bars were computed from other data of the vendor."""
    derivation: str
    """How they were computed, in plain words; empty if they were not."""


@dataclass(frozen=True, slots=True)
class MissingInterval:
    """Name a stretch ``[start, end)`` whose bars should exist and are not there."""

    start: datetime
    """Open time of the first missing bar."""
    end: datetime
    """End of the stretch, exclusive."""
    reason: str
    """Why, in plain words."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Say what was tried with one vendor."""

    provider: str
    """Id of the vendor."""
    outcome: str
    """``SERVED``, ``NO_DATA``, ``FAILED``, ``SKIPPED`` or ``OVERTAKEN``."""
    reason: str
    """Why; empty if the vendor served everything it was asked for."""
    latency: timedelta
    """Time spent on this vendor, waiting for quota and retries included."""
    cost_usd: float
    """Price of the calls made, in US dollars; 0 for flat plans."""
    calls: int
    """Calls that left for the vendor on behalf of this request, retries included."""
    hedge: bool
    """Whether it was asked beside a vendor that was slow to answer."""
    shared: bool
    """Whether the answer, or a part of it, came of another request's calls."""


@dataclass(frozen=True, slots=True)
class QualityFlag:
    """Tell one thing that was noticed about the bars."""

    kind: str
    """What was noticed, for example ``ROW_QUARANTINED`` or ``STALE``."""
    time: datetime | None
    """The bar it is about; None if it is about all of them."""
    detail: str
    """The particulars, in plain words."""


def completeness(answer: ingestion_service_pb2.FetchResponse) -> Completeness:
    """Read whether everything is there; an unknown word is never COMPLETE."""
    match answer.completeness:
        case provenance_pb2.COMPLETENESS_COMPLETE:
            return Completeness.COMPLETE
        case provenance_pb2.COMPLETENESS_PARTIAL:
            return Completeness.PARTIAL
        case provenance_pb2.COMPLETENESS_DEGRADED:
            return Completeness.DEGRADED
        case _:
            return Completeness.UNSPECIFIED


def sources(answer: ingestion_service_pb2.FetchResponse) -> tuple[Source, ...]:
    """Read who served each stretch."""
    return tuple(
        Source(
            provider=source.provider,
            start=moment(source.start),
            end=moment(source.end),
            feed_delay=(
                span(source.feed_delay) if source.HasField("feed_delay") else None
            ),
            received_at=(
                moment(source.received_at) if source.HasField("received_at") else None
            ),
            from_cache=source.from_cache,
            cache_age=(
                span(source.cache_age) if source.HasField("cache_age") else None
            ),
            derived=source.derived,
            derivation=source.derivation,
        )
        for source in answer.sources
    )


def missing(
    answer: ingestion_service_pb2.FetchResponse,
) -> tuple[MissingInterval, ...]:
    """Read which stretches are missing."""
    return tuple(
        MissingInterval(moment(gap.start), moment(gap.end), gap.reason)
        for gap in answer.missing
    )


def attempts(
    answer: ingestion_service_pb2.FetchResponse | ingestion_service_pb2.QuoteResult,
) -> tuple[Attempt, ...]:
    """Read what was tried."""
    return tuple(
        Attempt(
            provider=attempt.provider,
            outcome=name(
                provenance_pb2.AttemptOutcome.items(),
                attempt.outcome,
                "ATTEMPT_OUTCOME_",
            ),
            reason=attempt.reason,
            latency=span(attempt.latency),
            cost_usd=attempt.cost_usd,
            calls=attempt.calls,
            hedge=attempt.hedge,
            shared=attempt.shared,
        )
        for attempt in answer.attempts
    )


def quality_flags(
    answer: ingestion_service_pb2.FetchResponse,
) -> tuple[QualityFlag, ...]:
    """Read what was noticed."""
    return tuple(
        QualityFlag(
            kind=name(
                provenance_pb2.QualityFlagKind.items(), flag.kind, "QUALITY_FLAG_KIND_"
            ),
            time=moment(flag.time) if flag.HasField("time") else None,
            detail=flag.detail,
        )
        for flag in answer.quality_flags
    )
