"""Longer bars from shorter ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.grid import Grid
from ingestion_server.domain.interval import Times, among


def resampled(series: BarSeries, parts: Grid | None, wanted: Grid) -> BarSeries:
    """
    Sum bars up to the bars of ``wanted``.

    A longer bar needs every shorter one: where ``parts`` says that one should exist
    and it does not, the longer bar is left out, because its prices could be wrong.
    """
    if not len(series) or not len(wanted):
        return series.take(slice(0, 0))
    owner, inside = _owners(series.open_time_ns, wanted)
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
    absent = parts.opens_ns[~among(parts.opens_ns, rows.open_time_ns)]
    lacking, inside = _owners(absent, wanted)
    return summed.take(~np.isin(owners, lacking[inside]))


def _owners(
    opens_ns: Times, wanted: Grid
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return, per time, the last bar that opens by then, and if it is not over."""
    owner = np.searchsorted(wanted.opens_ns, opens_ns, side="right") - 1
    inside = (owner >= 0) & (opens_ns < wanted.closes_ns[np.maximum(owner, 0)])
    return owner, inside
