"""What has happened to vendors of late, for those who watch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, final

from ingestion_server.ports.clock import Clock
from ingestion_server.ports.policy import BreakerPosition
from ingestion_server.ports.routing import BreakerChange, Event, EventKind

_KEPT: Final = 100
_MOVES: Final = {
    BreakerPosition.OPEN: EventKind.BREAKER_OPENED,
    BreakerPosition.HALF_OPEN: EventKind.BREAKER_HALF_OPEN,
    BreakerPosition.CLOSED: EventKind.BREAKER_CLOSED,
}


@final
class Events:
    """Keep the latest events; a listener to breakers."""

    def __init__(self, clock: Clock) -> None:
        """Start with none."""
        self._clock = clock
        self._kept: deque[Event] = deque(maxlen=_KEPT)
        self._newer = asyncio.Event()

    def __call__(self, change: BreakerChange) -> None:
        """Hear that a breaker has moved."""
        rest = f", rests for {change.rest_seconds:g} s" if change.rest_seconds else ""
        self.add(
            _MOVES[change.position],
            change.provider,
            f"{change.reason or 'no failure'}{rest}",
            data_kind=change.kind,
        )

    def add(
        self, kind: EventKind, provider: str, detail: str, *, data_kind: str = ""
    ) -> None:
        """Keep one more, and wake those who wait."""
        last = self._kept[-1].number if self._kept else 0
        self._kept.append(
            Event(
                number=last + 1,
                kind=kind,
                provider=provider,
                data_kind=data_kind,
                at_ns=self._clock.now_ns(),
                detail=detail,
            )
        )
        self._newer.set()
        self._newer = asyncio.Event()

    def after(self, number: int) -> Sequence[Event]:
        """Return those with higher numbers, oldest first."""
        return [event for event in self._kept if event.number > number]

    async def changed(self, after: int, *, within_seconds: float) -> None:
        """Wait until there is a newer one, but not longer."""
        if self.after(after):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await self._newer.wait()
