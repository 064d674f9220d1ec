"""Days and local midnights as integers: nanoseconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS

FIRST_DAY: Final = date(1999, 1, 1).toordinal() - date(1970, 1, 1).toordinal()
"""Number of the first day, counted from 1970-01-01, that has a price."""
LAST_DAY: Final = date(2041, 1, 1).toordinal() - date(1970, 1, 1).toordinal()
"""Number of the first day that has none any more."""


def label_ns(text: str) -> int:
    """Return ``YYYY-MM-DD`` as that date at 00:00 UTC."""
    return int(np.datetime64(text, "D").astype(np.int64)) * DAY_NS


def date_texts(labels_ns: Int64) -> list[str]:
    """Write labels as ``YYYY-MM-DD``."""
    texts: list[str] = np.datetime_as_string(
        (labels_ns // DAY_NS).astype("datetime64[D]")
    ).tolist()
    return texts


def time_texts(times_ns: Int64) -> list[str]:
    """Write times as ``YYYY-MM-DD HH:MM:SS``, taking them as they stand."""
    texts: list[str] = np.datetime_as_string(
        (times_ns // SECOND_NS).astype("datetime64[s]")
    ).tolist()
    return [text.replace("T", " ") for text in texts]


def midnights_ns(labels_ns: Int64, zone: str) -> Int64:
    """Return when each labelled date begins in the zone."""
    return _midnights(zone)[labels_ns // DAY_NS - FIRST_DAY]


def local_labels_ns(times_ns: Int64, zone: str) -> Int64:
    """Return the label of the local date of each time."""
    index = np.searchsorted(_midnights(zone), times_ns, side="right") - 1
    return (index + FIRST_DAY) * DAY_NS


def local_label_ns(time_ns: int, zone: str) -> int:
    """Return the label of the local date of one time."""
    return int(local_labels_ns(np.array([time_ns]), zone)[0])


def local_date(time_ns: int, zone: str) -> str:
    """Return the local date of one time as ``YYYY-MM-DD``."""
    return _local(time_ns, zone).date().isoformat()


def month_labels_ns(labels_ns: Int64, months: int = 1) -> Int64:
    """Return the first day of each label's month, or block of so many months."""
    month = (labels_ns // DAY_NS).astype("datetime64[D]").astype("datetime64[M]")
    first = month.astype(np.int64) // months * months
    return (
        first.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) * DAY_NS
    )


def week_labels_ns(labels_ns: Int64) -> Int64:
    """Return the Monday of each label's week."""
    day = labels_ns // DAY_NS
    # 1970-01-01 was a Thursday, so day 4 was the first Monday.
    return (day - (day - 4) % 7) * DAY_NS


def zone_name(time_ns: int, zone: str) -> str:
    """Return the zone's abbreviation at a time, for example ``EDT``."""
    return _local(time_ns, zone).tzname() or zone


def zone_offset_s(time_ns: int, zone: str) -> int:
    """Return the zone's seconds east of UTC at a time."""
    offset = _local(time_ns, zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def load_zones(names: Iterable[str]) -> None:
    """Read time zones from disk, which an event loop must not do."""
    for name in names:
        _zone(name)


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _local(time_ns: int, zone: str) -> datetime:
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).astimezone(_zone(zone))


@lru_cache(maxsize=8)
def _midnights(zone: str) -> Int64:
    # One table per zone (15,000 conversions, some 20 ms) makes the rest vectorised.
    where = _zone(zone)
    epoch = date(1970, 1, 1).toordinal()
    return (
        np.array(
            [
                int(
                    datetime.combine(
                        date.fromordinal(epoch + day), datetime.min.time(), where
                    ).timestamp()
                )
                for day in range(FIRST_DAY, LAST_DAY)
            ],
            dtype=np.int64,
        )
        * SECOND_NS
    )
