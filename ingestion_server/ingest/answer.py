"""The answer, made of what was gathered."""

from __future__ import annotations

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import IngestionError, NoDataUnexplainedError
from ingestion_server.domain.quality import FlagKind, QualityFlag, bounded
from ingestion_server.domain.query import SourceMode
from ingestion_server.domain.result import BarResult, Completeness
from ingestion_server.ingest.collected import sources, states
from ingestion_server.ingest.progress import Progress
from ingestion_server.registry.verdict import verdict


def failure(progress: Progress) -> IngestionError | None:
    """Return why there is no answer; None if there is one, an empty one included."""
    query, due = progress.query, progress.due()
    serious = [
        error
        for error in progress.errors
        if not isinstance(error, NoDataUnexplainedError)
    ]
    nothing_due = due is not None and not len(due)
    if progress.collected.pieces:
        answered = query.policy.allow_partial or not progress.holes()
    else:
        answered = (nothing_due and not serious) or not progress.gaps()
    if answered:
        return None
    errors = progress.errors or [
        NoDataUnexplainedError(
            f"{attempt.provider} gave no bars and did not say why",
            provider=attempt.provider,
        )
        for attempt in progress.attempts
    ]
    return verdict(
        errors,
        pinned=query.policy.mode is SourceMode.PINNED,
        symbol=query.instrument.symbol,
    )


def answer(progress: Progress) -> BarResult:
    """Return the bars and the truth about them."""
    query, scope, collected = progress.query, progress.scope, progress.collected
    series, owners = collected.series()
    chosen = slice(None)
    if scope.last:
        chosen = slice(max(0, len(series) - scope.last), None)
    elif scope.first:
        chosen = slice(0, scope.first)
    series, owners = series.take(chosen), owners[chosen]
    flags = list(collected.flags)
    if scope.wanted is None:
        flags.append(
            QualityFlag(
                FlagKind.CALENDAR_UNKNOWN,
                "when this market trades is not known, so nobody can tell whether "
                "bars are missing",
            )
        )
    missing = progress.missing()
    flags.extend(
        QualityFlag(FlagKind.DERIVED, f"{piece.provider}: {piece.derivation}")
        for piece in collected.pieces
        if piece.derivation
    )
    instrument = query.instrument
    return BarResult(
        instrument=instrument,
        interval=query.interval,
        adjustment=(
            query.adjustment if instrument.asset_class.adjustable else Adjustment.RAW
        ),
        currency=collected.currency,
        zone=instrument.venue.zone if instrument.venue else "UTC",
        series=series,
        states=states(collected, series, owners, scope.wanted, query.interval),
        completeness=Completeness.PARTIAL if missing else Completeness.COMPLETE,
        missing=missing,
        sources=sources(collected, series, owners, query.interval),
        attempts=progress.attempts,
        flags=bounded(flags),
    )
