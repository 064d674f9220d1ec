"""The shell around the decisions: callers wait here, in the order they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, final

import msgspec
from typing_extensions import override

from ingestion_server.domain.errors import QuotaExhaustedError
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.provider import Window
from ingestion_server.ports.quota import Debit, Quota, WindowUse
from ingestion_server.quota.admission import LONG_AGO, Outlook, Turn, admit, waits
from ingestion_server.quota.meters import Instant, meter
from ingestion_server.quota.waiter import Waiter

MARGIN_SECONDS: Final = 0.02
"""
How much longer than the vendor a window is: calls do not all travel equally fast.

With 3 ms of jitter nothing was refused in 600 calls, and 0.98 of a window was used.
"""


class Cooldown(msgspec.Struct, frozen=True):
    """Say how long a vendor is left alone that says "not now" but not until when."""

    first_seconds: float = 300.0
    most_seconds: float = 3600.0
    """Each refusal doubles the pause up to this; a success starts anew."""


@final
class RollingQuota(Quota):
    """
    Let calls of one vendor's key leave only when they fit all its windows.

    A call counts from the moment it is let go, whatever becomes of it, for the
    window's length and a margin. Callers are served in the order they came; one that
    is cancelled leaves neither a debit nor a gap.

    It remembers in memory only: until there is a ledger that survives a restart, a
    server that starts anew does not know what its predecessor used of the day.
    """

    def __init__(
        self,
        provider: str,
        windows: Sequence[Window],
        clock: Clock,
        *,
        margin_seconds: float = MARGIN_SECONDS,
        cooldown: Cooldown = Cooldown(),  # noqa: B008 -- frozen
    ) -> None:
        """
        Start with empty windows.

        Raises:
            ValueError: a window lets nothing through, or has no length.

        """
        self._provider = provider
        self._clock = clock
        self._margin_seconds = margin_seconds
        self._cooldown = cooldown
        self._meters = [meter(window, margin_seconds) for window in windows]
        self._ban = LONG_AGO
        # Refusals without a time, since the last success.
        self._bans = 0
        self._queue: deque[Waiter] = deque()
        # What the queue will use; None once anything else has happened.
        self._outlook: Outlook | None = None

    @override
    async def reserve(
        self, *, longest_wait_seconds: float, urgent: bool = True
    ) -> Debit:
        """
        Wait for the turn of one call, and count it; who is urgent goes first.

        Raises:
            QuotaExhaustedError: at once, if the wait would be longer; or later, if
                the vendor is heard to refuse calls meanwhile. It names the window
                and tells when the call would have its turn.

        """
        now = self._now()
        turn = self._turn_of(now, urgent=urgent)
        latest_seconds = now.seconds + max(longest_wait_seconds, 0.0)
        if turn.at_seconds > latest_seconds:
            raise self._refusal(turn, now)
        if not self._queue and turn.at_seconds <= now.seconds:
            return self._debit(now)
        waiter = Waiter(latest_seconds, urgent=urgent)
        self._enqueue(waiter, now)
        try:
            return await self._wait(waiter)
        finally:
            self._queue.remove(waiter)
            self._changed()

    @override
    def refund(self, debit: Debit) -> None:
        """Take back a call that never left."""
        at = Instant(debit.at_seconds, debit.at_ns)
        for each in self._meters:
            each.refund(at)
        self._changed()

    @override
    def arrived(self, debit: Debit) -> None:
        """Count a call from now on: it cannot have reached the vendor later."""
        left, now = Instant(debit.at_seconds, debit.at_ns), self._now()
        for each in self._meters:
            each.arrive(left, now)
        self._changed()

    @override
    def penalise(self, *, retry_after_seconds: float | None, window: str) -> None:
        """
        Let nothing leave for a while, because the vendor said: not now.

        Args:
            retry_after_seconds: how long, if the vendor says so.
            window: what the vendor names. If it does not say how long, one of our
                windows counts as full; for any other the cooldown holds, once for
                all the calls that were under way.

        """
        now = self._now()
        named = next((m for m in self._meters if m.window.name == window), None)
        if retry_after_seconds is not None and retry_after_seconds > 0:
            until_seconds = now.seconds + retry_after_seconds + self._margin_seconds
        elif named is not None:
            until_seconds = named.full_until(now)
        elif now.seconds < self._ban.at_seconds:
            return
        else:
            # More doublings than this only overflow.
            doubled = self._cooldown.first_seconds * 2.0 ** min(self._bans, 60)
            until_seconds = now.seconds + min(doubled, self._cooldown.most_seconds)
            self._bans += 1
        if until_seconds > self._ban.at_seconds:
            self._ban = Turn(until_seconds, window)
            self._dismiss(now)
            self._changed()

    @override
    def note_success(self) -> None:
        """Hear that the vendor answered; an answer from before a refusal is none."""
        if self._bans and self._clock.monotonic() >= self._ban.at_seconds:
            self._bans = 0

    @override
    def available_in(self) -> float:
        """Return how long a call that is asked for now would wait; 0 = not at all."""
        now = self._now()
        return self._next_turn(now).at_seconds - now.seconds

    @override
    def usage(self) -> Sequence[WindowUse]:
        """Return what is left of each window, not counting those who wait."""
        now = self._now()
        return [
            WindowUse(
                window=each.window.name,
                limit=each.window.calls,
                used=each.used(now),
                free_in_seconds=each.free_at(now) - now.seconds,
            )
            for each in self._meters
        ]

    async def _wait(self, waiter: Waiter) -> Debit:
        while waiter.refusal is None:
            waiter.rearm()
            if waiter is not self._queue[0]:
                await waiter.poked
                continue
            now = self._now()
            turn = waits(self._meters, self._ban, now)
            if turn.at_seconds <= now.seconds:
                return self._debit(now)
            if turn.at_seconds > waiter.latest_seconds:
                raise self._refusal(turn, now)
            await waiter.nap(self._clock, turn.at_seconds - now.seconds)
        raise waiter.refusal

    def _debit(self, now: Instant) -> Debit:
        # Nothing may be awaited between this and the caller's send.
        admit(self._meters, now)
        self._outlook = None
        return Debit(at_seconds=now.seconds, at_ns=now.wall_ns)

    def _next_turn(self, now: Instant) -> Turn:
        """Return the turn of a call that comes now, behind those who wait."""
        if not self._queue:
            return waits(self._meters, self._ban, now)
        return self._foresee(now).next_turn(now)

    def _foresee(self, now: Instant) -> Outlook:
        """Return what will be left when everyone who waits has had a turn."""
        if self._outlook is None:
            self._outlook = Outlook(self._meters, self._ban)
            for waiter in self._queue:
                if waiter.refusal is None:
                    self._outlook.book(now)
        return self._outlook

    def _turn_of(self, now: Instant, *, urgent: bool) -> Turn:
        """Return the turn of one more call, behind those that go before it."""
        if not urgent or all(waiter.urgent for waiter in self._queue):
            return self._next_turn(now)
        outlook = Outlook(self._meters, self._ban)
        for waiter in self._queue:
            if waiter.urgent and waiter.refusal is None:
                outlook.book(now)
        return outlook.next_turn(now)

    def _enqueue(self, waiter: Waiter, now: Instant) -> None:
        """Put a waiter behind its equals; who is urgent passes who is not."""
        place = len(self._queue)
        while waiter.urgent and place and not self._queue[place - 1].urgent:
            place -= 1
        if place == len(self._queue):
            self._foresee(now).book(now)
            self._queue.append(waiter)
            return
        self._queue.insert(place, waiter)
        self._dismiss(now)
        self._changed()

    def _dismiss(self, now: Instant) -> None:
        """Tell those who would now wait too long, instead of keeping them."""
        outlook = Outlook(self._meters, self._ban)
        for waiter in self._queue:
            turn = outlook.next_turn(now)
            if turn.at_seconds > waiter.latest_seconds:
                waiter.refusal = waiter.refusal or self._refusal(turn, now)
                waiter.poke()
            else:
                outlook.book(now)

    def _changed(self) -> None:
        """Forget what was foreseen, and have the first in the queue look again."""
        self._outlook = None
        if self._queue:
            self._queue[0].poke()

    def _refusal(self, turn: Turn, now: Instant) -> QuotaExhaustedError:
        seconds = turn.at_seconds - now.seconds
        # A window that only the vendor knows is none of ours: nothing is counted.
        told = "".join(
            f" ({use.used} of {use.limit} calls used)"
            for use in self.usage()
            if use.window == turn.window
        )
        return QuotaExhaustedError(
            f"no call to {self._provider} fits its window {turn.window!r}{told}"
            f" for another {seconds:.3g} seconds",
            provider=self._provider,
            window=turn.window,
            retry_after_seconds=seconds,
        )

    def _now(self) -> Instant:
        return Instant(self._clock.monotonic(), self._clock.now_ns())
