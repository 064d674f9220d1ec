"""Small hand-made series, sessions and the like, for tests of several rooms."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.grid import Grid
from ingestion_server.domain.interval import DAY_NS, SECOND_NS
from ingestion_server.domain.query import Span
from ingestion_server.domain.sessions import Sessions

NEW_YORK = "America/New_York"


def ns(text: str, zone: str = "UTC") -> int:
    """Give the nanoseconds of an ISO date or time, on the wall clock of a zone."""
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return round(moment.timestamp()) * SECOND_NS


def texts(times_ns: Sequence[int] | np.ndarray, zone: str = "UTC") -> list[str]:
    """Spell times as a wall clock would, to the minute."""
    return [
        datetime.fromtimestamp(int(time) // SECOND_NS, ZoneInfo(zone)).strftime(
            "%Y-%m-%d %H:%M"
        )
        for time in times_ns
    ]


def dates(times_ns: Sequence[int] | np.ndarray) -> list[str]:
    """Spell labels of a day or more; anything but midnight is spelled out."""
    return [text.removesuffix(" 00:00") for text in texts(times_ns)]


def span(start: str, end: str, zone: str = "UTC") -> Span:
    """Give ``[start, end)``."""
    return Span(ns(start, zone), ns(end, zone))


def times(*moments: str, zone: str = "UTC") -> np.ndarray:
    """Give times as a column."""
    return np.array([ns(moment, zone) for moment in moments], np.int64)


def sessions(  # noqa: PLR0913 - each has its default
    first: str,
    last: str,
    *,
    zone: str = NEW_YORK,
    hours: tuple[str, str] = ("09:30", "16:00"),
    pause: tuple[str, str] | None = None,
    closed: Sequence[str] = (),
    half: Sequence[str] = (),
    half_close: str = "13:00",
    covers: tuple[str, str] | None = None,
) -> Sessions:
    """Make the sessions of all Mondays to Fridays from the first date to the last."""
    day, end = date.fromisoformat(first), date.fromisoformat(last)
    rows = []
    while day <= end:
        text = day.isoformat()
        if day.weekday() < 5 and text not in closed:
            rows.append((text, half_close if text in half else hours[1]))
        day += timedelta(days=1)
    pauses = [pause if pause and close > pause[0] else None for _, close in rows]
    return Sessions(
        calendar="TEST",
        zone=zone,
        labels_ns=times(*(text for text, _ in rows)),
        opens_ns=times(*(f"{text} {hours[0]}" for text, _ in rows), zone=zone),
        closes_ns=times(*(f"{text} {close}" for text, close in rows), zone=zone),
        break_starts_ns=_pauses(rows, [p and p[0] for p in pauses], zone),
        break_ends_ns=_pauses(rows, [p and p[1] for p in pauses], zone),
        covers_from_ns=ns(covers[0] if covers else first),
        covers_until_ns=ns(covers[1]) if covers else ns(last) + DAY_NS,
    )


def _pauses(
    rows: Sequence[tuple[str, str]], hours: Sequence[str | None], zone: str
) -> np.ndarray:
    return np.array(
        [
            -1 if hour is None else ns(f"{text} {hour}", zone)
            for (text, _), hour in zip(rows, hours, strict=True)
        ],
        np.int64,
    )


def bars(
    opens_ns: Sequence[int] | np.ndarray,
    close: Sequence[float] | float = 100.0,
    *,
    volume: Sequence[float] | float | None = 1000.0,
) -> BarSeries:
    """Make bars that rise from a point below their close."""
    opens = np.asarray(opens_ns, np.int64)
    closes = np.broadcast_to(np.asarray(close, np.float64), opens.shape).copy()
    return BarSeries(
        opens,
        closes - 1,
        closes + 1,
        closes - 2,
        closes,
        None
        if volume is None
        else np.broadcast_to(np.asarray(volume, np.float64), opens.shape).copy(),
    )


def days(first: str, count: int, close: float = 100.0) -> BarSeries:
    """Make bars of so many days in a row."""
    return bars(ns(first) + np.arange(count) * DAY_NS, close)


def grid_of(opens_ns: Sequence[int] | np.ndarray, length_ns: int = DAY_NS) -> Grid:
    """Make a grid of bars of one length."""
    opens = np.asarray(opens_ns, np.int64)
    return Grid(opens, opens + length_ns)
