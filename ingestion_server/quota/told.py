"""
What vendors tell about quota in the headers of an answer.

Which headers those are is data of the budget. What cannot be read is not believed:
a header only ever makes us more careful.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.budget import Budget, Window
from ingestion_server.quota.line import seconds_of

_EPOCH_SECONDS: Final = 1e9
_EPOCH_MILLISECONDS: Final = 1e12
"""Larger numbers are points in time, smaller ones are seconds from now."""
_MOST: Final = 10**12
"""No vendor counts so far, and what is much larger could not be written down."""


class Reading(NamedTuple):
    """Be what was told about one window."""

    window: str
    limit: int | None
    remaining: int | None
    resets_in_seconds: float | None
    """Never more than the window is long."""


def listens(budget: Budget) -> bool:
    """Return whether answers may tell anything."""
    return bool(budget.used_header) or any(
        window.limit_header or window.remaining_header for window in budget.windows
    )


def readings(budget: Budget, headers: Mapping[str, str], wall_ns: int) -> list[Reading]:
    """Return what an answer tells about the windows; nothing about silent ones."""
    found = [_reading(window, headers, wall_ns) for window in budget.windows]
    return [
        reading
        for reading in found
        if reading.limit is not None or reading.remaining is not None
    ]


def units(budget: Budget, headers: Mapping[str, str]) -> int | None:
    """Return how many units a call cost, if the answer tells."""
    return _whole(headers, budget.used_header)


def _reading(window: Window, headers: Mapping[str, str], wall_ns: int) -> Reading:
    return Reading(
        window.name,
        _whole(headers, window.limit_header),
        _whole(headers, window.remaining_header),
        _resets_in(window, headers, wall_ns),
    )


def _resets_in(
    window: Window, headers: Mapping[str, str], wall_ns: int
) -> float | None:
    told = _number(headers, window.reset_header)
    if told is None:
        return None
    if told >= _EPOCH_MILLISECONDS:
        told /= 1000.0
    if told >= _EPOCH_SECONDS:
        told -= wall_ns / SECOND_NS
    return min(max(told, 0.0), seconds_of(window))


def _whole(headers: Mapping[str, str], name: str) -> int | None:
    told = _number(headers, name)
    return math.floor(told) if told is not None and 0 <= told <= _MOST else None


def _number(headers: Mapping[str, str], name: str) -> float | None:
    text = headers.get(name, "") if name else ""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
