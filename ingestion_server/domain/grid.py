"""
Which bars should exist.

A grid is judged from the sessions of an exchange, or from the week of a market that
has none (FX trades from Sunday to Friday, 17:00 New York; crypto always).
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import (
    DAY_NS,
    HOUR_NS,
    Interval,
    Times,
    among,
    label_ends,
    labels,
)
from ingestion_server.domain.query import Span
from ingestion_server.domain.sessions import Sessions
from ingestion_server.domain.zones import local_from_utc, utc_from_local

_FX_ZONE: Final = "America/New_York"
_FX_TURN_HOUR: Final = 17
_FX_MORNING_ZONE: Final = "Europe/London"
_MONDAY_TO_FRIDAY: Final = 5
_DECEMBER: Final = 12
_CHRISTMAS: Final = 25
_LONGEST_GRID_NS: Final = 200 * 366 * DAY_NS
_MOST_BARS: Final = 4_000_000
"""More bars within days than anybody asks for at once, and 64 MB."""


class Grid(msgspec.Struct, frozen=True, eq=False):
    """Hold the bars that should exist, ascending: labels and when each is over."""

    opens_ns: Times
    closes_ns: Times

    def __len__(self) -> int:
        return len(self.opens_ns)

    def first(self, count: int) -> Grid:
        """Return the first so many."""
        return Grid(self.opens_ns[:count], self.closes_ns[:count])

    def last(self, count: int) -> Grid:
        """Return the last so many."""
        start = max(0, len(self) - count)
        return Grid(self.opens_ns[start:], self.closes_ns[start:])

    def since(self, start_ns: int) -> Grid:
        """Return those that open at a time or later."""
        later = self.opens_ns >= start_ns
        return Grid(self.opens_ns[later], self.closes_ns[later])

    def due(self, now_ns: int) -> Grid:
        """Return those that are over by ``now_ns``."""
        over = self.closes_ns <= now_ns
        if over.all():
            return self
        return Grid(self.opens_ns[over], self.closes_ns[over])

    def within(self, spans: list[Span]) -> Grid:
        """Return those that open within one of the spans."""
        inside = np.zeros(len(self), np.bool_)
        for span in spans:
            inside |= (self.opens_ns >= span.start_ns) & (self.opens_ns < span.end_ns)
        if inside.all():
            return self
        return Grid(self.opens_ns[inside], self.closes_ns[inside])


def grid(
    asset_class: AssetClass,
    interval: Interval,
    span: Span,
    sessions: Sessions | None,
) -> Grid | None:
    """
    Return the bars whose labels lie in the span, or None where nobody can know.

    Regular hours only: when a trade outside of them should have happened, nobody
    knows. Of days, weeks and months a span may begin before the calendar does; then
    the bars that the calendar knows are returned, if there are any. Of shorter
    intervals, more than four million bars are not listed either.
    """
    if span.end_ns - span.start_ns > _LONGEST_GRID_NS:
        span = Span(span.end_ns - _LONGEST_GRID_NS, span.end_ns)
    match asset_class:
        case AssetClass.CRYPTO | AssetClass.FX if _too_many(interval, span):
            return None
        case AssetClass.CRYPTO:
            return _round_the_clock(interval, span)
        case AssetClass.FX:
            return _currency_week(interval, span)
        case AssetClass.FUTURE if interval.intraday:
            return None
        case _:
            return None if sessions is None else _listed(interval, span, sessions)


def stretches(sessions: Sessions) -> tuple[Times, Times]:
    """
    Return when trading starts and stops, midday breaks counted.

    After a break, bars are anchored anew: Tokyo's hours begin at 9:00, 10:00, 11:00,
    12:30, 13:30 and so on.
    """
    pause, resume = sessions.break_starts_ns, sessions.break_ends_ns
    broken = pause >= 0
    if not broken.any():
        return sessions.opens_ns, sessions.closes_ns
    starts = np.concatenate([sessions.opens_ns, resume[broken]])
    stops = np.concatenate(
        [np.where(broken, pause, sessions.closes_ns), sessions.closes_ns[broken]]
    )
    by_time = np.argsort(starts)
    return starts[by_time], stops[by_time]


def missing_spans(wanted: Grid, have_ns: Times, interval: Interval) -> list[Span]:
    """Return the stretches of the grid that have no bar, each as long as can be."""
    there = among(wanted.opens_ns, have_ns)
    if there.all():
        return []
    gone = ~there
    edges = np.flatnonzero(np.diff(np.concatenate(([0], gone.view(np.int8), [0]))))
    ends = label_ends(wanted.opens_ns, interval)
    return [
        Span(int(wanted.opens_ns[first]), int(ends[stop - 1]))
        for first, stop in zip(edges[::2], edges[1::2], strict=True)
    ]


def _too_many(interval: Interval, span: Span) -> bool:
    length = span.end_ns - span.start_ns
    return interval.intraday and length > _MOST_BARS * interval.length_ns


def _listed(interval: Interval, span: Span, sessions: Sessions) -> Grid | None:
    if interval.intraday:
        return _listed_intraday(interval, span, sessions)
    clipped = span.start_ns < sessions.covers_from_ns
    if clipped:
        # A week or month of which the calendar knows only a part is left out.
        start_ns = sessions.covers_from_ns
        span = Span(start_ns, max(start_ns, span.end_ns))
    first, stop = _label_reach(interval, span)
    if stop > sessions.covers_until_ns:
        return None
    low, high = np.searchsorted(sessions.labels_ns, (first, stop))
    known = _grouped(
        sessions.labels_ns[low:high], sessions.closes_ns[low:high], interval, span
    )
    return None if clipped and not len(known) else known


def _listed_intraday(interval: Interval, span: Span, sessions: Sessions) -> Grid | None:
    # The session of a date may begin on the evening before in UTC, or end on the day
    # after.
    if (
        span.start_ns < sessions.covers_from_ns
        or span.end_ns > sessions.covers_until_ns + DAY_NS
    ):
        return None
    opens, closes = stretches(sessions)
    low = int(np.searchsorted(closes, span.start_ns, side="right"))
    high = int(np.searchsorted(opens, span.end_ns))
    opens, closes = opens[low:high], closes[low:high]
    step = interval.length_ns
    counts = -(-(closes - opens) // step)
    if not len(counts):
        return Grid(opens, closes)
    if int(counts.sum()) > _MOST_BARS:
        return None
    session = np.repeat(np.arange(len(counts)), counts)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    bar_opens = opens[session] + (np.arange(len(session)) - starts[session]) * step
    bar_closes = np.minimum(bar_opens + step, closes[session])
    inside = (bar_opens >= span.start_ns) & (bar_opens < span.end_ns)
    return Grid(bar_opens[inside], bar_closes[inside])


def _round_the_clock(interval: Interval, span: Span) -> Grid:
    if interval.intraday:
        step = interval.length_ns
        opens = np.arange(
            -(-span.start_ns // step) * step, span.end_ns, step, dtype=np.int64
        )
        return Grid(opens, opens + step)
    first, stop = _label_reach(interval, span)
    days = np.arange(first, stop, DAY_NS, dtype=np.int64)
    return _grouped(days, days + DAY_NS, interval, span)


def _currency_week(interval: Interval, span: Span) -> Grid:
    if interval.intraday:
        step = interval.length_ns
        first = -(-span.start_ns // step) * step
        opens = np.arange(first, span.end_ns, step, dtype=np.int64)
        days = np.arange(
            span.start_ns // DAY_NS * DAY_NS - DAY_NS,
            span.end_ns + 2 * DAY_NS,
            DAY_NS,
            dtype=np.int64,
        )
        turns = utc_from_local(days + _FX_TURN_HOUR * HOUR_NS, _FX_ZONE)
        # The trading day that ends at a turn belongs to that turn's date.
        ends = np.searchsorted(turns, opens, side="right")
        # Some vendors begin at the turn of Sunday, others on Monday in London.
        begun = _trading_days(local_from_utc(opens, _FX_MORNING_ZONE))
        due = begun & _trading_days(days)[ends]
        return Grid(opens[due], opens[due] + step)
    first, stop = _label_reach(interval, span)
    days = np.arange(first, stop, DAY_NS, dtype=np.int64)
    days = days[_trading_days(days)]
    # Vendors end an FX day at different hours, all by the New York turn.
    closes = utc_from_local(days + _FX_TURN_HOUR * HOUR_NS, _FX_ZONE)
    return _grouped(days, np.maximum(closes, days + DAY_NS), interval, span)


def _trading_days(days_ns: Times) -> np.typing.NDArray[np.bool_]:
    """Tell Mondays to Fridays, New Year's Day and Christmas excepted."""
    days = days_ns // DAY_NS
    weekday = (days + 3) % 7
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    month = months.astype(np.int64) % 12 + 1
    day = (dates - months).astype(np.int64) + 1
    new_year = (month == 1) & (day == 1)
    christmas = (month == _DECEMBER) & (day == _CHRISTMAS)
    return np.asarray((weekday < _MONDAY_TO_FRIDAY) & ~new_year & ~christmas)


def _label_reach(interval: Interval, span: Span) -> tuple[int, int]:
    """Return the days that bars with labels in the span are made of."""
    if interval is Interval.DAY_1:
        first = -(-span.start_ns // DAY_NS) * DAY_NS
        return first, max(-(-span.end_ns // DAY_NS) * DAY_NS, first)
    edges = np.array([span.start_ns, span.end_ns - 1], np.int64)
    edge_labels = labels(edges, interval)
    ends = label_ends(edge_labels, interval)
    first = edge_labels[0] if edge_labels[0] >= span.start_ns else ends[0]
    return int(first), int(max(ends[1], first))


def _grouped(days: Times, closes: Times, interval: Interval, span: Span) -> Grid:
    """Sum days up to bars: a bar is over when its last day is."""
    if interval is not Interval.DAY_1:
        bar_labels = labels(days, interval)
        days, firsts = np.unique(bar_labels, return_index=True)
        if len(days):
            closes = np.maximum.reduceat(closes, firsts)
    low, high = days.searchsorted((span.start_ns, span.end_ns))
    return Grid(days[low:high], closes[low:high])
