"""Lengths of bars, and the labels they carry."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
"""Nanoseconds since 1970 UTC."""

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
WEEK_NS: Final = 7 * DAY_NS
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday


class Interval(StrEnum):
    """Name the length of a bar."""

    MINUTE_1 = "1m"
    MINUTE_5 = "5m"
    MINUTE_15 = "15m"
    MINUTE_30 = "30m"
    HOUR_1 = "1h"
    DAY_1 = "1d"
    WEEK_1 = "1w"
    MONTH_1 = "1mo"

    @property
    def intraday(self) -> bool:
        """Tell whether bars are shorter than a session."""
        return self in _LENGTHS_NS

    @property
    def length_ns(self) -> int:
        """Return the length; of a day or more, that of the longest such bar."""
        return _LENGTHS_NS.get(self) or _LONGEST_NS[self]


_LENGTHS_NS: Final = {
    Interval.MINUTE_1: MINUTE_NS,
    Interval.MINUTE_5: 5 * MINUTE_NS,
    Interval.MINUTE_15: 15 * MINUTE_NS,
    Interval.MINUTE_30: 30 * MINUTE_NS,
    Interval.HOUR_1: HOUR_NS,
}
_LONGEST_NS: Final = {
    Interval.DAY_1: DAY_NS,
    Interval.WEEK_1: WEEK_NS,
    Interval.MONTH_1: 31 * DAY_NS,
}


def day_labels(times_ns: Times) -> Times:
    """Return 00:00 of the same day."""
    return times_ns - times_ns % DAY_NS


def week_labels(times_ns: Times) -> Times:
    """Return 00:00 of the ISO Monday of the same week."""
    days = times_ns // DAY_NS
    return (days - (days + _EPOCH_WEEKDAY) % 7) * DAY_NS


def month_labels(times_ns: Times) -> Times:
    """Return 00:00 of the first day of the same month."""
    months = times_ns.astype("datetime64[ns]").astype("datetime64[M]")
    return months.astype("datetime64[ns]").astype(np.int64)


def labels(times_ns: Times, interval: Interval) -> Times:
    """Return the labels that bars of a day or more carry, by any time within."""
    match interval:
        case Interval.WEEK_1:
            return week_labels(times_ns)
        case Interval.MONTH_1:
            return month_labels(times_ns)
        case _:
            return day_labels(times_ns)


def label_ends(labels_ns: Times, interval: Interval) -> Times:
    """Return the time at which each bar's span ends, by its label."""
    if interval is Interval.MONTH_1:
        months = labels_ns.astype("datetime64[ns]").astype("datetime64[M]")
        months = months + np.timedelta64(1, "M")
        return months.astype("datetime64[ns]").astype(np.int64)
    return labels_ns + interval.length_ns


def among(times_ns: Times, others_ns: Times) -> npt.NDArray[np.bool_]:
    """Return which times are among others; ``isin`` would take ten times as long."""
    if not len(others_ns):
        return np.zeros(len(times_ns), np.bool_)
    if len(times_ns) == len(others_ns) and (times_ns == others_ns).all():
        # Whoever has all that is due has nothing else.
        return np.ones(len(times_ns), np.bool_)
    ascending = np.sort(others_ns)
    at = ascending.searchsorted(times_ns)
    found: npt.NDArray[np.bool_] = (
        ascending[np.minimum(at, len(ascending) - 1)] == times_ns
    )
    return found
