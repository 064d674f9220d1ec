"""Longer bars from shorter ones."""

from __future__ import annotations

import numpy as np

from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.grid import Grid


def resampled(series: BarSeries, parts: Grid | None, wanted: Grid) -> BarSeries:
    """
    Sum bars up to the bars of ``wanted``.

    A longer bar needs every shorter one: where ``parts`` says that one should exist
    and it does not, the longer bar is left out, because its prices could be wrong.
    """
    if not len(series) or not len(wanted):
        return series.take(slice(0, 0))
    owner = np.searchsorted(wanted.opens_ns, series.open_time_ns, side="right") - 1
    inside = (owner >= 0) & (
        series.open_time_ns < wanted.closes_ns[np.maximum(owner, 0)]
    )
    rows, owner = series.take(inside), owner[inside]
    if not len(rows):
        return rows
    owners, firsts = np.unique(owner, return_index=True)
    lasts = np.append(firsts[1:], len(owner)) - 1
    volume = None if rows.volume is None else np.add.reduceat(rows.volume, firsts)
    summed = BarSeries(
        wanted.opens_ns[owners],
        rows.open[firsts],
        np.maximum.reduceat(rows.high, firsts),
        np.minimum.reduceat(rows.low, firsts),
        rows.close[lasts],
        volume,
    )
    if parts is None:
        return summed
    absent = parts.opens_ns[~np.isin(parts.opens_ns, rows.open_time_ns)]
    lacking = np.searchsorted(wanted.opens_ns, absent, side="right") - 1
    return summed.take(~np.isin(owners, lacking))
