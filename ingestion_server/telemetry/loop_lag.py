"""
How late the event loop wakes those who sleep.

Everybody who waits for anything waits as much longer, so a loop that stands still is
a server that does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from itertools import accumulate
from pathlib import Path
from typing import Final, final

_LOGGER: Final = logging.getLogger("ingestion_server.loop")
PERIOD_SECONDS: Final = 0.05
"""How often it is looked. What begins between two looks seems by so much shorter."""
IDLE_SECONDS: Final = 0.25
"""
The same while the loop has next to nothing to do.

A machine that sleeps takes up to a fifth of a millisecond to wake: so the watch takes
less than a thousandth of one core of a server that nobody asks.
"""
_STALL_SECONDS: Final = 0.1
"""A longer lag is told: callers notice it."""
_BUSY: Final = 0.02
"""A loop that works for less of its time than this is idle."""
BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
"""Lags up to each of these are counted together."""
_SCHEDULE: Final = Path("/proc/thread-self/schedstat")
_NS_PER_SECOND: Final = 1_000_000_000


def processor_wait() -> float:
    """
    Return for how many seconds this thread could have run, but others did.

    Since its start, and only on Linux; elsewhere nobody tells, and it is 0.
    """
    try:
        # Of the kernel's memory, not of a disk.
        return int(_SCHEDULE.read_bytes().split()[1]) / _NS_PER_SECOND
    except (OSError, IndexError, ValueError):
        return 0.0


@final
class LoopLag:
    """
    Measure how late the loop wakes a task that sleeps, again and again.

    What the machine had no processor for is told apart: the rest is the server's own
    doing. A stall of its own is logged as a warning, but at most once in so many
    seconds; the next line says how many there were since.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        waited: Callable[[], float] = processor_wait,
        worked: Callable[[], float] = time.thread_time,
        quiet_seconds: float = 60.0,
    ) -> None:
        """
        Begin with nothing measured.

        Args:
            monotonic: a clock that stands still while the machine sleeps: that is
                nobody's stall.
            sleep: waits for so many seconds.
            waited: how long the loop's thread was kept from a processor so far.
            worked: how long it had one.
            quiet_seconds: how long after a line there is no other.

        """
        self._monotonic = monotonic
        self._sleep = sleep
        self._waited = waited
        self._worked = worked
        self._quiet_seconds = quiet_seconds
        self._counts = [0] * (len(BUCKETS_SECONDS) + 1)
        self.total_seconds = 0.0
        """All lags together."""
        self.longest_seconds = 0.0
        """The longest since the start."""
        self.longest_own_seconds = 0.0
        """The same without what the loop's thread waited for a processor meanwhile."""
        self._logged_at_seconds = float("-inf")
        self._left_out = 0

    async def watch(self) -> None:
        """Measure until cancelled."""
        waited, worked, period = self._waited(), self._worked(), PERIOD_SECONDS
        while True:
            due_seconds = self._monotonic() + period
            await self._sleep(period)
            lag_seconds = max(self._monotonic() - due_seconds, 0.0)
            before, waited = waited, self._waited()
            self._note(lag_seconds, min(waited - before, lag_seconds))
            before, worked = worked, self._worked()
            idle = worked - before < _BUSY * period
            period = IDLE_SECONDS if idle else PERIOD_SECONDS

    def counts(self) -> list[int]:
        """Return how many lags were no longer than each limit; last, how many all."""
        return list(accumulate(self._counts))

    def _note(self, lag_seconds: float, waited_seconds: float) -> None:
        self._counts[bisect_left(BUCKETS_SECONDS, lag_seconds)] += 1
        self.total_seconds += lag_seconds
        self.longest_seconds = max(self.longest_seconds, lag_seconds)
        own_seconds = lag_seconds - waited_seconds
        self.longest_own_seconds = max(self.longest_own_seconds, own_seconds)
        if lag_seconds - waited_seconds > _STALL_SECONDS:
            # A log that cannot be written is no reason to look away.
            with contextlib.suppress(Exception):
                self._tell(lag_seconds, waited_seconds)

    def _tell(self, lag_seconds: float, waited_seconds: float) -> None:
        now = self._monotonic()
        if now - self._logged_at_seconds < self._quiet_seconds:
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        self._logged_at_seconds = now
        _LOGGER.warning(
            "the event loop stood still for %.0f ms, %.0f of them for want of a "
            "processor%s",
            lag_seconds * 1000,
            waited_seconds * 1000,
            f" (and {left_out} times since the last line)" if left_out else "",
            extra={
                "facts": {
                    "seconds": lag_seconds,
                    "waited_seconds": waited_seconds,
                    "left_out": left_out,
                }
            },
        )
