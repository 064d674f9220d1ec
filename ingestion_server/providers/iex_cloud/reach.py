"""
Which days to ask for, and how: the fewest messages that tell all that is wanted.

A chart ends with the latest day and costs by the bar, so its length is all that can be
saved on; a few days of long ago are cheaper one by one.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.interval import DAY_NS, HOUR_NS, SECOND_NS
from ingestion_server.domain.query import Span
from ingestion_server.domain.zones import local_from_utc
from ingestion_server.providers.iex_cloud.declarations import EASTERN

_MONTHS: Final = {"1m": 1, "3m": 3, "6m": 6, "ytd": 0, "1y": 12, "2y": 24, "5y": 60}
"""What the vendor calls its charts, by months; that of this year has as many as it."""
_LONGEST: Final = "max"
_FEW_DAYS: Final = 5
_SHORTEST: Final = "5d"
_MOST_SINGLE_DAYS: Final = 10
"""More calls are not made to save messages."""
_MONDAY_TO_FRIDAY: Final = 5
_EARLIEST_OPEN_NS: Final = 27 * HOUR_NS // 2
_LATEST_CLOSE_NS: Final = 21 * HOUR_NS
"""Of New York, by UTC: half past 13 in summer, and 21 in winter."""
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


class Chart(msgspec.Struct, frozen=True):
    """Be one chart of days that ends with the latest."""

    range: str
    """As the vendor names it."""
    bars: int
    """How many of its latest are wanted."""
    today: bool
    """Whether today is among them; else the latest is yesterday."""


def today(now_ns: int) -> date:
    """Return the date in New York."""
    (wall_ns,) = local_from_utc(np.array([now_ns], np.int64), EASTERN).tolist()
    return _date(wall_ns)


def labelled(span: Span) -> tuple[date, date]:
    """Return the first and the last date whose label lies in a span."""
    return _date(-(-span.start_ns // DAY_NS) * DAY_NS), _date(span.end_ns - 1)


def weekdays(first: date, last: date) -> Iterator[date]:
    """Yield the days from one to another, both included, on which shares trade."""
    for count in range((last - first).days + 1):
        day = first + timedelta(days=count)
        if day.weekday() < _MONDAY_TO_FRIDAY:
            yield day


def trading_days(span: Span) -> list[date]:
    """Return the weekdays in whose regular hours a part of a span may lie."""
    first = _date(span.start_ns)
    return [
        day
        for day in weekdays(first, _date(span.end_ns - 1))
        if span.start_ns < _start_ns(day) + _LATEST_CLOSE_NS
        and span.end_ns > _start_ns(day) + _EARLIEST_OPEN_NS
    ]


def whole_day(day: date) -> Span:
    """Return the day of UTC, in which that of New York trades."""
    return Span(_start_ns(day), _start_ns(day) + DAY_NS)


def weekday_count(first: date, last: date) -> int:
    """Return how many there are of those; 0 if the last comes before the first."""
    if last < first:
        return 0
    return int(np.busday_count(first, last + timedelta(days=1)))


def chart(first: date, last: date, now: date) -> Chart:
    """
    Return the shortest chart with all days from one to another.

    Without holidays nobody can tell how many bars there are since the first day; so
    many as there are weekdays are enough.
    """
    with_today = last >= now
    end = now if with_today else now - timedelta(days=1)
    bars = max(weekday_count(first, end), 1)
    return Chart(_range(first, bars, now), bars, with_today)


def single_days(first: date, last: date, now: date) -> list[date]:
    """Return the days to ask for one by one; empty if a chart costs no more."""
    if last >= now or last < first:
        return []
    wanted = weekday_count(first, last)
    later = weekday_count(last + timedelta(days=1), now - timedelta(days=1))
    if wanted > _MOST_SINGLE_DAYS or later < wanted:
        # A call more for each day must save as much again as it costs.
        return []
    return list(weekdays(first, last))


def _range(first: date, bars: int, now: date) -> str:
    if bars <= _FEW_DAYS:
        return _SHORTEST
    fitting = {
        name: begin
        for name, months in _MONTHS.items()
        if (begin := _begin(name, months, now)) <= first
    }
    # The latest to begin is the shortest that reaches so far.
    return max(fitting, key=fitting.__getitem__, default=_LONGEST)


def _begin(name: str, months: int, now: date) -> date:
    """Return the first day of a chart."""
    if name == "ytd":
        return date(now.year, 1, 1)
    number = now.year * 12 + now.month - 1 - months
    year, month = number // 12, number % 12 + 1
    return date(year, month, min(now.day, monthrange(year, month)[1]))


def _start_ns(day: date) -> int:
    return (day.toordinal() - _EPOCH_DAY) * DAY_NS


def _date(time_ns: int) -> date:
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).date()
