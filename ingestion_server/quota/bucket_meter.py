"""A token bucket."""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from copy import copy
from typing import Final, Self, final

from typing_extensions import override

from ingestion_server.quota.instant import Instant
from ingestion_server.quota.meter import CALL_SECONDS, Meter, Passage, State
from ingestion_server.quota.rolling_meter import MARGIN_SECONDS, Counted

_NEVER: Final = Counted(math.inf, 0)
_ROUNDING: Final = 1e-6
"""What part of a token may be there or not by rounding."""


@final
class BucketMeter(Meter):
    """
    Hold as many tokens as the limit, refilled evenly.

    Kept as the time at which the bucket will be full again. What was taken since the
    first call left that is still under way is remembered, so that a call can be
    counted anew from its answer: it cannot have reached the vendor later.

    So a strict vendor sees no call too many, if each that was not answered when
    another left took at most the margin longer to arrive than that one.
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
        Start full.

        Args:
            limit: how many tokens it holds.
            seconds: how long it takes to refill all of them.
            margin_seconds: how much later than the vendor we think a token is there.
            call_seconds: how long a call may be under way.

        """
        self._limit = limit
        self._seconds = seconds
        self._token_seconds = seconds / limit
        self._most_seconds = math.inf
        """By how much it may lack longer than since the last call."""
        self._margin = margin_seconds
        self._call_seconds = call_seconds
        self._full_before = -math.inf
        """When it would be full again, had nothing of the following been taken."""
        self._summed_at = -math.inf
        """When the last of what that sums up was taken."""
        self._taken: deque[Counted] = deque()
        self._full_at = -math.inf
        self._open: dict[int, Counted] = {}

    # mypy looks for @override outside, where it may not stand with a setter.
    @property  # type: ignore[explicit-override]
    @override
    def limit(self) -> int:
        """Return how many tokens it holds."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        """Hold others; as many are missing as were, but never more than all."""
        if math.isfinite(self._full_before):
            lacking = (self._full_before - self._summed_at) * self._limit / limit
            self._full_before = self._summed_at + min(lacking, self._seconds)
        self._limit = limit
        self._token_seconds = self._seconds / limit
        self._most_seconds = self._seconds
        self._refigure()

    @override
    def free_at(self, amount: int, now: Instant) -> float:
        """Return when so many tokens are there."""
        if amount > self._limit:
            return math.inf
        free = (
            self._full_at + self._margin + amount * self._token_seconds - self._seconds
        )
        # A full bucket holds all of them, whatever rounding says.
        if free <= now.seconds or self._full_at + self._margin <= now.seconds:
            return now.seconds
        return free

    @override
    def used(self, now: Instant) -> int:
        """Return how many tokens are missing."""
        return max(0, math.ceil(self._missing(now.seconds) - _ROUNDING))

    @override
    def load(self) -> int:
        """Return how many were missing when something was last taken."""
        if not self._taken:
            return 0
        missing = self._missing(self._taken[-1].at_seconds)
        return max(0, math.ceil(missing - _ROUNDING))

    @override
    def clear_at(self, now: Instant) -> float | None:
        """Return when it is full again."""
        return self._full_at if self._full_at > now.seconds else None

    @override
    def debit(self, number: int | None, amount: int, now: Instant) -> None:
        """Take tokens."""
        entry, taken = Counted(now.seconds, amount), self._taken
        if number is not None:
            self._open[number] = entry
        elif taken and not self._open:
            # Somebody plays with it, perhaps for a million calls.
            self._summed_at, self._full_before = taken[-1].at_seconds, self._full_at
            taken.clear()
        taken.append(entry)
        self._full_at = self._after(self._full_at, entry)

    @override
    def arrive(self, number: int, now: Instant) -> None:
        """Count a call as of now: it cannot have reached the vendor later."""
        entry = self._open.pop(number, None)
        if entry is not None:
            self._taken.remove(entry)
            insort(self._taken, Counted(now.seconds, entry.amount))
            self._forget()
            self._refigure()

    @override
    def refund(self, number: int, now: Instant) -> None:
        """Put tokens back."""
        entry = self._open.pop(number, None)
        if entry is not None:
            self._taken.remove(entry)
            self._forget()
            self._refigure()

    @override
    def fill(self, used: int, now: Instant) -> None:
        """Take as of now what others must have taken."""
        # The vendor counts a token as used that is not wholly there again.
        missing = math.floor(self._missing(now.seconds) + _ROUNDING)
        lacking = min(used, self._limit) - missing
        if lacking > 0:
            self.debit(None, lacking, now)

    @override
    def copy(self) -> Self:
        """Return one that can be played with."""
        other = copy(self)
        other.__dict__ |= {"_taken": self._taken.copy(), "_open": {}}
        return other

    @override
    def dump(self) -> State:
        """Return what is known."""
        return {
            "full_before": self._full_before,
            "summed_at": self._summed_at,
            "taken": [tuple(each) for each in self._taken],
            "open": [(number, *each) for number, each in self._open.items()],
        }

    @override
    def restore(self, state: State) -> None:
        """Know what was known in an earlier run."""
        self._full_before = state["full_before"]
        self._summed_at = state["summed_at"]
        self._taken = deque(Counted(*each) for each in state["taken"])
        self._open = {number: Counted(*each) for number, *each in state["open"]}
        self._refigure()

    @override
    def resume(self, passage: Passage, now: Instant) -> None:
        """Go on after an earlier run."""
        # Nobody knows when these arrived, only when that was at the latest.
        late = list(self._open.values())
        for entry in late:
            self._taken.remove(entry)
        self._open.clear()
        span = self._seconds
        moved = [(passage(at, span), amount) for at, amount in self._taken] + [
            (passage(at, span) + self._call_seconds, amount) for at, amount in late
        ]
        # Whatever the clocks say, it cannot lack more than all: of a time without a
        # clock, all calls may seem to have come at its end.
        full_at = self._full_before
        if math.isfinite(full_at):
            # Only times that were can be turned into those of this run.
            summed_at = passage(self._summed_at, span)
            full_at += min(summed_at, now.seconds) - self._summed_at
        for at, amount in sorted(moved):
            entry = Counted(min(at, now.seconds), amount)
            full_at = min(self._after(full_at, entry), entry.at_seconds + span)
        # No call is left that could be counted anew.
        self._taken.clear()
        self._full_before = self._full_at = full_at
        self._summed_at = now.seconds

    def _missing(self, at_seconds: float) -> float:
        # Of a bucket that nobody has used, infinitely long ago.
        return max(self._full_at - at_seconds, 0.0) / self._token_seconds

    def _after(self, full_at: float, entry: Counted) -> float:
        return max(full_at, entry.at_seconds) + entry.amount * self._token_seconds

    def _forget(self) -> None:
        """Sum up what will not be counted anew: what left before any under way."""
        taken = self._taken
        first = next(iter(self._open.values()), _NEVER)
        # The last tells what was missing then.
        while len(taken) > 1 and taken[0].at_seconds < first.at_seconds:
            entry = taken.popleft()
            self._full_before = self._figured(self._full_before, entry)
            self._summed_at = entry.at_seconds

    def _refigure(self) -> None:
        full_at = self._full_before
        for entry in self._taken:
            full_at = self._figured(full_at, entry)
        self._full_at = full_at

    def _figured(self, full_at: float, entry: Counted) -> float:
        latest = entry.at_seconds + self._most_seconds
        return min(self._after(full_at, entry), latest)
