"""Those who wait for a vendor, in their order, and what they will find left."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

from ingestion_server.domain.errors import QuotaExhaustedError
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import Debit, Lane
from ingestion_server.quota.admission import (
    Outlook,
    RefusedUntil,
    Turn,
    decide,
    waits,
)
from ingestion_server.quota.closure import Closure
from ingestion_server.quota.instant import Instant, Timekeeper
from ingestion_server.quota.line import Slot
from ingestion_server.quota.waiter import Waiter

_OUTLOOK_SECONDS: Final = 0.25
"""
How long a forecast of the queue holds, if nothing but grants has happened.

Also how often those who wait are told, at most, that others have passed them: to look
at all of them for each that passes would take seconds when thousands wait.
"""
_LATEST: Final = sys.float_info.max

Refuse = Callable[[Turn, int, Instant], QuotaExhaustedError]
"""Say why a call of so many units is not let out before its turn."""
Grant = Callable[[Lane, int, Instant], Debit]
"""Count a call that has its turn."""


@final
class Queue:
    """
    Let callers wait in the order they came, interactive ones before batch ones.

    Only the first one sleeps until its turn; all others sleep until they are poked.
    """

    def __init__(
        self,
        slots: Mapping[Lane, Sequence[Slot]],
        closure: Closure,
        *,
        clock: Clock,
        time: Timekeeper,
        refuse: Refuse,
    ) -> None:
        """
        Start empty.

        Args:
            slots: what a call of each lane must fit.
            closure: until when nothing may leave.
            clock: lets them sleep.
            time: tells the moment.
            refuse: says why one is sent away.

        """
        self._slots = slots
        self._closure = closure
        self._clock = clock
        self._time = time
        self._refuse = refuse
        self._waiters: deque[Waiter] = deque()
        # What those who go before a call of a lane will use, and until when that
        # holds; empty once anything but a grant from the queue has happened.
        self._outlooks: dict[Lane, tuple[Outlook, float]] = {}
        # Whether those who wait may have to wait longer than when they were looked at,
        # and when that was.
        self._delayed = False
        self._looked_at = -math.inf

    async def wait(
        self,
        lane: Lane,
        units: int,
        now: Instant,
        *,
        longest_seconds: float,
        grant: Grant,
    ) -> Debit:
        """
        Wait for the turn of a call, and count it.

        Raises:
            QuotaExhaustedError: Its turn is, or becomes, too far away.

        """
        turn = self.next_turn(lane, units, now)
        # Even who waits for ever does not wait for what never comes.
        latest_seconds = min(now.seconds + max(longest_seconds, 0.0), _LATEST)
        if isinstance(decide(turn, now, latest_seconds), RefusedUntil):
            raise self._refuse(turn, units, now)
        waiter = Waiter(latest_seconds, lane=lane, units=units)
        self._enqueue(waiter, now)
        try:
            debit = await self._wait(waiter, grant)
        except BaseException:
            self._waiters.remove(waiter)
            self.changed()
            raise
        self._waiters.remove(waiter)
        self.poke()
        return debit

    def lets_pass(self, lane: Lane) -> bool:
        """Return whether nobody is ahead of a call."""
        waiters = self._waiters
        return not waiters or (
            lane is Lane.INTERACTIVE and waiters[0].lane is Lane.BATCH
        )

    def passed(self) -> None:
        """Hear that a call has left that did not wait."""
        self._outlooks.clear()
        if self._waiters:
            self.delayed()
            self.poke()

    def delayed(self) -> None:
        """Hear that those who wait may have to wait longer."""
        self._delayed = True

    def changed(self) -> None:
        """Forget what was foreseen, and have the first in the queue look again."""
        self._outlooks.clear()
        self.poke()

    def poke(self) -> None:
        """Have the first in the queue look again."""
        if self._waiters:
            self._waiters[0].poke()

    def dismiss(self, now: Instant) -> None:
        """Tell those who would now wait too long, instead of keeping them."""
        outlook = Outlook(self._slots[Lane.BATCH], self._closure.turn)
        for waiter in self._waiters:
            if waiter.refusal is not None:
                continue
            turn = outlook.next_turn(waiter.lane, waiter.units, now)
            if turn.at_seconds > waiter.latest_seconds:
                waiter.refusal = self._refuse(turn, waiter.units, now)
                waiter.poke()
            else:
                outlook.book(waiter.lane, waiter.units, now)
        self._delayed, self._looked_at = False, now.seconds

    def waiting(self) -> dict[Lane, int]:
        """Return how many wait."""
        counts = dict.fromkeys(Lane, 0)
        for waiter in self._waiters:
            counts[waiter.lane] += waiter.refusal is None
        return counts

    def next_turn(self, lane: Lane, units: int, now: Instant) -> Turn:
        """Return the turn of a call that comes now, behind those it does not pass."""
        if self.lets_pass(lane):
            return waits(self._slots[lane], units, self._closure.turn, now)
        return self._foresee(lane, now).next_turn(lane, units, now)

    def ahead_of(self, lane: Lane, now: Instant) -> Outlook:
        """Return what is left when all that a call does not pass have had a turn."""
        outlook = Outlook(self._slots[Lane.BATCH], self._closure.turn)
        for waiter in self._waiters:
            if lane is Lane.INTERACTIVE and waiter.lane is not lane:
                break
            if waiter.refusal is None:
                outlook.book(waiter.lane, waiter.units, now)
        return outlook

    def _foresee(self, lane: Lane, now: Instant) -> Outlook:
        outlook, until = self._outlooks.get(lane, (None, 0.0))
        if outlook is None or now.seconds > until:
            outlook = self.ahead_of(lane, now)
            self._outlooks[lane] = outlook, now.seconds + _OUTLOOK_SECONDS
        return outlook

    def _enqueue(self, waiter: Waiter, now: Instant) -> None:
        """Put a waiter behind its equals; an interactive one passes batch ones."""
        waiters, place = self._waiters, len(self._waiters)
        if waiter.lane is Lane.INTERACTIVE:
            while place and waiters[place - 1].lane is Lane.BATCH:
                place -= 1
        self._foresee(waiter.lane, now).book(waiter.lane, waiter.units, now)
        if place == len(waiters):
            waiters.append(waiter)
        else:
            waiters.insert(place, waiter)
            self.delayed()
            self.poke()
        if waiter.lane is Lane.INTERACTIVE:
            self._outlooks.pop(Lane.BATCH, None)

    async def _wait(self, waiter: Waiter, grant: Grant) -> Debit:
        expected_seconds = math.inf
        while waiter.refusal is None:
            waiter.rearm()
            if waiter is not self._waiters[0]:
                await waiter.poked
                continue
            now = self._time.now()
            slots = self._slots[waiter.lane]
            turn = waits(slots, waiter.units, self._closure.turn, now)
            if turn.at_seconds <= now.seconds:
                return grant(waiter.lane, waiter.units, now)
            if turn.at_seconds > waiter.latest_seconds:
                raise self._refuse(turn, waiter.units, now)
            # Somebody has set a clock, or answers took long: all behind it are late.
            if turn.at_seconds > expected_seconds + _OUTLOOK_SECONDS:
                self.delayed()
            expected_seconds = min(turn.at_seconds, expected_seconds)
            nap = turn.at_seconds - now.seconds
            if self._delayed:
                look_in = self._looked_at + _OUTLOOK_SECONDS - now.seconds
                if look_in <= 0:
                    expected_seconds = turn.at_seconds
                    self.dismiss(now)
                else:
                    nap = min(nap, look_in)
            await waiter.nap(self._clock, nap)
        raise waiter.refusal
