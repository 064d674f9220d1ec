"""The answer, made of what was gathered."""

from __future__ import annotations

from collections.abc import Sequence

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    IngestionError,
    NoDataUnexplainedError,
    ProviderError,
    SymbolUnknownError,
)
from ingestion_server.domain.quality import FlagKind, QualityFlag, bounded
from ingestion_server.domain.query import SourceMode
from ingestion_server.domain.result import BarResult, Completeness
from ingestion_server.ingest.collected import sources, states
from ingestion_server.ingest.progress import Progress
from ingestion_server.registry.verdict import verdict


def failure(progress: Progress) -> IngestionError | None:
    """Return why there is no answer; None if there is one, an empty one included."""
    query, due = progress.query, progress.due()
    silent = [e for e in progress.errors if isinstance(e, NoDataUnexplainedError)]
    # Who cannot serve at all does not know better than who has nothing.
    serious = [
        error
        for error in progress.errors
        if not isinstance(error, NoDataUnexplainedError | CapabilityMissingError)
    ]
    nothing_due = due is not None and not len(due)
    if progress.collected.pieces:
        answered = query.policy.allow_partial or not progress.holes()
    else:
        empty = nothing_due and silent and not serious
        answered = bool(empty) or not progress.gaps()
    if answered:
        return None
    errors = progress.errors
    if progress.collected.pieces:
        errors = [_incomplete(progress), *_of_the_known(errors)]
    elif not errors:
        errors = [
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


def _incomplete(progress: Progress) -> ProviderError:
    """Return what it means that some bars are missing and all are wanted."""
    waits = [
        error.retry_after_seconds
        for error in progress.errors
        if error.retry_after_seconds is not None
    ]
    return NoDataUnexplainedError(
        f"{progress.lacking()} bars are still missing, and a partial answer is not "
        f"wanted: {progress.summary()}",
        provider=progress.collected.pieces[0].provider,
        retry_after_seconds=min(waits, default=None),
    )


def _of_the_known(errors: Sequence[ProviderError]) -> list[ProviderError]:
    """Return the errors without those that a vendor's data contradict."""
    return [error for error in errors if not isinstance(error, SymbolUnknownError)]


def answer(progress: Progress) -> BarResult:
    """Return the bars and the truth about them."""
    query, scope, collected = progress.query, progress.scope, progress.collected
    series, owners_of_all = collected.series()
    chosen = slice(None)
    if scope.last:
        chosen = slice(max(0, len(series) - scope.last), None)
    elif scope.first:
        chosen = slice(0, scope.first)
    series, owners = series.take(chosen), owners_of_all[chosen]
    flags = list(collected.flags)
    if scope.wanted is None:
        flags.append(
            QualityFlag(
                FlagKind.CALENDAR_UNKNOWN,
                "when this market trades is not known, so nobody can tell whether "
                "bars are missing",
            )
        )
    if scope.known_from_ns is not None:
        flags.append(
            QualityFlag(
                FlagKind.CALENDAR_UNKNOWN,
                "when this market traded before this time is not known, so nobody can "
                "tell whether bars are missing there",
                scope.known_from_ns,
            )
        )
    missing = progress.missing()
    if len(series) < len(owners_of_all):
        # What lies beyond the limit was not asked for.
        first_ns, last_ns = series.open_time_ns[[0, -1]]
        missing = [
            hole
            for hole in missing
            if (hole.start_ns >= first_ns if scope.last else hole.start_ns <= last_ns)
        ]
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
        volume_unit=collected.volume_unit,
        zone=instrument.venue.zone if instrument.venue else "UTC",
        series=series,
        states=states(collected, series, owners, scope.wanted, query.interval),
        completeness=Completeness.PARTIAL if missing else Completeness.COMPLETE,
        missing=missing,
        sources=sources(collected, series, owners, query.interval),
        attempts=progress.attempts,
        flags=bounded(flags),
    )
