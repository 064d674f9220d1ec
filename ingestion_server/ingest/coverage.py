"""Which stretches of time are known once a vendor has answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.grid import missing_spans
from ingestion_server.domain.interval import (
    DAY_NS,
    Interval,
    Times,
    label_ends,
    labels,
)
from ingestion_server.domain.query import BarQuery, Span
from ingestion_server.domain.spans import joined, subtracted
from ingestion_server.ingest.collected import Piece
from ingestion_server.ingest.scope import SETTLING_NS, Scope

_LONGEST_PAUSE_NS: Final = 7 * DAY_NS
"""Where no calendar is known, a stretch without bars that is longer is doubtful."""


class Coverage(msgspec.Struct, frozen=True):
    """Hold which stretches are known by an answer."""

    spans: Sequence[Span]
    """What need not be asked again."""
    absent: Sequence[Span]
    """Parts of it where bars were due, or may have been, and none came."""


def coverage(
    query: BarQuery, scope: Scope, spans: Sequence[Span], piece: Piece, *, whole: bool
) -> Coverage:
    """
    Return what is known once a vendor has answered for spans.

    Without ``whole``, not everything came; then nothing is known but the bars that did.
    So it is outside of the scope, where nobody has thought about which bars are due.
    """
    came = _runs(piece.series.open_time_ns, query.interval)
    if not whole:
        return Coverage(came, ())
    inside = subtracted(spans, subtracted(spans, [scope.span]))
    covered = joined([*inside, *subtracted(came, [scope.span])])
    due = scope.due
    if due is None:
        pauses = subtracted(inside, came)
        longest = _LONGEST_PAUSE_NS if _pauses(query.interval) else 0
        return Coverage(
            covered, [p for p in pauses if not came or p.end_ns - p.start_ns > longest]
        )
    asked = due.within(inside)
    if piece.first_trade_ns is not None:
        asked = asked.since(_label(piece.first_trade_ns, query))
    missing = missing_spans(asked, piece.series.open_time_ns, query.interval)
    if missing and scope.beyond:
        # Who lacks a bar that is due may lack others, of which nobody can tell.
        missing = subtracted(inside, came)
    return Coverage(covered, missing)


def settled_until_ns(query: BarQuery, scope: Scope, received_at_ns: int) -> int:
    """Return the time before which bars open that were final when they came."""
    edge_ns = received_at_ns - SETTLING_NS
    interval = query.interval
    wanted = scope.wanted
    if interval.intraday:
        rough = edge_ns - interval.length_ns + 1
    elif wanted is None:
        # Sessions may end after the date has, as those of futures do.
        rough = _label(edge_ns - DAY_NS, query)
    else:
        rough = _label(edge_ns, query)
    if wanted is None or not len(wanted):
        return min(rough, scope.span.end_ns)
    forming = wanted.opens_ns[wanted.closes_ns > edge_ns]
    until = int(forming[0]) if len(forming) else scope.span.end_ns
    if scope.beyond or len(forming) == len(wanted):
        # What lies before the bars that were thought about may be forming too.
        return min(until, rough)
    return until


def _pauses(interval: Interval) -> bool:
    """Tell whether there are times without bars, such as nights and weekends."""
    return interval.intraday or interval is Interval.DAY_1


def _runs(times_ns: Times, interval: Interval) -> list[Span]:
    """Return the stretches of bars that follow each other without a pause."""
    if not len(times_ns):
        return []
    ends = label_ends(times_ns, interval)
    breaks = np.flatnonzero(times_ns[1:] > ends[:-1])
    starts = times_ns[np.concatenate(([0], breaks + 1))]
    stops = ends[np.concatenate((breaks, [len(ends) - 1]))]
    return [Span(*pair) for pair in zip(starts.tolist(), stops.tolist(), strict=True)]


def _label(time_ns: int, query: BarQuery) -> int:
    if query.interval.intraday:
        return time_ns
    return int(labels(np.array([time_ns], np.int64), query.interval)[0])
