"""Where a long stretch of time is cut: where a day, a month or a year begins."""

from __future__ import annotations

from enum import Enum
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from ingestion_server.domain.interval import (
    DAY_NS,
    WEEK_NS,
    Times,
    day_labels,
    week_labels,
)
from ingestion_server.domain.query import Span
from ingestion_server.domain.zones import local_from_utc, utc_from_local

_QUARTER_MONTHS: Final = 3


class Scale(Enum):
    """Name how long the pieces are, the longest first."""

    WHOLE = "whole"
    YEAR = "year"
    QUARTER = "quarter"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"


def cut(span: Span, scale: Scale, zone: str) -> list[Span]:
    """Return the pieces of a span, ascending, cut where something begins in a zone."""
    if span.start_ns >= span.end_ns:
        return []
    walls = np.array([span.start_ns, span.end_ns - 1], np.int64)
    turns = utc_from_local(_turns(local_from_utc(walls, zone), scale), zone)
    inside = turns[(turns > span.start_ns) & (turns < span.end_ns)]
    edges = [span.start_ns, *inside.tolist(), span.end_ns]
    return [Span(start_ns, end_ns) for start_ns, end_ns in pairwise(edges)]


def _turns(walls_ns: Times, scale: Scale) -> Times:
    """Return when something begins by the wall clock, near a stretch or in it."""
    match scale:
        case Scale.WHOLE:
            return np.empty(0, np.int64)
        case Scale.DAY:
            first, last = day_labels(walls_ns)
            return np.arange(first, last + DAY_NS, DAY_NS, dtype=np.int64)
        case Scale.WEEK:
            first, last = week_labels(walls_ns)
            return np.arange(first, last + WEEK_NS, WEEK_NS, dtype=np.int64)
        case Scale.YEAR:
            return _starts(walls_ns, "Y")
        case Scale.MONTH:
            return _starts(walls_ns, "M")
        case Scale.QUARTER:
            months = _starts(walls_ns, "M")
            number = months.astype("datetime64[ns]").astype("datetime64[M]")
            begins = np.flatnonzero(number.astype(np.int64) % _QUARTER_MONTHS == 0)
            return months.take(begins)


def _starts(walls_ns: Times, unit: Literal["Y", "M"]) -> Times:
    """Return when years or months begin, from one time to another."""
    first, last = walls_ns.astype("datetime64[ns]").astype(f"datetime64[{unit}]")
    starts = np.arange(first, last + np.timedelta64(1, unit))
    return starts.astype("datetime64[ns]").astype(np.int64)
