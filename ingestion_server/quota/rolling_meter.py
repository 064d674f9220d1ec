"""A strict rolling window."""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from copy import copy
from typing import Final, NamedTuple, Self, final

from typing_extensions import override

from ingestion_server.quota.instant import Instant
from ingestion_server.quota.meter import CALL_SECONDS, Meter, Passage, State

MARGIN_SECONDS: Final = 0.02
"""
How much longer than the vendor a window is: calls do not all travel equally fast.

With 3 ms of jitter nothing was refused in 600 calls, and 0.98 of a window was used.
"""
_LONG_SECONDS: Final = 3600.0
_SLOTS: Final = 4096
"""
A window of an hour or more keeps no more than so many times, each the latest of a
few: that makes it longer by a four thousandth, and bounds what it holds.
"""


class Counted(NamedTuple):
    """Be what was counted at one time."""

    at_seconds: float
    amount: int


@final
class RollingMeter(Meter):
    """
    Hold each call for the window's length and a margin.

    It keeps times and is no token bucket: a bucket of N lets 2N-1 through in one
    window after a pause, and a strict vendor counts them. A vendor counts a call
    when it arrives, so a call counts from its departure, and once it is answered
    from its answer: it cannot have arrived later.
    """

    def __init__(
        self,
        limit: int,
        seconds: float,
        *,
        margin_seconds: float = MARGIN_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        """
        Start empty.

        Args:
            limit: how much fits.
            seconds: the vendor's length of the window.
            margin_seconds: how much longer ours is.
            call_seconds: how long a call may be under way.

        """
        self.limit = limit
        self._call_seconds = call_seconds
        self._long = seconds >= _LONG_SECONDS
        if self._long:
            # No use in moving each call to its arrival: the margin holds them all.
            margin_seconds = max(margin_seconds, call_seconds)
        self._span = seconds + margin_seconds
        self._slot = self._span / _SLOTS if self._long else 0.0
        self._counted: deque[Counted] = deque()
        self._total = 0
        self._open: dict[int, Counted] = {}

    @override
    def free_at(self, amount: int, now: Instant) -> float:
        """Return when so much more fits."""
        excess = self._total + amount - self.limit
        if excess <= 0:
            return now.seconds
        for at_seconds, counted in self._counted:
            excess -= counted
            if excess <= 0:
                return max(at_seconds + self._span, now.seconds)
        return math.inf

    @override
    def used(self, now: Instant) -> int:
        """Return how much is counted."""
        since = now.seconds - self._span
        return sum(each.amount for each in self._counted if each.at_seconds > since)

    @override
    def load(self) -> int:
        """Return how much was counted when something last was."""
        return self._total

    @override
    def clear_at(self, now: Instant) -> float | None:
        """Return when nothing is counted any more."""
        if not self._counted:
            return None
        last = self._counted[-1].at_seconds + self._span
        return last if last > now.seconds else None

    @override
    def debit(self, number: int | None, amount: int, now: Instant) -> None:
        """Count a call."""
        self._drop_old(now)
        entry = Counted(now.seconds, amount)
        counted, since = self._counted, now.seconds - self._slot
        if self._long and counted and counted[-1].at_seconds > since:
            counted[-1] = Counted(now.seconds, counted[-1].amount + amount)
        else:
            counted.append(entry)
        self._total += amount
        if number is not None:
            self._open[number] = entry

    @override
    def arrive(self, number: int, now: Instant) -> None:
        """Count a call from now on: it cannot have reached the vendor later."""
        entry = self._open.pop(number, None)
        # Of a burst, the last may have waited long for a connection.
        if entry is not None and not self._long and entry in self._counted:
            self._counted.remove(entry)
            insort(self._counted, Counted(now.seconds, entry.amount))

    @override
    def refund(self, number: int, now: Instant) -> None:
        """Forget a call that is under way."""
        entry = self._open.pop(number, None)
        if entry is None:
            return
        for index, each in enumerate(self._counted):
            # Of a long window, the call may have been merged with later ones.
            if each.at_seconds >= entry.at_seconds and each.amount >= entry.amount:
                self._total -= entry.amount
                if each.amount == entry.amount:
                    del self._counted[index]
                else:
                    self._counted[index] = Counted(
                        each.at_seconds, each.amount - entry.amount
                    )
                return

    @override
    def fill(self, used: int, now: Instant) -> None:
        """Count as of now what others must have used."""
        lacking = min(used, self.limit) - self.used(now)
        if lacking > 0:
            self.debit(None, lacking, now)

    @override
    def copy(self) -> Self:
        """Return one that can be played with."""
        other = copy(self)
        other.__dict__ |= {"_counted": self._counted.copy(), "_open": {}}
        return other

    @override
    def dump(self) -> State:
        """Return what is known."""
        return {
            "counted": [tuple(each) for each in self._counted],
            "open": [(number, *each) for number, each in self._open.items()],
        }

    @override
    def restore(self, state: State) -> None:
        """Know what was known in an earlier run."""
        self._counted = deque(Counted(*each) for each in state["counted"])
        self._total = sum(each.amount for each in self._counted)
        self._open = {number: Counted(*each) for number, *each in state["open"]}

    @override
    def resume(self, passage: Passage, now: Instant) -> None:
        """Go on after an earlier run."""
        late: list[Counted] = []
        for entry in self._open.values():
            # Nobody knows when these arrived, only when that was at the latest.
            if not self._long and entry in self._counted:
                self._counted.remove(entry)
                late.append(entry)
        self._open.clear()
        moved = [
            Counted(min(passage(at, self._span), now.seconds), amount)
            for at, amount in self._counted
        ] + [
            Counted(
                min(passage(at, self._span) + self._call_seconds, now.seconds), amount
            )
            for at, amount in late
        ]
        self._counted = deque(sorted(moved))
        self._drop_old(now)

    def _drop_old(self, now: Instant) -> None:
        counted, since = self._counted, now.seconds - self._span
        while counted and counted[0].at_seconds <= since:
            self._total -= counted.popleft().amount
