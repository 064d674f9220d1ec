"""Which stretch of time a chart call asks for, and whether it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from ingestion_server.sandbox.days import (
    DAY_NS,
    SECOND_NS,
    local_label_ns,
    midnights_ns,
)
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.minutes import PRE_MARKET_NS
from ingestion_server.sandbox.yahoo.refusals import bad_request, unprocessable

_DAY_S: Final = 86_400
_LEAP_SLACK_S: Final = 2 * _DAY_S
"""Two years are 730 or 731 days, and a range begins at midnight."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Describe one interval of the chart."""

    minutes: int
    """Length of an intraday bar; 0 for a day and longer."""
    per_request_days: int = 0
    """Longest range of one call; 0 = no limit."""
    within_days: int = 0
    """How far back data reaches; 0 = to the first trade."""


INTERVALS: Final[Mapping[str, Interval]] = {
    "1m": Interval(1, 8, 30),
    "2m": Interval(2, 0, 60),
    "5m": Interval(5, 0, 60),
    "15m": Interval(15, 0, 60),
    "30m": Interval(30, 0, 60),
    "60m": Interval(60, 0, 730),
    "90m": Interval(90, 0, 60),
    "1h": Interval(60, 0, 730),
    "1d": Interval(0),
    "5d": Interval(0),
    "1wk": Interval(0),
    "1mo": Interval(0),
    "3mo": Interval(0),
}
RANGES: Final = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]
_MONTHS: Final = {
    "1mo": 1,
    "3mo": 3,
    "6mo": 6,
    "1y": 12,
    "2y": 24,
    "5y": 60,
    "10y": 120,
}


@dataclass(frozen=True, slots=True)
class Window:
    """Hold the epoch seconds ``[begin, end)`` of a call."""

    begin_s: int
    end_s: int
    asked: str
    """The ``range`` of the call, empty if it gave ``period1`` and ``period2``."""

    @property
    def begin_ns(self) -> int:
        """Return the begin in nanoseconds."""
        return self.begin_s * SECOND_NS

    @property
    def end_ns(self) -> int:
        """Return the end in nanoseconds."""
        return self.end_s * SECOND_NS


def interval_of(query: Mapping[str, str]) -> str:
    """Return the interval a call names; a day if it names none."""
    name = query.get("interval", "1d")
    if name not in INTERVALS:
        raise bad_request(
            f"Invalid input - interval={name} is not supported. "
            f"Valid intervals: [{', '.join(INTERVALS)}]"
        )
    return name


def window_of(query: Mapping[str, str], history: History, now_ns: int) -> Window:
    """Return the window, from ``period1`` and ``period2`` or from ``range``."""
    now_s = now_ns // SECOND_NS
    if "period1" not in query and "period2" not in query:
        return _from_range(query.get("range", "1d"), history, now_ns)
    begin_s = _seconds(query, "period1", 0)
    end_s = _seconds(query, "period2", now_s + 1)
    if begin_s >= end_s:
        raise bad_request(
            "Invalid input - start date cannot be after end date. "
            f"startDate = {begin_s}, endDate = {end_s}"
        )
    first_s = int(history.sessions.opens_ns[0]) // SECOND_NS
    # Daily stamps of the first day lie at its midnight at the earliest.
    if end_s <= first_s - _DAY_S or begin_s > now_s:
        raise bad_request(
            f"Data doesn't exist for startDate = {begin_s}, endDate = {end_s}"
        )
    return Window(begin_s, end_s, "")


def check_reach(name: str, window: Window, now_ns: int) -> None:
    """Refuse a window that is too long or too old for the interval."""
    interval = INTERVALS[name]
    longest = interval.per_request_days * _DAY_S
    # A future end asks for nothing more than now.
    end_s = min(window.end_s, now_ns // SECOND_NS + 1)
    if longest and end_s - window.begin_s > longest:
        raise unprocessable(
            name,
            window.begin_s,
            window.end_s,
            f"Only {interval.per_request_days} days worth of {name} granularity data "
            "are allowed to be fetched per request.",
        )
    oldest_s = now_ns // SECOND_NS - interval.within_days * _DAY_S
    if window.asked:
        # The range of the same length, ``2y`` for hours, is fine.
        oldest_s -= _LEAP_SLACK_S
    if interval.within_days and window.begin_s < oldest_s:
        raise unprocessable(
            name,
            window.begin_s,
            window.end_s,
            f"The requested range must be within the last {interval.within_days} days.",
        )


def _seconds(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise bad_request(f"Invalid input - {name}={text} is not a number") from None


def _from_range(name: str, history: History, now_ns: int) -> Window:
    if name not in RANGES:
        raise bad_request(
            f"Invalid input - range={name} is not supported. "
            f"Valid ranges: [{', '.join(RANGES)}]"
        )
    end_s = now_ns // SECOND_NS + 1
    return Window(_range_begin_ns(name, history, now_ns) // SECOND_NS, end_s, name)


def _range_begin_ns(name: str, history: History, now_ns: int) -> int:
    opens, zone = history.sessions.opens_ns, history.sessions.zone
    if name in ("1d", "5d"):
        lead = PRE_MARKET_NS if history.instrument.extended else 0
        count = max(int(np.searchsorted(opens - lead, now_ns, side="left")), 1)
        return int(opens[max(count - int(name[0]), 0)]) - lead
    if name == "max":
        return int(opens[0])
    today = local_label_ns(now_ns, zone)
    label = _year_begin(today) if name == "ytd" else _earlier(today, _MONTHS[name])
    return max(int(midnights_ns(np.array([label]), zone)[0]), int(opens[0]))


def _year_begin(label_ns: int) -> int:
    day = np.datetime64(label_ns // DAY_NS, "D")
    return int(day.astype("datetime64[Y]").astype("datetime64[D]").astype(int)) * DAY_NS


def _earlier(label_ns: int, months: int) -> int:
    day = np.datetime64(label_ns // DAY_NS, "D")
    month = day.astype("datetime64[M]")
    into = int((day - month.astype("datetime64[D]")).astype(int))
    first = month - np.timedelta64(months, "M")
    begin = first.astype("datetime64[D]")
    after = (first + np.timedelta64(1, "M")).astype("datetime64[D]")
    length = int((after - begin).astype(int))
    return (int(begin.astype(int)) + min(into, length - 1)) * DAY_NS
