"""
What counts for one window; three kinds do.

A meter is told the time and how much a call is to it. It never waits, and it counts
whatever it is told: whether there is room is asked before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self

from ingestion_server.quota.instant import Instant

CALL_SECONDS = 10.0
"""How long a call may be under way, where nothing else is said."""

State = dict[str, Any]
"""What a meter knows, in types that any encoding has."""
Passage = Callable[[float, float], float]
"""
Turn seconds of an earlier run into those of this one.

The second argument is the length of the window that they matter to.
"""


class Meter(Protocol):
    """Count for one window."""

    limit: int
    """May be lowered, and be what it was again."""

    def free_at(self, amount: int, now: Instant) -> float:
        """
        Return when so much more fits, in monotonic seconds.

        ``now.seconds`` if at once, infinity if never. ``now`` may lie in the future.
        """
        ...

    def used(self, now: Instant) -> int:
        """Return how much is counted."""
        ...

    def load(self) -> int:
        """Return how much was counted when something last was; quickly."""
        ...

    def clear_at(self, now: Instant) -> float | None:
        """Return when nothing is counted any more; None if nothing is."""
        ...

    def debit(self, number: int | None, amount: int, now: Instant) -> None:
        """Count a call; it is under way until it arrives, if it has a number."""
        ...

    def arrive(self, number: int, now: Instant) -> None:
        """Hear that a call has reached the vendor, at the latest now."""
        ...

    def refund(self, number: int, now: Instant) -> None:
        """Forget a call that is under way."""
        ...

    def fill(self, used: int, now: Instant) -> None:
        """Hear that at least so much is used."""
        ...

    def copy(self) -> Self:
        """Return one that can be played with."""
        ...

    def dump(self) -> State:
        """Return what is known."""
        ...

    def restore(self, state: State) -> None:
        """Know what was known in an earlier run, by that run's clocks."""
        ...

    def resume(self, passage: Passage, now: Instant) -> None:
        """
        Go on after an earlier run, whose calls may all still have arrived.

        Nobody will hear of those that were under way when it ended.
        """
        ...
