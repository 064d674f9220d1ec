"""
A strict vendor: from what arrived and when, it tells every overrun of every window.

It is written from what the windows mean and shares nothing with the quota that it
judges. Times are nanoseconds UTC, and all arithmetic is on whole numbers: an overrun
of one nanosecond is one, and none is ever made up by rounding.

What arrived has arrived: a call that is one too many counts like the others, for a
strict vendor lets nobody pay off an overrun by another. One overrun may therefore be
told at several times.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import groupby
from operator import attrgetter
from typing import Literal, TypeAlias, assert_never
from zoneinfo import ZoneInfo

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Counts: TypeAlias = Literal["calls", "units"]
Period: TypeAlias = Literal["minute", "hour", "day", "month"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """Allow at most ``limit`` in every stretch ``(t - span_ns, t]``."""

    name: str
    limit: int
    span_ns: int
    counts: Counts = "calls"

    def __post_init__(self) -> None:
        """Refuse what no vendor can mean."""
        _at_least_one(self.limit, self.span_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """
    Allow at most ``limit`` in each minute, hour, day or month.

    Minutes and hours are those of UTC, days and months those of the zone: two times
    are in the same day if a clock on the wall there shows the same date.
    """

    name: str
    limit: int
    period: Period
    zone: str = "UTC"
    counts: Counts = "calls"

    def __post_init__(self) -> None:
        """Refuse what no vendor can mean."""
        _at_least_one(self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Hold ``limit`` tokens, full at first, refilled evenly within ``refill_ns``."""

    name: str
    limit: int
    refill_ns: int
    counts: Counts = "calls"

    def __post_init__(self) -> None:
        """Refuse what no vendor can mean."""
        _at_least_one(self.limit, self.refill_ns)


Limit: TypeAlias = Rolling | Fixed | Bucket


@dataclass(frozen=True, slots=True)
class Arrival:
    """Hold what arrived at once."""

    at_ns: int
    calls: int
    units: int


@dataclass(frozen=True, slots=True)
class Violation:
    """Tell that at a time there was more than a window allows."""

    window: str
    at_ns: int
    over: int
    """How much too much; parts of a bucket's token count as a whole one."""


class Judge:
    """Be told of each arrival, in any order, and tell what was too much."""

    def __init__(self, windows: Iterable[Limit]) -> None:
        """Watch over these windows at once."""
        self.windows: Sequence[Limit] = tuple(windows)
        self.arrivals: list[Arrival] = []

    def arrive(self, true_ns: int, calls: int = 1, units: int = 1) -> None:
        """Remember what arrived at the vendor, by the vendor's own clock."""
        if calls < 0 or units < 0:
            raise ValueError("an arrival cannot give anything back")
        self.arrivals.append(Arrival(true_ns, calls, units))

    def violations(self) -> list[Violation]:
        """Return what was too much so far, window by window, oldest first."""
        ordered = sorted(self.arrivals, key=attrgetter("at_ns"))
        return [
            Violation(window.name, at_ns, over)
            for window in self.windows
            for at_ns, over in _excesses(window, _weighed(ordered, window.counts))
        ]

    def utilisation(self, from_ns: int, until_ns: int) -> Fraction:
        """
        Return how much of what was allowed in ``[from_ns, until_ns)`` was used.

        That is what arrived, divided by the most that could have arrived if nothing
        had before: of the tightest window, which is the one that was used most. As
        windows that overlap may allow less together than each alone, a perfect
        ledger can stay below one; above one there is a violation.
        """
        if not self.windows:
            raise ValueError("without windows there is no limit to use up")
        if until_ns <= from_ns:
            raise ValueError("the stretch is empty")
        within = [one for one in self.arrivals if from_ns <= one.at_ns < until_ns]
        return max(
            Fraction(
                sum(weight for _, weight in _weighed(within, window.counts)),
                allowed(window, from_ns, until_ns),
            )
            for window in self.windows
        )


def allowed(window: Limit, from_ns: int, until_ns: int) -> int:
    """Return the most that may arrive in ``[from_ns, until_ns)``, if none had."""
    match window:
        case Rolling():
            # As much as is allowed, at once, as soon as the last such has left.
            return window.limit * -(-(until_ns - from_ns) // window.span_ns)
        case Fixed():
            number = _numbering(window)
            return window.limit * (number(until_ns - 1) - number(from_ns) + 1)
        case Bucket():
            refilled = (until_ns - 1 - from_ns) * window.limit // window.refill_ns
            return window.limit + refilled
        case _:
            assert_never(window)


def _excesses(
    window: Limit, weighed: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Yield when there was too much, and how much, given times in order."""
    match window:
        case Rolling():
            return _rolling(window, weighed)
        case Fixed():
            return _fixed(window, weighed)
        case Bucket():
            return _bucket(window, weighed)
        case _:
            assert_never(window)


def _rolling(
    window: Rolling, weighed: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    # A stretch that holds too much can be moved on to end with its last arrival, so
    # those that end with one are all that need be looked at.
    inside: deque[tuple[int, int]] = deque()
    total = 0
    for at_ns, weight in weighed:
        while inside and inside[0][0] <= at_ns - window.span_ns:
            total -= inside.popleft()[1]
        inside.append((at_ns, weight))
        total += weight
        if total > window.limit:
            yield at_ns, total - window.limit


def _fixed(
    window: Fixed, weighed: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    # By number and not by order: where clocks are put back over midnight, a date
    # comes twice.
    number = _numbering(window)
    totals: Counter[int] = Counter()
    for at_ns, weight in weighed:
        period = number(at_ns)
        totals[period] += weight
        if totals[period] > window.limit:
            yield at_ns, totals[period] - window.limit


def _bucket(
    window: Bucket, weighed: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    # A token is refill_ns parts, of which limit flow in each nanosecond: so parts
    # are whole, and nothing is ever rounded. Below empty is what was too much.
    full = window.limit * window.refill_ns
    level, last_ns = full, None
    for at_ns, weight in weighed:
        if last_ns is not None:
            level = min(full, level + (at_ns - last_ns) * window.limit)
        last_ns = at_ns
        level -= weight * window.refill_ns
        if level < 0:
            yield at_ns, -(level // window.refill_ns)


def _weighed(arrivals: Iterable[Arrival], counts: Counts) -> Iterator[tuple[int, int]]:
    """Yield each time once, with all that arrived then; nothing is no arrival."""
    for at_ns, together in groupby(arrivals, key=attrgetter("at_ns")):
        weight = sum(one.calls if counts == "calls" else one.units for one in together)
        if weight:
            yield at_ns, weight


def _numbering(window: Fixed) -> Callable[[int], int]:
    """Return what numbers a time's period, so that the next has the next number."""
    zone = ZoneInfo(window.zone)

    def local(at_ns: int) -> datetime:
        # Dates turn with whole seconds, so nothing is lost below them.
        return (_EPOCH + timedelta(seconds=at_ns // SECOND_NS)).astimezone(zone)

    def month(at_ns: int) -> int:
        moment = local(at_ns)
        return moment.year * 12 + moment.month

    match window.period:
        case "minute":
            return lambda at_ns: at_ns // MINUTE_NS
        case "hour":
            return lambda at_ns: at_ns // HOUR_NS
        case "day":
            return lambda at_ns: local(at_ns).toordinal()
        case "month":
            return month
        case _:
            assert_never(window.period)


def _at_least_one(*numbers: int) -> None:
    if min(numbers) < 1:
        raise ValueError("limits and lengths are whole numbers of at least 1")
