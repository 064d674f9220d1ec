"""A window that begins anew with each minute, hour, day or month of a zone."""

from __future__ import annotations

import math
from copy import copy
from datetime import UTC, datetime, time, timedelta
from typing import Final, NamedTuple, Self, final
from zoneinfo import ZoneInfo

from typing_extensions import override

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.budget import Period
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.meter import CALL_SECONDS, Meter, Passage, State

MARGIN_SECONDS: Final = 0.5
"""
Around the turn nothing leaves for so long: the vendor's clock may differ from ours.
"""
LONGEST_SECONDS: Final = {
    Period.MINUTE: 60.0,
    Period.HOUR: 3600.0,
    # With two hours more, when summer time ends at Troll in the Antarctic.
    Period.DAY: 26 * 3600.0,
    Period.MONTH: 31 * 86_400.0 + 7200.0,
}
"""How long a period lasts at most."""
USUAL_SECONDS: Final = {
    Period.MINUTE: 60.0,
    Period.HOUR: 3600.0,
    Period.DAY: 86_400.0,
    Period.MONTH: 31 * 86_400.0,
}
"""How long a period usually lasts, as people count."""
_EVEN_NS: Final = {Period.MINUTE: 60 * SECOND_NS, Period.HOUR: 3600 * SECOND_NS}
_SHORTEST_NS: Final = {
    **_EVEN_NS,
    Period.DAY: 22 * 3600 * SECOND_NS,
    Period.MONTH: 27 * 86_400 * SECOND_NS,
}
_TICK_NS: Final = 1000
"""What rounding may take off a moment, and less than any margin is worth."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Stretch(NamedTuple):
    """Be one period of a zone, ``[start, end)``, in nanoseconds since 1970 UTC."""

    start_ns: int
    end_ns: int


def stretch(period: Period, zone: ZoneInfo, at_ns: int) -> Stretch:
    """Return the period that a moment lies in."""
    even_ns = _EVEN_NS.get(period)
    if even_ns is not None:
        start_ns = at_ns - at_ns % even_ns
        return Stretch(start_ns, start_ns + even_ns)
    local = (_EPOCH + timedelta(microseconds=at_ns // 1000)).astimezone(zone).date()
    if period is Period.MONTH:
        first = local.replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
    else:
        first, following = local, local + timedelta(days=1)
    start, end = (
        int(datetime.combine(day, time(), zone).timestamp()) * SECOND_NS
        for day in (first, following)
    )
    if end <= at_ns:
        # Clocks were put back over midnight, so it comes twice: this is in between.
        midnight = datetime.combine(following, time(), zone).replace(fold=1)
        end = int(midnight.timestamp()) * SECOND_NS
    return Stretch(start, end)


class _Under(NamedTuple):
    """Be a call that is under way."""

    left_seconds: float
    amount: int


@final
class FixedMeter(Meter):
    """
    Count what falls into the present period.

    It goes by one of two clocks: the wall clock, or what that would say if nobody
    had set it. A window is kept by two meters, one for each, so that setting the
    clock never hands out a period twice. A period that is over does not come back.

    A call that is under way when the period turns counts in both, since nobody knows
    when it arrives; as does one whose answer comes within the margin of the turn. So
    a strict vendor, whose clock differs from ours by no more than the margin, sees no
    call too many, as long as each arrives within the time that a call may take.
    """

    def __init__(
        self,
        limit: int,
        period: Period,
        reset_zone: str,
        *,
        steady: bool,
        margin_seconds: float = MARGIN_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        """
        Start empty.

        Args:
            limit: how much fits.
            period: after what it begins anew.
            reset_zone: the IANA zone whose days and months count.
            steady: whether to go by the clock that nobody sets.
            margin_seconds: how long before and after the turn nothing leaves.
            call_seconds: how long a call may be under way.

        """
        self.limit = limit
        self._period = period
        self._zone = ZoneInfo(reset_zone)
        self._steady = steady
        # At least a moment must be left between the margins.
        self._margin_ns = min(
            round(margin_seconds * SECOND_NS), _SHORTEST_NS[period] // 2 - 2 * _TICK_NS
        )
        self._call_seconds = call_seconds
        self._longest_seconds = LONGEST_SECONDS[period] + call_seconds
        # A margin after the turn; None before the first call.
        self._end_ns: int | None = None
        self._count = 0
        self._over_at = math.inf
        """When the period is surely over, in monotonic seconds, whatever clocks say."""
        # Those that may count in the present period; each does.
        self._open: dict[int, _Under] = {}
        # Those of which nobody will hear again, but that may count in the next, too.
        self._ended: list[_Under] = []
        self._found = Stretch(0, 0)

    @override
    def free_at(self, amount: int, now: Instant) -> float:
        """Return when so much more fits."""
        if amount > self.limit:
            return math.inf
        end_ns, count, over_at = self._view(now)
        left_ns = end_ns - self._ns(now)
        if count + amount <= self.limit and left_ns > 2 * self._margin_ns:
            return now.seconds
        # A microsecond more, or rounding would find the old period at its very end.
        return min(now.seconds + (left_ns + _TICK_NS) / SECOND_NS, over_at)

    @override
    def used(self, now: Instant) -> int:
        """Return how much is counted."""
        return self._view(now)[1]

    @override
    def load(self) -> int:
        """Return how much was counted when something last was."""
        return self._count

    @override
    def clear_at(self, now: Instant) -> float | None:
        """Return when the period turns; None if nothing is counted."""
        end_ns, count, over_at = self._view(now)
        if not count:
            return None
        return min(now.seconds + (end_ns - self._ns(now)) / SECOND_NS, over_at)

    @override
    def debit(self, number: int | None, amount: int, now: Instant) -> None:
        """Count a call."""
        self._turn(now)
        self._count += amount
        self._over_at = now.seconds + self._longest_seconds
        if number is not None:
            self._open[number] = _Under(now.seconds, amount)

    @override
    def arrive(self, number: int, now: Instant) -> None:
        """Hear that a call arrived; in which period, nobody knows if it turned."""
        end_ns = self._turn(now)
        under = self._open.pop(number, None)
        if under is not None and end_ns - self._ns(now) <= 2 * self._margin_ns:
            # The vendor may have turned already.
            self._ended.append(under)

    @override
    def refund(self, number: int, now: Instant) -> None:
        """Forget a call that is under way."""
        self._turn(now)
        under = self._open.pop(number, None)
        if under is not None:
            self._count = max(0, self._count - under.amount)

    @override
    def fill(self, used: int, now: Instant) -> None:
        """Count what others must have used."""
        self._turn(now)
        self._count = max(self._count, min(used, self.limit))
        self._over_at = now.seconds + self._longest_seconds

    @override
    def copy(self) -> Self:
        """Return one that can be played with."""
        other = copy(self)
        other.__dict__ |= {"_open": self._open.copy(), "_ended": self._ended.copy()}
        return other

    @override
    def dump(self) -> State:
        """Return what is known."""
        return {
            "end_ns": self._end_ns,
            "count": self._count,
            "open": [(number, *under) for number, under in self._open.items()],
            "ended": [tuple(under) for under in self._ended],
        }

    @override
    def restore(self, state: State) -> None:
        """Know what was known in an earlier run."""
        self._end_ns = state["end_ns"]
        self._count = state["count"]
        self._open = {number: _Under(*under) for number, *under in state["open"]}
        self._ended = [_Under(*under) for under in state["ended"]]

    @override
    def resume(self, passage: Passage, now: Instant) -> None:
        """Go on after an earlier run."""
        longest = self._longest_seconds
        self._ended = [
            _Under(min(passage(left_seconds, longest), now.seconds), amount)
            for left_seconds, amount in [*self._ended, *self._open.values()]
        ]
        self._open = {}
        self._over_at = now.seconds + self._longest_seconds
        self._turn(now)

    def _ns(self, now: Instant) -> int:
        return now.steady_ns if self._steady else now.wall_ns

    def _view(self, now: Instant) -> tuple[int, int, float]:
        """
        Return when the period of a moment ends, what it holds, and its utmost end.

        This changes nothing that counts, since it is asked of moments to come too.
        """
        ns, end_ns = self._ns(now), self._end_ns
        if end_ns is not None and ns < end_ns and now.seconds < self._over_at:
            return end_ns, self._count, self._over_at
        found = self._period_of(ns)
        if not self._open and not self._ended:
            return found.end_ns, 0, math.inf
        carried = sum(
            under.amount
            for under in (*self._open.values(), *self._ended)
            if self._reaches(under, found, now)
        )
        return found.end_ns, carried, math.inf

    def _turn(self, now: Instant) -> int:
        """Begin the period of a moment, unless it has begun; return its end."""
        ns, end_ns = self._ns(now), self._end_ns
        if end_ns is not None and ns < end_ns and now.seconds < self._over_at:
            return end_ns
        found = self._period_of(ns)
        # Others cannot arrive in it, so a refund of theirs is none of its.
        self._open = {
            number: under
            for number, under in self._open.items()
            if self._reaches(under, found, now)
        }
        self._ended = [each for each in self._ended if self._reaches(each, found, now)]
        under_way = (*self._open.values(), *self._ended)
        self._count = sum(under.amount for under in under_way)
        self._end_ns = found.end_ns
        self._over_at = now.seconds + self._longest_seconds
        return found.end_ns

    def _reaches(self, under: _Under, found: Stretch, now: Instant) -> bool:
        """Return whether a call may arrive in a period."""
        ago = now.seconds - under.left_seconds - self._call_seconds
        latest_ns = self._ns(now) - round(ago * SECOND_NS)
        return latest_ns >= found.start_ns - 2 * self._margin_ns

    def _period_of(self, ns: int) -> Stretch:
        found = self._found
        if not found.start_ns <= ns < found.end_ns:
            margin_ns = self._margin_ns
            exact = stretch(self._period, self._zone, ns - margin_ns)
            found = Stretch(exact.start_ns + margin_ns, exact.end_ns + margin_ns)
            self._found = found
        return found
