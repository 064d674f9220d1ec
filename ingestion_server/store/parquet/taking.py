"""What of an answer is kept: bars that are final, and what is known to be complete."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from ingestion_server.domain.bars import BarState, Column
from ingestion_server.domain.interval import HOUR_NS, Interval, Times, label_ends
from ingestion_server.domain.query import AGREEMENT, Span
from ingestion_server.domain.result import BarResult
from ingestion_server.domain.spans import subtracted
from ingestion_server.store.parquet.rows import NEVER, Mask, Rows, Words, words

_SETTLING_NS: Final = HOUR_NS
"""Longer than any vendor takes for its last word on a bar that is over."""
_SAME_FACTOR: Final = 0.05
"""How far apart the factors of one bar's prices may be, as a share of the change."""


def final_rows(result: BarResult, span: Span) -> Rows:
    """Return the bars of a span that cannot change any more."""
    series = result.series
    times = series.open_time_ns
    kept = result.states != BarState.PARTIAL
    kept &= (times >= span.start_ns) & (times < span.end_ns)
    chosen: Mask | slice = slice(None) if kept.all() else kept
    series, states = series.take(chosen), result.states[chosen]
    count = len(series)
    sources = result.sources
    starts = np.array([source.start_ns for source in sources], np.int64)
    signed = starts.searchsorted(series.open_time_ns, side="right").astype(np.int32) - 1
    received = np.array([source.received_at_ns for source in sources], np.int64)
    derived = np.array([bool(source.derivation) for source in sources], np.bool_)
    volume = np.full(count, np.nan) if series.volume is None else series.volume
    return Rows(
        series.open_time_ns,
        (series.open, series.high, series.low, series.close),
        volume,
        states,
        words([source.provider for source in sources], signed),
        received[signed],
        derived[signed],
        _one(result.currency, count),
        _one(result.volume_unit, count),
        np.full(count, NEVER, np.int64),
    )


def complete(result: BarResult, span: Span, rows: Rows, *, now_ns: int) -> list[Span]:
    """
    Return what of a span is known to the last bar, ascending, without overlap.

    Args:
        result: what came.
        span: what was asked for.
        rows: what of it is final.
        now_ns: when it came.

    """
    end_ns = span.end_ns
    forming = result.series.open_time_ns[result.states == BarState.PARTIAL]
    if len(forming):
        end_ns = min(end_ns, int(forming[0]))
    # Of what has just been, a bar may still come that nobody misses yet: so far it is
    # known as the bars reach that are there.
    length_ns = result.interval.length_ns
    reach_ns = now_ns - 2 * length_ns - _SETTLING_NS
    before = int(rows.open_time_ns.searchsorted(end_ns))
    if before:
        last = rows.open_time_ns[before - 1 : before]
        reach_ns = max(reach_ns, int(ends_of(last, result.interval)[0]))
    holes = (Span(hole.start_ns, hole.end_ns) for hole in result.missing)
    return subtracted([Span(span.start_ns, min(end_ns, reach_ns))], holes)


def ends_of(times_ns: Times, interval: Interval) -> Times:
    """Return where the stretch of each bar ends, by its open time."""
    return label_ends(times_ns, interval)


def within(times_ns: Times, spans: Iterable[Span]) -> Mask:
    """Return which of ascending times are in any of the spans."""
    found = np.zeros(len(times_ns), np.bool_)
    for span in spans:
        first, end = times_ns.searchsorted((span.start_ns, span.end_ns))
        found[first:end] = True
    return found


def rescaled(known: Rows, fresh: Rows) -> float | None:
    """
    Return by what a vendor now multiplies prices that it has told before.

    A split or dividend changes all bars before it, each one's prices alike; so they
    are the first ones of those that came again.

    Args:
        known: bars as they were told before, ascending.
        fresh: bars of the same times as they are told now.

    Returns:
        The factor of the first bar; None if the prices mean what they meant.

    """
    ratios = _ratios(known.prices, fresh.prices)
    told = ~np.isnan(ratios).all(axis=0)
    ratios = ratios[:, told]
    if not ratios.shape[1]:
        return None
    low, high = np.nanmin(ratios, axis=0), np.nanmax(ratios, axis=0)
    change = np.maximum(np.abs(low - 1), np.abs(high - 1))
    moved = change > AGREEMENT
    count = int(moved.sum())
    alike = high - low <= _SAME_FACTOR * change
    if not count or not (moved & alike)[:count].all():
        return None
    return float(np.nanmedian(ratios[:, 0]))


def _ratios(
    known: tuple[Column, ...], fresh: tuple[Column, ...]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    before, now = np.stack(known), np.stack(fresh)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = now / before
    ratios[~np.isfinite(ratios)] = np.nan
    return ratios


def _one(word: str, count: int) -> Words:
    return Words(np.zeros(count, np.int32), (word,))
