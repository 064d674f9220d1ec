"""
When a call fits all windows of a vendor: decisions only, told the time.

All windows are debited together or none is, so a call that one window refuses costs
nothing in another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, final

from ingestion_server.ports.quota import Lane
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.line import Slot


class Turn(NamedTuple):
    """Say when a call may leave, and what it waits for until then."""

    at_seconds: float
    """In monotonic seconds; infinity = never."""
    window: str
    """The window that is the last to have room; empty if there is no wait."""


class Granted(NamedTuple):
    """Say that a call may leave now."""


class WaitUntil(NamedTuple):
    """Say that a call has its turn later, and in time."""

    turn: Turn


class RefusedUntil(NamedTuple):
    """Say that a call has its turn too late, and when that would be."""

    turn: Turn


Decision = Granted | WaitUntil | RefusedUntil

LONG_AGO: Final = Turn(float("-inf"), "")
"""A turn that holds nothing up."""
GRANTED: Final = Granted()


def decide(turn: Turn, now: Instant, latest_seconds: float) -> Decision:
    """Return what becomes of a call that has its turn then, and waits so long."""
    if turn.at_seconds > latest_seconds:
        return RefusedUntil(turn)
    if turn.at_seconds > now.seconds:
        return WaitUntil(turn)
    return GRANTED


def fits(slots: Iterable[Slot], units: int, now: Instant, *, calls: int = 1) -> bool:
    """Return whether a call, or several together, fit everywhere now."""
    seconds = now.seconds
    for slot in slots:
        amount = calls * units if slot.by_units else calls
        if slot.meter.free_at(amount, now) > seconds:
            return False
    return True


def waits(slots: Sequence[Slot], units: int, not_before: Turn, now: Instant) -> Turn:
    """Return the first moment, now or later, at which a call fits everywhere."""
    turn = not_before if not_before.at_seconds > now.seconds else Turn(now.seconds, "")
    # A window that has room may have none later (before midnight), so look again
    # at each moment that another window proposes.
    while turn.at_seconds < math.inf:
        moment = now.at(turn.at_seconds)
        later = max(
            (
                Turn(
                    slot.meter.free_at(units if slot.by_units else 1, moment),
                    slot.window,
                )
                for slot in slots
            ),
            default=turn,
        )
        if later.at_seconds <= turn.at_seconds:
            break
        turn = later
    return turn


def admit(slots: Iterable[Slot], number: int | None, units: int, now: Instant) -> None:
    """Count one call in every window; it must fit all of them."""
    for slot in slots:
        slot.meter.debit(number, units if slot.by_units else 1, now)


@final
class Outlook:
    """Foretell the turns of calls that queue, none before the one ahead of it."""

    def __init__(self, slots: Sequence[Slot], not_before: Turn) -> None:
        copies = [slot._replace(meter=slot.meter.copy()) for slot in slots]
        self._slots = {
            Lane.BATCH: copies,
            Lane.INTERACTIVE: [slot for slot in copies if not slot.batch_only],
        }
        self._last = not_before

    def next_turn(self, lane: Lane, units: int, now: Instant) -> Turn:
        """Return the turn of one more call."""
        return waits(self._slots[lane], units, self._last, now)

    def book(
        self, lane: Lane, units: int, now: Instant, latest_seconds: float = math.inf
    ) -> Turn:
        """Return the turn of one more call, and count it, if it has one in time."""
        turn = self.next_turn(lane, units, now)
        if turn.at_seconds < math.inf and turn.at_seconds <= latest_seconds:
            admit(self._slots[lane], None, units, now.at(turn.at_seconds))
            self._last = turn
        return turn

    def book_more(self, lane: Lane, units: int, most: int, at: Instant) -> int:
        """Count as many more calls as fit at the same moment; return how many."""
        slots = self._slots[lane]
        low, high = 0, 1
        while high <= most and fits(slots, units, at, calls=high):
            low, high = high, 2 * high
        high = min(high, most + 1)
        while high - low > 1:
            middle = (low + high) // 2
            if fits(slots, units, at, calls=middle):
                low = middle
            else:
                high = middle
        if low:
            for slot in slots:
                slot.meter.debit(None, low * (units if slot.by_units else 1), at)
        return low
