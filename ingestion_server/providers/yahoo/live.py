"""
The live row, put where it belongs.

While the market is open, or just after, one extra row stands at the end of a chart
whose stamp is off the grid [R]. It is merged or dropped only where the bar that it
belongs to is there without it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec.structs import replace

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.bars import BarSeries, Column, ascending
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import Interval
from ingestion_server.ports.provider import BarAsk
from ingestion_server.providers.yahoo.payload import (
    Meta,
    boundaries_ns,
    regular_closes_ns,
)

_PAIR: Final = 2
_LISTED: Final = frozenset({AssetClass.EQUITY, AssetClass.INDEX})


def live_row_merged(series: BarSeries, ask: BarAsk, meta: Meta) -> BarSeries:
    """Return ascending rows, already labelled, without an extra one at the end."""
    if len(series) < _PAIR:
        return series
    if ask.interval.intraday:
        return _of_hours(series, ask, meta)
    times = series.open_time_ns
    if times[-1] != times[-2]:
        return ascending(series)
    if ask.interval is not Interval.DAY_1:
        # The extra row of a week or a month is the current day by itself [S].
        return ascending(_merged(series))
    # Of a day that stands twice, the later row is the more recent [S].
    told = np.isfinite(series.close[-1]) or not np.isfinite(series.close[-2])
    return ascending(series if told else series.take(slice(0, -1)))


def _of_hours(series: BarSeries, ask: BarAsk, meta: Meta) -> BarSeries:
    times = series.open_time_ns
    last_ns = int(times[-1])
    listed = ask.instrument.asset_class in _LISTED
    if (
        # The hours of a pair or a future end at :59, where a true bar begins; late
        # trading begins with a true bar too, and its volumes are always 0.
        listed
        and ask.hours is not TradingHours.EXTENDED
        and series.volume is not None
        and not series.volume[-1] > 0
        and last_ns in regular_closes_ns(meta)
    ):
        return series.take(slice(0, -1))
    if last_ns - int(times[-2]) >= ask.interval.length_ns:
        return series
    # Where hours begin, the grid begins anew, and a bar may follow a shorter one.
    if listed and last_ns in boundaries_ns(meta):
        return series
    return _merged(series)


def _merged(series: BarSeries) -> BarSeries:
    """Fold the last row into the one before it."""
    body, last = series.take(slice(0, -1)), series.take(slice(-1, None))
    prices = (body.open, body.high, body.low, body.close)
    if all(np.isnan(column[-1]) for column in prices):
        opened = last.open[0]
    else:
        opened = body.open[-1]
    ended = last.close[0] if np.isfinite(last.close[0]) else body.close[-1]
    volume = body.volume
    if volume is not None and last.volume is not None:
        both = np.array([volume[-1], last.volume[0]])
        known = both[np.isfinite(both)]
        volume = _ending(volume, known.sum() if len(known) else np.nan)
    return replace(
        body,
        open=_ending(body.open, opened),
        high=_ending(body.high, np.fmax(body.high[-1], last.high[0])),
        low=_ending(body.low, np.fmin(body.low[-1], last.low[0])),
        close=_ending(body.close, ended),
        volume=volume,
    )


def _ending(column: Column, value: float) -> Column:
    return np.append(column[:-1], value)
