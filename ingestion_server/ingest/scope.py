"""What a query means on the calendar: its stretch of time, and the bars in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.grid import Grid, grid
from ingestion_server.domain.interval import DAY_NS, MINUTE_NS, labels
from ingestion_server.domain.query import BarQuery, Span
from ingestion_server.domain.sessions import Sessions

SETTLING_NS: Final = 15 * MINUTE_NS
"""A vendor's last word on a bar is expected this long after the bar is over."""
_DEFAULT_BARS: Final = 100
_LONGEST_LOOK_BACK_NS: Final = 100 * 366 * DAY_NS
_EARLIEST_NS: Final = -200 * 365 * DAY_NS
_LATEST_NS: Final = 200 * 365 * DAY_NS


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """Hold what a query comes down to."""

    span: Span
    """Labels wanted."""
    wanted: Grid | None
    """The bars that exist in the span; None where nobody can know."""
    due: Grid | None
    """Those of them that every vendor should have by now."""
    first: int
    """Most bars to answer with, from the start; 0 = all."""
    last: int
    """Most bars to answer with, from the end; 0 = all."""

    @property
    def surely_empty(self) -> bool:
        """Tell whether no bar can exist."""
        return self.wanted is not None and not len(self.wanted)


def scope(
    query: BarQuery, sessions: Sessions | None, *, now_ns: int, most_bars: int
) -> Scope:
    """
    Resolve start, end and limit.

    Raises:
        InvalidQueryError: The range is upside down or holds more than ``most_bars``.

    """
    end_ns = now_ns if query.end_ns is None else query.end_ns
    start_ns = query.start_ns
    _check_range(start_ns, end_ns)
    # A bar that has not opened yet does not exist.
    reach_ns = min(end_ns, _reach(query, sessions, now_ns))
    first = last = 0
    if start_ns is None:
        last = query.limit or _DEFAULT_BARS
        _check_count(last, most_bars)
        start_ns = _look_back(query, sessions, reach_ns, last)
    else:
        first = query.limit
    if start_ns >= reach_ns:
        empty = Span(start_ns, max(start_ns, end_ns))
        return Scope(empty, _nothing(), _nothing(), first, last)
    span = Span(start_ns, reach_ns)
    wanted = _grid(query, sessions, span)
    if wanted is not None:
        if first and query.hours is TradingHours.REGULAR and len(wanted) > first:
            span = Span(start_ns, int(wanted.opens_ns[first]))
            wanted = wanted.first(first)
        if not (first and first <= most_bars):
            _check_count(len(wanted), most_bars)
    else:
        rough = (span.end_ns - span.start_ns) // query.interval.length_ns
        if not first and query.interval.intraday:
            _check_count(rough // 3, most_bars)
    due = None if wanted is None else wanted.due(now_ns - SETTLING_NS)
    return Scope(span, wanted, due, first, last)


def _reach(query: BarQuery, sessions: Sessions | None, now_ns: int) -> int:
    """
    Return the time before which the bars that exist by now are labelled.

    A day's label is midnight, hours before its session opens.
    """
    if query.interval.intraday or sessions is None:
        return now_ns + 1
    opened = int(np.searchsorted(sessions.opens_ns, now_ns, side="right"))
    if not opened or now_ns >= sessions.covers_until_ns:
        return now_ns + 1
    day = sessions.labels_ns[opened - 1 : opened]
    return int(labels(day, query.interval)[0]) + 1


def _grid(query: BarQuery, sessions: Sessions | None, span: Span) -> Grid | None:
    return grid(query.instrument.asset_class, query.interval, span, sessions)


def _nothing() -> Grid:
    none = np.empty(0, np.int64)
    return Grid(none, none)


def _look_back(
    query: BarQuery, sessions: Sessions | None, end_ns: int, count: int
) -> int:
    """Return the open of the bar that has so many bars from it to the end."""
    # Trading fills no less than a tenth of the time (6.5 hours on 5 days of 7, less
    # holidays), so this stretch is long enough for all but the oddest calendars.
    factor = 12 if query.interval.intraday else 2
    stretch = count * query.interval.length_ns * factor + 15 * DAY_NS
    stretch = min(stretch, _LONGEST_LOOK_BACK_NS)
    found = _grid(query, sessions, Span(end_ns - stretch, end_ns))
    if found is None or not len(found):
        return end_ns - stretch
    return int(found.last(count).opens_ns[0])


def _check_range(start_ns: int | None, end_ns: int) -> None:
    wrong = []
    if start_ns is not None and start_ns >= end_ns:
        wrong.append(
            Violation("start", "must be before end; the range is [start, end)")
        )
    for field, value in (("start", start_ns), ("end", end_ns)):
        if value is not None and not _EARLIEST_NS < value < _LATEST_NS:
            wrong.append(Violation(field, "is farther from now than any market data"))
    if wrong:
        raise InvalidQueryError(wrong)


def _check_count(count: int, most_bars: int) -> None:
    if count > most_bars:
        raise InvalidQueryError(
            [
                Violation(
                    "limit",
                    f"the range holds {count} bars and one answer at most {most_bars}; "
                    "shorten the range, or use FetchBatch, which answers in chunks",
                )
            ]
        )
