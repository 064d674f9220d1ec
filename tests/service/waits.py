"""Waiting for events that a test adds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from tests.clocks import ManualClock


class Numbered(Protocol):
    """Be one of many."""

    @property
    def number(self) -> int:
        """Return its place."""
        ...


_Event = TypeVar("_Event", bound=Numbered)


class Waits(Generic[_Event]):
    """Keep events, and whom they are waited for by."""

    def __init__(self, clock: ManualClock) -> None:
        self.begun: asyncio.Queue[float] = asyncio.Queue()
        """How long each watcher wants to wait for an event, once it does."""
        self.left: asyncio.Queue[None] = asyncio.Queue()
        """Somebody waits no more."""
        self._clock = clock
        self._events: list[_Event] = []
        self._changed = asyncio.Condition()

    async def add(self, *events: _Event) -> None:
        """Add events."""
        async with self._changed:
            self._events += events
            self._changed.notify_all()

    def after(self, number: int) -> Sequence[_Event]:
        """Return the events with higher numbers."""
        return [one for one in self._events if one.number > number]

    async def changed(self, after: int, within_seconds: float) -> None:
        """Wait for a newer event, or for the clock."""
        self.begun.put_nowait(within_seconds)
        try:
            async with self._clock.timeout(within_seconds), self._changed:
                await self._changed.wait_for(lambda: self.after(after))
        except TimeoutError:
            pass
        finally:
            self.left.put_nowait(None)
