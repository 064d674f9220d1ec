"""When what is left runs out, if use goes on like this: functions only."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import ceil
from typing import Final, NamedTuple

from ingestion_server.domain.interval import DAY_NS, HOUR_NS

FARTHEST_NS: Final = 400 * DAY_NS
"""How far to look where nothing ends a window; none is longer than a year."""

_HOUR_SECONDS: Final = 3600
_DAY_HOURS: Final = 24
_STEADY: Final = (1.0,) * _DAY_HOURS
_LEAST_SCALE: Final = 0.2
_MOST_SCALE: Final = 5.0
"""
How far the present rate may bend the profile.

One quiet hour makes no quiet month, and one burst no busy one.
"""
_SHORT_SECONDS: Final = 600.0
_MEDIUM_SECONDS: Final = 6 * 3600.0


def half_life_seconds(window_seconds: float) -> float:
    """Return how fast a rate should forget to tell what becomes of a window."""
    if window_seconds <= _SHORT_SECONDS:
        return 60.0
    if window_seconds <= _MEDIUM_SECONDS:
        return 300.0
    return 3600.0


def expected(
    profile: Sequence[float] | None,
    rate_per_second: float,
    now_ns: int,
    until_ns: int,
) -> float:
    """
    Return how much will be used from now on until then.

    With a profile of the day's 24 hours (UTC), each hour is as usual, times what the
    present rate is of the usual one. Without, the present rate goes on.
    """
    if until_ns <= now_ns:
        return 0.0
    day = _day(profile, now_ns)
    days, rest_ns = divmod(until_ns - now_ns, DAY_NS)
    end = bisect_right(day.offsets_ns, rest_ns)
    start_ns, end_ns = day.offsets_ns[end - 1 : end + 1]
    before, after = day.used[end - 1 : end + 1]
    part = (rest_ns - start_ns) / (end_ns - start_ns)
    used = days * day.used[-1] + before + part * (after - before)
    return used * _scale(profile, rate_per_second, now_ns)


def exhausts_at_ns(
    remaining: int,
    profile: Sequence[float] | None,
    rate_per_second: float,
    now_ns: int,
    until_ns: int | None,
) -> int | None:
    """
    Return the first moment at which what is expected reaches what remains.

    None if that is not before ``until_ns``, or within 400 days if that is None too.
    """
    if remaining <= 0:
        return now_ns
    ends_ns = now_ns + FARTHEST_NS if until_ns is None else until_ns
    scale = _scale(profile, rate_per_second, now_ns)
    day = _day(profile, now_ns)
    a_day = day.used[-1]
    if not scale * a_day > 0:
        return None
    # Only this depends on the rate and on what remains, and from here on no rounding
    # can turn the order of two of them round.
    needed = remaining / scale
    if needed > a_day * (max(ends_ns - now_ns, 0) // DAY_NS + 1):
        return None
    days, rest = divmod(needed, a_day)
    if rest == 0 and days:
        # It is reached in the last of these days, whose end may be idle.
        days, rest = days - 1, a_day
    end = bisect_left(day.used, rest, 1)
    start_ns, end_ns = day.offsets_ns[end - 1 : end + 1]
    before, after = day.used[end - 1 : end + 1]
    part = (rest - before) / (after - before)
    at_ns = now_ns + int(days) * DAY_NS + start_ns + ceil(part * (end_ns - start_ns))
    return at_ns if at_ns < ends_ns else None


class _Day(NamedTuple):
    """Tell what is used in the next 24 hours, before it is scaled; linear between."""

    offsets_ns: Sequence[int]
    """Now, each full hour, and this time tomorrow; from now."""
    used: Sequence[float]
    """From now until each of these."""


def _day(profile: Sequence[float] | None, now_ns: int) -> _Day:
    hourly = _STEADY if profile is None else profile
    hour, into_ns = divmod(now_ns, HOUR_NS)
    offsets_ns, used = [0], [0.0]
    # The hour it is now comes in two parts, the second of them tomorrow.
    for ahead in range(_DAY_HOURS + 1):
        end_ns = min((ahead + 1) * HOUR_NS - into_ns, DAY_NS)
        share = (end_ns - offsets_ns[-1]) / HOUR_NS
        used.append(used[-1] + share * hourly[(hour + ahead) % _DAY_HOURS])
        offsets_ns.append(end_ns)
    return _Day(offsets_ns, used)


def _scale(
    profile: Sequence[float] | None, rate_per_second: float, now_ns: int
) -> float:
    per_hour = rate_per_second * _HOUR_SECONDS
    if profile is None:
        return per_hour
    usual = profile[now_ns // HOUR_NS % _DAY_HOURS]
    if not usual > 0:
        # Whatever the rate is, it says nothing about the hours that are usually busy.
        return 1.0
    return min(max(per_hour / usual, _LEAST_SCALE), _MOST_SCALE)
