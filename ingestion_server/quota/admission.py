"""
When a call fits all windows of a vendor: decisions only, told the time.

All windows are debited together or none is, so a call that one window refuses costs
nothing in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ingestion_server.quota.meters import Instant, Meter


class Turn(NamedTuple):
    """Say when a call may leave, and what it waits for until then."""

    at_seconds: float
    """In monotonic seconds."""
    window: str
    """The window that is the last to have room; empty if there is no wait."""


LONG_AGO: Final = Turn(float("-inf"), "")
"""A turn that holds nothing up."""


def waits(meters: Sequence[Meter], not_before: Turn, now: Instant) -> Turn:
    """Return the first moment, now or later, at which one call fits everywhere."""
    turn = not_before if not_before.at_seconds > now.seconds else Turn(now.seconds, "")
    # A window that has room may have none later (before midnight), so look again
    # at each moment that another window proposes.
    while True:
        moment = now.at(turn.at_seconds)
        later = max(
            (Turn(meter.free_at(moment), meter.window.name) for meter in meters),
            default=turn,
        )
        if later.at_seconds <= turn.at_seconds:
            return turn
        turn = later


def admit(meters: Sequence[Meter], now: Instant) -> None:
    """Count one call in every window; it must fit all of them."""
    for meter in meters:
        meter.debit(now)


class Outlook:
    """Foretell the turns of calls that queue, none before the one ahead of it."""

    def __init__(self, meters: Sequence[Meter], not_before: Turn) -> None:
        self._meters = [meter.copy() for meter in meters]
        self._last = not_before

    def next_turn(self, now: Instant) -> Turn:
        """Return the turn of one more call."""
        return waits(self._meters, self._last, now)

    def book(self, now: Instant) -> Turn:
        """Return the turn of one more call, and count it."""
        turn = self.next_turn(now)
        admit(self._meters, now.at(turn.at_seconds))
        self._last = turn
        return turn
