"""
What is made of a vendor's rows: validated, adjusted, summed up, clipped.

Pure: rows, actions and times are handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.actions import CorporateActions, adjusted
from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarSeries, concatenated
from ingestion_server.domain.errors import CapabilityMissingError
from ingestion_server.domain.grid import Grid, grid, stretches
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import (
    DAY_NS,
    MINUTE_NS,
    Interval,
    Times,
    day_labels,
    label_ends,
    labels,
)
from ingestion_server.domain.quality import FlagKind, QualityFlag, sound
from ingestion_server.domain.query import BarQuery, Span
from ingestion_server.domain.resample import resampled
from ingestion_server.domain.sessions import Sessions
from ingestion_server.domain.zones import local_from_utc
from ingestion_server.ingest.scope import SETTLING_NS
from ingestion_server.registry.recipe import Recipe

_FUTURE_SLACK_NS: Final = 5 * MINUTE_NS
"""A vendor's clock may be ahead of ours by so much."""


class Task(msgspec.Struct, frozen=True):
    """Say what is wanted of the vendor, and how it is to be made."""

    query: BarQuery
    recipe: Recipe
    gaps: Sequence[Span]
    sessions: Sessions | None
    now_ns: int


def made(
    rows: BarSeries,
    task: Task,
    actions: CorporateActions | None,
    *,
    provider: str,
    received_at_ns: int,
    first_trade_ns: int | None,
) -> tuple[BarSeries, list[QualityFlag]]:
    """
    Return the bars of the gaps, as they were asked for, and what was noticed.

    Rows are validated before anything is computed of them.

    Raises:
        CapabilityMissingError: Bars cannot be summed up without a calendar.

    """
    span = _whole(task)
    series = rows.between(span.start_ns, span.end_ns)
    if task.recipe.interval.intraday and _listed(task):
        series = _in_hours(series, task)
    series, flags = sound(series, provider)
    series = _of_the_past(series, task, flags, provider, received_at_ns)
    if actions is not None:
        series = adjusted(
            series,
            actions,
            given=task.recipe.adjustment,
            wanted=wanted_adjustment(task),
            days_ns=_session_days(series.open_time_ns, task),
            # An action takes effect on the exchange's date, not on that of London.
            basis_ns=int(_local_days(np.array([received_at_ns]), task)[0]),
        )
    if task.recipe.interval is not task.query.interval:
        wanted, parts = _grids(task, provider)
        parts = parts.due(received_at_ns - SETTLING_NS)
        if first_trade_ns is not None:
            # Nobody owes bars of before the first trade.
            parts = parts.since(first_trade_ns)
        series = resampled(series, parts, wanted)
    return _clipped(series, task.gaps), flags


def _of_the_past(
    series: BarSeries,
    task: Task,
    flags: list[QualityFlag],
    provider: str,
    received_at_ns: int,
) -> BarSeries:
    """Leave out bars that had not begun when they were received."""
    limit_ns = received_at_ns + _FUTURE_SLACK_NS
    if not task.recipe.interval.intraday:
        limit_ns += DAY_NS
    past = series.open_time_ns <= limit_ns
    if past.all():
        return series
    flags.append(
        QualityFlag(
            FlagKind.ROW_QUARANTINED,
            f"{provider} gave {int((~past).sum())} bars of the future",
        )
    )
    return series.take(past)


def wanted_adjustment(task: Task) -> Adjustment:
    """Return the adjustment that is meant: RAW where there are no actions."""
    adjustable = task.query.instrument.asset_class.adjustable
    return task.query.adjustment if adjustable else Adjustment.RAW


def _listed(task: Task) -> bool:
    return task.query.instrument.asset_class in {AssetClass.EQUITY, AssetClass.INDEX}


def source_span(gap: Span, task: Task) -> Span:
    """Return the stretch of shorter bars that the bars of a gap are made of."""
    interval = task.query.interval
    if task.recipe.interval is interval:
        return gap
    if interval.intraday:
        return Span(gap.start_ns, gap.end_ns + interval.length_ns)
    edges = np.array([gap.start_ns, gap.end_ns - 1], np.int64)
    first, last = labels(edges, interval)
    end = label_ends(np.array([last], np.int64), interval)[0]
    return Span(int(first), int(end))


def _whole(task: Task) -> Span:
    return source_span(Span(task.gaps[0].start_ns, task.gaps[-1].end_ns), task)


def _grid_of(interval: Interval, task: Task, span: Span) -> Grid | None:
    asset_class = task.query.instrument.asset_class
    return grid(asset_class, interval, span, task.sessions)


def _grids(task: Task, provider: str) -> tuple[Grid, Grid]:
    """Return the bars that are wanted, and the shorter ones they are made of."""
    span = _whole(task)
    wanted = _grid_of(task.query.interval, task, span)
    parts = _grid_of(task.recipe.interval, task, span)
    if wanted is None or parts is None:
        raise CapabilityMissingError(
            f"{task.query.interval} bars cannot be summed up without a calendar",
            provider=provider,
        )
    return wanted, parts


def _clipped(series: BarSeries, gaps: Sequence[Span]) -> BarSeries:
    parts = [series.between(gap.start_ns, gap.end_ns) for gap in gaps]
    return parts[0] if len(parts) == 1 else concatenated(parts)


def _session_days(times_ns: Times, task: Task) -> Times:
    return _local_days(times_ns, task) if task.recipe.interval.intraday else times_ns


def _local_days(times_ns: Times, task: Task) -> Times:
    venue = task.query.instrument.venue
    zone = "UTC" if venue is None else venue.zone
    return day_labels(local_from_utc(times_ns, zone))


def _in_hours(series: BarSeries, task: Task) -> BarSeries:
    """Return the bars of regular hours that stand where bars should stand."""
    sessions = task.sessions
    if task.query.hours is TradingHours.EXTENDED or sessions is None:
        return series
    starts, stops = stretches(sessions)
    stretch = np.searchsorted(starts, series.open_time_ns, side="right") - 1
    known = stretch >= 0
    stretch = np.maximum(stretch, 0)
    since_open = series.open_time_ns - starts[stretch]
    inside = known & (series.open_time_ns < stops[stretch])
    on_grid = since_open % task.recipe.interval.length_ns == 0
    return series.take(inside & on_grid)
