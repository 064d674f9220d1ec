"""What a query means on the calendar: its stretch of time, and the bars in it."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.grid import Grid, grid
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import DAY_NS, MINUTE_NS, Interval, labels
from ingestion_server.domain.query import BarQuery, Span
from ingestion_server.domain.sessions import Sessions

SETTLING_NS: Final = 15 * MINUTE_NS
"""A vendor's last word on a bar is expected this long after the bar is over."""
_DEFAULT_BARS: Final = 100
_EXTENDED_TIMES: Final = 3
"""Extended hours (04:00 to 20:00) hold not quite so many times the regular bars."""
_LONGEST_LOOK_BACK_NS: Final = 100 * 366 * DAY_NS
_EARLIEST_NS: Final = -200 * 365 * DAY_NS
_LATEST_NS: Final = 200 * 365 * DAY_NS


class Scope(msgspec.Struct, frozen=True, eq=False):
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
    known_from_ns: int | None = None
    """Where ``wanted`` begins to be known, if that is within the span."""
    beyond: bool = False
    """Whether bars may exist that ``wanted`` does not know: those of extended hours."""

    @property
    def limited(self) -> bool:
        """Tell whether there may be fewer bars in the answer than in the span."""
        return bool(self.first or self.last)

    @property
    def surely_empty(self) -> bool:
        """Tell whether no bar can exist."""
        return self.wanted is not None and not len(self.wanted) and not self.beyond


def scope(
    query: BarQuery, sessions: Sessions | None, *, now_ns: int, most_bars: int
) -> Scope:
    """
    Resolve start, end and limit.

    Raises:
        InvalidQueryError: The range is upside down or holds more than ``most_bars``.

    """
    _check_fields(query)
    end_ns = now_ns if query.end_ns is None else query.end_ns
    start_ns = query.start_ns
    # A bar that has not opened yet does not exist.
    reach_ns = min(end_ns, _reach(query, sessions, now_ns))
    first = last = 0
    if start_ns is None:
        last = query.limit or _DEFAULT_BARS
        _check_count(last, most_bars, "asks for")
        start_ns = _look_back(query, sessions, reach_ns, last)
    else:
        first = query.limit
    if start_ns >= reach_ns:
        empty = Span(start_ns, max(start_ns, end_ns))
        return Scope(empty, _nothing(), _nothing(), first, last)
    wanted, span = _wanted(query, sessions, Span(start_ns, reach_ns), first)
    if not last and not 0 < first <= most_bars:
        _check_count(_count(query, wanted, span), most_bars, "holds")
    return Scope(
        span,
        wanted,
        None if wanted is None else wanted.due(now_ns - SETTLING_NS),
        first,
        last,
        known_from_ns=_known_from(wanted, sessions, span),
        beyond=_may_trade_beyond(query, sessions, span),
    )


def _wanted(
    query: BarQuery, sessions: Sessions | None, span: Span, first: int
) -> tuple[Grid | None, Span]:
    """Return the bars of the span, and the part of it that holds the first so many."""
    if not first:
        return _grid(query, sessions, span), span
    # Listing the bars of a century for the sake of ten would be a waste.
    near = min(span.end_ns, span.start_ns + _stretch(query, first))
    wanted = _grid(query, sessions, Span(span.start_ns, near))
    if near < span.end_ns and (wanted is None or len(wanted) <= first):
        wanted = _grid(query, sessions, span)
    if wanted is None or len(wanted) <= first:
        return wanted, span
    # Extended hours only add bars, so this many are in there too.
    return wanted.first(first), Span(span.start_ns, int(wanted.opens_ns[first]))


def _count(query: BarQuery, wanted: Grid | None, span: Span) -> int:
    """Return how many bars there are, roughly where nobody can know."""
    if wanted is None:
        rough = (span.end_ns - span.start_ns) // query.interval.length_ns
        return rough // 3 if query.interval.intraday else 0
    return len(wanted) * (_EXTENDED_TIMES if _extended(query) else 1)


def _known_from(
    wanted: Grid | None, sessions: Sessions | None, span: Span
) -> int | None:
    if wanted is None or sessions is None or span.start_ns >= sessions.covers_from_ns:
        return None
    return sessions.covers_from_ns


def _may_trade_beyond(query: BarQuery, sessions: Sessions | None, span: Span) -> bool:
    """Tell whether there is a session in whose extended hours the span may lie."""
    if not _extended(query) or sessions is None:
        return False
    # Behind New York's last extended hour, UTC already has the next date.
    around = Span(span.start_ns - DAY_NS, span.end_ns)
    days = grid(query.instrument.asset_class, Interval.DAY_1, around, sessions)
    return days is None or len(days) > 0


def _extended(query: BarQuery) -> bool:
    return (
        query.hours is TradingHours.EXTENDED
        and query.interval.intraday
        and query.instrument.asset_class is AssetClass.EQUITY
    )


def _reach(query: BarQuery, sessions: Sessions | None, now_ns: int) -> int:
    """
    Return the time before which the bars that exist by now are labelled.

    A day's label is midnight, hours before its session opens.
    """
    if query.interval.intraday or sessions is None:
        return now_ns + 1
    opened = int(sessions.opens_ns.searchsorted(now_ns, side="right"))
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
    start_ns = max(end_ns - _stretch(query, count), _EARLIEST_NS)
    found = _grid(query, sessions, Span(start_ns, end_ns))
    if found is None or len(found) < count:
        return start_ns
    return int(found.last(count).opens_ns[0])


def _stretch(query: BarQuery, count: int) -> int:
    """Return a time in which so many bars open, on all but the oddest calendars."""
    # Of intraday bars, trading fills no less than a tenth of the time (Shanghai: 4
    # hours on 5 days of 7, less holidays).
    factor = 12 if query.interval.intraday else 2
    stretch = count * query.interval.length_ns * factor + 15 * DAY_NS
    return min(stretch, _LONGEST_LOOK_BACK_NS)


def _check_fields(query: BarQuery) -> None:
    wrong = []
    start_ns, end_ns = query.start_ns, query.end_ns
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        wrong.append(
            Violation("start", "must be before end; the range is [start, end)")
        )
    for field, value in (("start", start_ns), ("end", end_ns)):
        if value is not None and not _EARLIEST_NS < value < _LATEST_NS:
            wrong.append(Violation(field, "is farther from now than any market data"))
    if query.limit < 0:
        wrong.append(Violation("limit", "must not be negative; 0 means no limit"))
    if wrong:
        raise InvalidQueryError(wrong)


def _check_count(count: int, most_bars: int, verb: str) -> None:
    if count > most_bars:
        raise InvalidQueryError(
            [
                Violation(
                    "limit",
                    f"this {verb} {count} bars and one answer holds at most "
                    f"{most_bars}; shorten the range, or use FetchBatch, which answers "
                    "in chunks",
                )
            ]
        )
