"""Those who wait for a vendor, in their order, and what they will find left."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from ingestion_server.domain.errors import QuotaExhaustedError
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import Debit, Lane
from ingestion_server.ports.tracing import span
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
_TOLERATED: Final = 16
"""
A forecast also ends when one in so many of those who wait has left without a turn.

To make a new one takes time for each of them, and so each who gives up costs no more
than so many steps, however many wait.
"""
_LATEST: Final = sys.float_info.max
CONNECTIONS: Final = "connections"
"""What a call waits for that fits all windows while too many are under way."""
RETRY_SECONDS: Final = 1.0
"""
When to come back if no connection came free in time.

Nobody knows when one does; most calls are answered within a second.
"""

Refuse = Callable[[Turn, int, Instant], QuotaExhaustedError]
"""Say why a call of so many units is not let out before its turn."""
Grant = Callable[[Lane, int, Instant], Debit]
"""Count a call that has its turn."""


@dataclass(slots=True)
class _Kept:
    """Hold what was foreseen for a while."""

    outlook: Outlook
    until_seconds: float
    gone: int = 0
    """How many it counts that have left the queue without a turn."""


@final
class Queue:
    """
    Let callers wait in the order they came, interactive ones before batch ones.

    Only the first one sleeps until its turn, or until the patience of any ends; all
    others sleep until they are poked.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        slots: Mapping[Lane, Sequence[Slot]],
        closure: Closure,
        *,
        provider: str,
        clock: Clock,
        time: Timekeeper,
        is_free: Callable[[], bool],
        refuse: Refuse,
    ) -> None:
        """
        Start empty.

        Args:
            slots: what a call of each lane must fit.
            closure: until when nothing may leave.
            provider: whose calls they are.
            clock: lets them sleep.
            time: tells the moment.
            is_free: tells whether one more call may be under way now.
            refuse: says why one is sent away.

        """
        self._slots = slots
        self._closure = closure
        self._provider = provider
        self._clock = clock
        self._time = time
        self._is_free = is_free
        self._refuse = refuse
        self._waiters: deque[Waiter] = deque()
        # How many of them are interactive, and so before all others.
        self._urgent = 0
        # No patience ends before; that of one who has left meanwhile may have.
        self._earliest = math.inf
        # What those who go before a call of a lane will use.
        self._outlooks: dict[Lane, _Kept] = {}
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
            with span("quota wait") as part:
                if part.is_recorded:
                    part.set("ingestion.provider", self._provider)
                    part.set("ingestion.window", turn.window or CONNECTIONS)
                    part.set("ingestion.lane", lane.value)
                debit = await self._wait(waiter, grant)
        except BaseException:
            self._leave(waiter)
            self.gone()
            raise
        self._leave(waiter)
        self.poke()
        return debit

    def lets_pass(self, lane: Lane) -> bool:
        """Return whether nobody is ahead of a call."""
        waiters = self._waiters
        return not waiters or (
            lane is Lane.INTERACTIVE and waiters[0].lane is Lane.BATCH
        )

    def passed(self, lane: Lane, units: int, now: Instant) -> None:
        """Hear that a call has left that did not wait."""
        if self._waiters:
            self._outlooks.pop(lane, None)
            self._book_before_batch(units, now)
            self.delayed()
            self.poke()
        else:
            self._outlooks.clear()

    def delayed(self) -> None:
        """Hear that those who wait may have to wait longer."""
        self._delayed = True

    def changed(self) -> None:
        """Forget what was foreseen, and have the first in the queue look again."""
        self._outlooks.clear()
        self.poke()

    def gone(self) -> None:
        """Hear that a call that was counted on will not use anything."""
        for kept in self._outlooks.values():
            kept.gone += 1
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
        kept = self._outlooks.get(lane)
        ahead = self._urgent if lane is Lane.INTERACTIVE else len(self._waiters)
        if (
            kept is None
            or now.seconds > kept.until_seconds
            or kept.gone * _TOLERATED > ahead
        ):
            kept = _Kept(self.ahead_of(lane, now), now.seconds + _OUTLOOK_SECONDS)
            self._outlooks[lane] = kept
        return kept.outlook

    def _book_before_batch(self, units: int, now: Instant) -> None:
        """
        Count an interactive call in what batch calls foresee.

        It is counted behind those that it passes: for who comes after all of them,
        that makes next to no difference, and to foresee all anew for each takes
        seconds when thousands wait.
        """
        kept = self._outlooks.get(Lane.BATCH)
        if kept is not None:
            kept.outlook.book(Lane.INTERACTIVE, units, now)

    def _enqueue(self, waiter: Waiter, now: Instant) -> None:
        """Put a waiter behind its equals; an interactive one passes batch ones."""
        waiters = self._waiters
        self._foresee(waiter.lane, now).book(waiter.lane, waiter.units, now)
        if waiter.lane is Lane.INTERACTIVE:
            passes = self._urgent < len(waiters)
            waiters.insert(self._urgent, waiter)
            self._urgent += 1
            self._book_before_batch(waiter.units, now)
            if passes:
                self.delayed()
                self.poke()
        else:
            waiters.append(waiter)
        if waiter.latest_seconds < self._earliest:
            self._earliest = waiter.latest_seconds
            self.poke()

    def _leave(self, waiter: Waiter) -> None:
        self._waiters.remove(waiter)
        self._urgent -= waiter.lane is Lane.INTERACTIVE
        if not self._waiters:
            self._earliest = math.inf

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
                if self._is_free():
                    return grant(waiter.lane, waiter.units, now)
                await self._nap_until_free(waiter, now)
                continue
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

    async def _nap_until_free(self, first: Waiter, now: Instant) -> None:
        """Sleep until a connection may be free, or somebody's patience ends."""
        # Windows may have room for others before those who wait have left.
        self.delayed()
        if now.seconds >= self._earliest:
            turn = Turn(now.seconds + RETRY_SECONDS, CONNECTIONS)
            self._earliest = math.inf
            for waiter in self._waiters:
                if waiter.refusal is not None:
                    continue
                if waiter.latest_seconds <= now.seconds:
                    waiter.refusal = self._refuse(turn, waiter.units, now)
                    waiter.poke()
                else:
                    self._earliest = min(self._earliest, waiter.latest_seconds)
        await first.nap(self._clock, self._earliest - now.seconds)
