"""Bars as columns."""

from __future__ import annotations

from enum import IntEnum
from typing import final

import msgspec
import numpy as np
import numpy.typing as npt

from ingestion_server.domain.interval import Times

Column = npt.NDArray[np.float64]
"""One value per bar; NaN where the vendor gave none."""


class BarState(IntEnum):
    """Say whether a bar can still change."""

    FINAL = 1
    PARTIAL = 2
    REVISED = 3
    """Corrected by the vendor after it was final."""


@final
class BarSeries(msgspec.Struct, frozen=True, eq=False):
    """
    Hold bars as columns of equal length, ascending by unique times.

    A column that the vendor does not have is None, a single unknown value is NaN.
    """

    open_time_ns: Times
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column | None = None

    def __len__(self) -> int:
        return len(self.open_time_ns)

    def take(
        self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice
    ) -> BarSeries:
        """Return the series of the chosen rows."""
        return BarSeries(
            self.open_time_ns[rows],
            self.open[rows],
            self.high[rows],
            self.low[rows],
            self.close[rows],
            None if self.volume is None else self.volume[rows],
        )

    def between(self, start_ns: int, end_ns: int) -> BarSeries:
        """Return the bars that open in ``[start, end)``."""
        times = self.open_time_ns
        if len(times) and start_ns <= times[0] and times[-1] < end_ns:
            return self
        first, last = times.searchsorted((start_ns, end_ns))
        return self.take(slice(int(first), int(last)))


def empty_series() -> BarSeries:
    """Return a series without bars."""
    none = np.empty(0, np.float64)
    return BarSeries(np.empty(0, np.int64), none, none, none, none)


def ascending(series: BarSeries) -> BarSeries:
    """Return the same rows by ascending time; of equal times the last row stays."""
    times = series.open_time_ns
    if len(times) < 2 or bool((times[1:] > times[:-1]).all()):  # noqa: PLR2004 - a pair
        return series
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    last_of_equals = np.append(ordered[1:] != ordered[:-1], True)
    return series.take(order[last_of_equals])


def concatenated(parts: list[BarSeries]) -> BarSeries:
    """Return all rows of the parts, ascending; a volume one part lacks is NaN."""
    if not parts:
        return empty_series()
    if len(parts) == 1:
        return ascending(parts[0])
    volume = None
    if any(part.volume is not None for part in parts):
        volume = np.concatenate(
            [
                np.full(len(part), np.nan) if part.volume is None else part.volume
                for part in parts
            ]
        )
    return ascending(
        BarSeries(
            np.concatenate([part.open_time_ns for part in parts]),
            np.concatenate([part.open for part in parts]),
            np.concatenate([part.high for part in parts]),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.close for part in parts]),
            volume,
        )
    )
