"""Conversions between UTC and the wall clock of a named zone, vectorised."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from ingestion_server.domain.interval import SECOND_NS, Times

_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2100


def local_from_utc(times_ns: Times, zone: str) -> Times:
    """Return the wall clock's reading, as if it were UTC."""
    return times_ns + _offsets(times_ns, zone)


def utc_from_local(local_ns: Times, zone: str) -> Times:
    """
    Return UTC for readings of a wall clock.

    Of a reading that occurs twice (autumn) the first is meant; one that never occurs
    (spring) is read with the offset before the change.
    """
    starts, offsets = _transitions(zone)
    # A reading belongs to the period before a change as long as that period's own
    # wall clock has not passed the change.
    ends_local = starts[1:] + offsets[:-1]
    return local_ns - offsets[np.searchsorted(ends_local, local_ns, side="right")]


def _offsets(times_ns: Times, zone: str) -> Times:
    starts, offsets = _transitions(zone)
    return offsets[np.searchsorted(starts[1:], times_ns, side="right")]


@lru_cache(maxsize=64)
def _transitions(zone: str) -> tuple[Times, Times]:
    """Return when each offset starts to hold and the offset, in nanoseconds."""
    zone_info = ZoneInfo(zone)

    def offset(seconds: int) -> int:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        passed = moment.astimezone(zone_info).utcoffset() or timedelta()
        return int(passed.total_seconds())

    first = int(datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    last = int(datetime(_LAST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    # No zone changed twice within ten days since 1900 except in ways that bars,
    # which have times of trading, cannot see.
    step = 10 * 86_400
    starts, offsets = [first], [offset(first)]
    for right in range(first + step, last + step, step):
        if offset(right) != offsets[-1]:
            low, high = right - step, right
            while high - low > 1:
                middle = (low + high) // 2
                if offset(middle) == offsets[-1]:
                    low = middle
                else:
                    high = middle
            starts.append(high)
            offsets.append(offset(high))
    return (
        np.array(starts, np.int64) * SECOND_NS,
        np.array(offsets, np.int64) * SECOND_NS,
    )
