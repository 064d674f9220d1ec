"""A token bucket."""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from copy import copy
from typing import Self, final

from typing_extensions import override

from ingestion_server.quota.instant import Instant
from ingestion_server.quota.meter import CALL_SECONDS, Meter, Passage, State
from ingestion_server.quota.rolling_meter import MARGIN_SECONDS, Counted


@final
class BucketMeter(Meter):
    """
    Hold as many tokens as the limit, refilled evenly.

    Kept as the time at which the bucket will be full again. What was taken within
    one refill is remembered, so that a call can be counted anew from its arrival.
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
        self.limit = limit
        self._seconds = seconds
        self._margin = margin_seconds
        self._call_seconds = call_seconds
        self._full_before = -math.inf
        """When it would be full again, had nothing of the following been taken."""
        self._taken: deque[Counted] = deque()
        self._full_at = -math.inf
        self._open: dict[int, Counted] = {}

    @property
    def _token_seconds(self) -> float:
        return self._seconds / self.limit

    @override
    def free_at(self, amount: int, now: Instant) -> float:
        """Return when so many tokens are there."""
        if amount > self.limit:
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
        missing = (self._full_at - now.seconds) / self._token_seconds
        return max(0, math.ceil(missing - 1e-9))

    @override
    def load(self) -> int:
        """Return how many were missing when something was last taken."""
        if not self._taken:
            return 0
        missing = (self._full_at - self._taken[-1].at_seconds) / self._token_seconds
        return max(0, math.ceil(missing - 1e-9))

    @override
    def clear_at(self, now: Instant) -> float | None:
        """Return when it is full again."""
        return self._full_at if self._full_at > now.seconds else None

    @override
    def debit(self, number: int | None, amount: int, now: Instant) -> None:
        """Take tokens."""
        taken, since = self._taken, now.seconds - self._seconds - self._call_seconds
        while taken and taken[0].at_seconds <= since:
            self._full_before = self._after(self._full_before, taken.popleft())
        entry = Counted(now.seconds, amount)
        taken.append(entry)
        self._full_at = self._after(self._full_at, entry)
        if number is not None:
            self._open[number] = entry

    @override
    def arrive(self, number: int, now: Instant) -> None:
        """Count a call as of now: it cannot have reached the vendor later."""
        entry = self._open.pop(number, None)
        if entry is not None and entry in self._taken:
            self._taken.remove(entry)
            insort(self._taken, Counted(now.seconds, entry.amount))
            self._refigure()

    @override
    def refund(self, number: int, now: Instant) -> None:
        """Put tokens back."""
        entry = self._open.pop(number, None)
        if entry is not None and entry in self._taken:
            self._taken.remove(entry)
            self._refigure()

    @override
    def fill(self, used: int, now: Instant) -> None:
        """Take as of now what others must have taken."""
        lacking = min(used, self.limit) - self.used(now)
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
            "taken": [tuple(each) for each in self._taken],
            "open": [(number, *each) for number, each in self._open.items()],
        }

    @override
    def restore(self, state: State) -> None:
        """Know what was known in an earlier run."""
        self._full_before = state["full_before"]
        self._taken = deque(Counted(*each) for each in state["taken"])
        self._open = {number: Counted(*each) for number, *each in state["open"]}
        self._refigure()

    @override
    def resume(self, passage: Passage, now: Instant) -> None:
        """Go on after an earlier run."""
        late = [entry for entry in self._open.values() if entry in self._taken]
        for entry in late:
            self._taken.remove(entry)
        self._open.clear()
        span = self._seconds
        moved = [Counted(passage(at, span), amount) for at, amount in self._taken] + [
            Counted(passage(at, span) + self._call_seconds, amount)
            for at, amount in late
        ]
        self._taken = deque(
            sorted(Counted(min(at, now.seconds), amount) for at, amount in moved)
        )
        # Whatever the clocks say, it cannot lack more than all.
        before = self._full_before
        if math.isfinite(before):
            self._full_before = min(passage(before, span), now.seconds + span)
        self._refigure()

    def _after(self, full_at: float, entry: Counted) -> float:
        return max(full_at, entry.at_seconds) + entry.amount * self._token_seconds

    def _refigure(self) -> None:
        full_at = self._full_before
        for entry in self._taken:
            full_at = self._after(full_at, entry)
        self._full_at = full_at
