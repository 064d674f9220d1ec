"""
Conversions between UTC and the wall clock of a named zone, vectorised.

Zones are known from 1900 to 2100; outside of that their first and last offset hold.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from ingestion_server.domain.interval import SECOND_NS, Times

_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2100
_QUARTER_HOUR: Final = 900
_STEP: Final = 10 * 86_400
"""Since 1900 no zone has changed its offset and taken that back within ten days."""


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
    # A reading belongs to the period before a change until the change has passed on
    # the wall clocks of both periods.
    ends_local = starts[1:] + np.maximum(offsets[:-1], offsets[1:])
    return local_ns - offsets[np.searchsorted(ends_local, local_ns, side="right")]


def _offsets(times_ns: Times, zone: str) -> Times:
    starts, offsets = _transitions(zone)
    return offsets[np.searchsorted(starts[1:], times_ns, side="right")]


@lru_cache(maxsize=64)
def _transitions(zone: str) -> tuple[Times, Times]:
    """Return when each offset starts to hold and the offset, in nanoseconds."""
    zone_info = ZoneInfo(zone)

    def offset(seconds: int) -> int:
        passed = datetime.fromtimestamp(seconds, zone_info).utcoffset()
        return 0 if passed is None else passed.days * 86_400 + passed.seconds

    def change(low: int, high: int) -> int:
        """Return when the offset at ``low`` ceased to hold, by ``high``."""
        old = offset(low)
        # Nearly all changes are on the quarter of an hour: look there first.
        for unit in (_QUARTER_HOUR, 1):
            if offset(high - 1) == old:
                break
            while high - low > unit:
                middle = low + max((high - low) // unit // 2, 1) * unit
                if offset(middle) == old:
                    low = middle
                else:
                    high = middle
        return high

    first = int(datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    last = int(datetime(_LAST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    starts, offsets = [first], [offset(first)]
    for left in range(first, last, _STEP):
        right = left + _STEP
        while offset(right) != offsets[-1]:
            starts.append(change(max(left, starts[-1]), right))
            offsets.append(offset(starts[-1]))
    return (
        np.array(starts, np.int64) * SECOND_NS,
        np.array(offsets, np.int64) * SECOND_NS,
    )
