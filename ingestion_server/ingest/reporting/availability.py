"""Of the minutes in which an exchange was open, how many were good."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ingestion_server.domain.service_counts import MINUTE_NS
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ports.reporting import Downtime, Stint

Minutes = npt.NDArray[np.bool_]
"""One for each minute of a stretch of time."""


def open_minutes(sessions: Sessions, start_minute: int, end_minute: int) -> Minutes:
    """Return in which minutes of ``[start, end)`` the exchange was open throughout."""
    found = np.zeros(end_minute - start_minute, dtype=np.bool_)
    first = np.searchsorted(sessions.closes_ns, start_minute * MINUTE_NS)
    last = np.searchsorted(sessions.opens_ns, end_minute * MINUTE_NS)
    for place in range(int(first), int(last)):
        opens = -(-int(sessions.opens_ns[place]) // MINUTE_NS)
        closes = int(sessions.closes_ns[place]) // MINUTE_NS
        _mark(found, opens - start_minute, closes - start_minute, value=True)
        if sessions.break_starts_ns[place] >= 0:
            pauses = int(sessions.break_starts_ns[place]) // MINUTE_NS
            resumes = -(-int(sessions.break_ends_ns[place]) // MINUTE_NS)
            _mark(found, pauses - start_minute, resumes - start_minute, value=False)
    return found


def downtimes(
    stints: Iterable[Stint], start_ns: int, end_ns: int
) -> Sequence[Downtime]:
    """Return the stretches of ``[start, end)`` in which no server ran, oldest first."""
    return list(_downtimes(stints, start_ns, end_ns))


def up_minutes(
    downs: Iterable[Downtime], start_minute: int, end_minute: int
) -> Minutes:
    """Return in which minutes of ``[start, end)`` a server ran for half of the time."""
    down_ns = np.zeros(end_minute - start_minute, dtype=np.int64)
    for down in downs:
        begins, ends = down.start_ns, down.end_ns
        first, last = begins // MINUTE_NS, (ends - 1) // MINUTE_NS
        here = first - start_minute
        if first == last:
            down_ns[here] += ends - begins
            continue
        down_ns[here] += (first + 1) * MINUTE_NS - begins
        down_ns[here + 1 : last - start_minute] += MINUTE_NS
        down_ns[last - start_minute] += ends - last * MINUTE_NS
    up: Minutes = down_ns * 2 <= MINUTE_NS
    return up


def availability(
    market: Minutes | None,
    up: Minutes,
    bad: Iterable[tuple[int, int]],
    start_minute: int,
) -> float | None:
    """
    Return the share of good minutes among those in which the exchange was open.

    Args:
        market: when it was open; None = nobody knows.
        up: when a server ran.
        bad: minutes in which most calls failed: the first, and a bit for each.
        start_minute: the first of all.

    """
    if market is None or not market.any():
        return None
    good = up.copy()
    for first, bits in bad:
        for offset in range(bits.bit_length()):
            if bits >> offset & 1:
                good[first + offset - start_minute] = False
    return int(np.count_nonzero(good & market)) / int(np.count_nonzero(market))


def _downtimes(
    stints: Iterable[Stint], start_ns: int, end_ns: int
) -> Iterator[Downtime]:
    known_ns = start_ns
    for stint in sorted(stints, key=lambda each: each.started_ns):
        if stint.started_ns >= end_ns:
            break
        if known_ns < stint.started_ns:
            yield Downtime(known_ns, stint.started_ns)
        known_ns = max(known_ns, stint.until_ns)
    if known_ns < end_ns:
        yield Downtime(known_ns, end_ns)


def _mark(minutes: Minutes, first: int, last: int, *, value: bool) -> None:
    minutes[max(first, 0) : max(last, 0)] = value
