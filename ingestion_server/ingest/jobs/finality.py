"""Up to when bars are final: a bar that still forms is not worth a call of a job."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.interval import DAY_NS, MINUTE_NS, label_ends, labels
from ingestion_server.domain.query import BarQuery
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest.scope import SETTLING_NS, scope

_TAIL_NS: Final = 70 * DAY_NS
"""What is older is final, whatever its interval is and wherever it trades."""
_MOST_BARS: Final = 2**62


def final_until_ns(query: BarQuery, sessions: Sessions | None, *, now_ns: int) -> int:
    """
    Return the time before which all bars of a query with a start open that are final.

    It is the start, or before it, if none is.
    """
    end_ns = now_ns if query.end_ns is None else min(query.end_ns, now_ns)
    start_ns = end_ns if query.start_ns is None else query.start_ns
    if start_ns >= end_ns:
        return start_ns
    tail = msgspec.structs.replace(
        query, start_ns=max(start_ns, end_ns - _TAIL_NS), end_ns=end_ns, limit=0
    )
    known = scope(tail, sessions, now_ns=now_ns, most_bars=_MOST_BARS)
    if known.wanted is None or known.due is None or known.beyond:
        return min(_settled_ns(query, now_ns), end_ns)
    if len(known.due) < len(known.wanted):
        return int(known.wanted.opens_ns[len(known.due)])
    if not len(known.due):
        return min(known.span.end_ns, end_ns)
    last = label_ends(known.due.opens_ns[-1:], query.interval)
    # A day is over for the exchange before it is for the calendar.
    return int(last[0]) if query.end_ns is None else min(int(last[0]), query.end_ns)


def _settled_ns(query: BarQuery, now_ns: int) -> int:
    """Return before when all is final that may trade, where no calendar tells."""
    if query.interval.intraday:
        latest_ns = now_ns - SETTLING_NS - query.interval.length_ns
        return latest_ns - latest_ns % MINUTE_NS + MINUTE_NS
    # Sessions may end after the date has, as those of futures do.
    ended = np.array([now_ns - SETTLING_NS - DAY_NS], np.int64)
    return int(labels(ended, query.interval)[0])
