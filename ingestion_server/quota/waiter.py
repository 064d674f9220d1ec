"""A place in the queue, and how one sleeps there."""

from __future__ import annotations

import asyncio
from typing import Final, final

from ingestion_server.domain.errors import QuotaExhaustedError
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import Lane

# Midnight is found by the wall clock, which may be set while somebody waits for it.
_LONGEST_NAP_SECONDS: Final = 60.0


@final
class Waiter:
    """Hold the place of one caller, who looks again when poked."""

    def __init__(self, latest_seconds: float, *, lane: Lane, units: int) -> None:
        """Wait no longer than until then, in monotonic seconds."""
        self.latest_seconds = latest_seconds
        self.lane = lane
        self.units = units
        self.refusal: QuotaExhaustedError | None = None
        """Set when waiting makes no sense any more."""
        # Done as soon as there is a reason to look at the queue again.
        self.poked = asyncio.get_running_loop().create_future()

    def poke(self) -> None:
        """Give a reason to look again."""
        if not self.poked.done():
            self.poked.set_result(None)

    def rearm(self) -> None:
        """Wait for the next reason."""
        if self.poked.done():
            self.poked = asyncio.get_running_loop().create_future()

    async def nap(self, clock: Clock, seconds: float) -> None:
        """Sleep, but not through a poke, and not too long."""
        timer = asyncio.ensure_future(clock.sleep(min(seconds, _LONGEST_NAP_SECONDS)))
        try:
            await asyncio.wait((timer, self.poked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not timer.done():
                timer.cancel()
                await asyncio.wait((timer,))
