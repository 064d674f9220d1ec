"""The answer, made of what was gathered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    IngestionError,
    NoDataUnexplainedError,
    ProviderError,
    SymbolUnknownError,
)
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.quality import FlagKind, QualityFlag, bounded
from ingestion_server.domain.query import SourceMode
from ingestion_server.domain.result import BarResult, Completeness, Missing
from ingestion_server.ingest.collected import Collected, sources, states
from ingestion_server.ingest.memory import ENCODED_SECONDS
from ingestion_server.ingest.progress import Progress
from ingestion_server.registry.verdict import verdict

_CLOSED_SECONDS: Final = 10.0
"""
How long an answer is good that was known and cannot change, unless something does of
which nobody is told, such as the exchange's date.
"""


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
        answered = query.policy.allow_partial or not progress.lost()
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


def answer(progress: Progress, *, now_ns: int) -> BarResult:
    """Return the bars and the truth about them."""
    query, scope, collected = progress.query, progress.scope, progress.collected
    series, owners_of_all = collected.series()
    owners = owners_of_all
    if scope.limited:
        count = len(series)
        start = max(0, count - scope.last) if scope.last else 0
        chosen = slice(start, None if scope.last else scope.first)
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
    flags.extend(_stale_flags(collected, now_ns))
    flags.extend(
        QualityFlag(FlagKind.DERIVED, f"{piece.provider}: {piece.derivation}")
        for piece in collected.pieces
        if piece.derivation
    )
    instrument = query.instrument
    bar_states = states(collected, series, owners, scope.wanted, query.interval)
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
        states=bar_states,
        completeness=_completeness(missing, collected),
        missing=missing,
        sources=sources(collected, series, owners, query.interval, now_ns=now_ns),
        attempts=progress.attempts,
        flags=bounded(flags),
        good_for_seconds=_good_for_seconds(progress, missing, bar_states, now_ns),
    )


def _completeness(missing: Sequence[Missing], collected: Collected) -> Completeness:
    if missing:
        return Completeness.PARTIAL
    return Completeness.DEGRADED if collected.stale else Completeness.COMPLETE


def _stale_flags(collected: Collected, now_ns: int) -> Iterator[QualityFlag]:
    for piece in collected.pieces:
        if piece.stale:
            ago = max(now_ns - piece.received_at_ns, 0) / SECOND_NS
            yield QualityFlag(
                FlagKind.STALE,
                f"{piece.provider}: bars of up to {ago:.0f} s ago, since nobody gave "
                "newer ones",
            )


def _good_for_seconds(
    progress: Progress,
    missing: Sequence[Missing],
    bar_states: npt.NDArray[np.uint8],
    now_ns: int,
) -> float:
    """Return how long an equal question has the same answer, if it needed no vendor."""
    query, collected = progress.query, progress.collected
    if progress.tallies or missing or collected.stale or not collected.pieces:
        return 0.0
    if query.policy.max_staleness_seconds is not None:
        # It may be used up sooner.
        return 0.0
    open_ended = query.end_ns is None or query.end_ns > now_ns
    if open_ended or BarState.PARTIAL in bar_states:
        return ENCODED_SECONDS
    return _CLOSED_SECONDS
