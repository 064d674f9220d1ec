"""What has changed of jobs, for those who wait for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, final

from ingestion_server.domain.jobs import Unit

_MOST_UNITS: Final = 100
_RECENT: Final = 32
"""So many ends of units tell how fast a job is."""


@final
class Bulletin:
    """Be the news of one job, as long as it is worked on or watched."""

    def __init__(self) -> None:
        self.version = 0
        """Grows with every change."""
        self._units: deque[tuple[int, Unit]] = deque(maxlen=_MOST_UNITS)
        self._ended_at: deque[float] = deque(maxlen=_RECENT)
        self._changed = asyncio.Event()

    def change(self) -> None:
        """Tell that something has changed."""
        self.version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def ended(self, unit: Unit, at_seconds: float) -> None:
        """Tell that a unit has ended, in monotonic seconds."""
        self._units.append((self.version + 1, unit))
        self._ended_at.append(at_seconds)
        self.change()

    def began(self) -> None:
        """Tell that units are begun, after there were none: how fast is not known."""
        self._ended_at.clear()

    async def news(self, after: int) -> None:
        """Wait until something has changed since a version."""
        while self.version <= after:
            await self._changed.wait()

    def units(self, after: int) -> Sequence[Unit]:
        """Return the units that have ended since a version."""
        return [unit for version, unit in self._units if version > after]

    def units_per_second(self, now: float) -> float:
        """Return how many units ended in a second, of late; 0 = unknown."""
        if len(self._ended_at) < 2:  # noqa: PLR2004 - a pair
            return 0.0
        took = now - self._ended_at[0]
        return (len(self._ended_at) - 1) / took if took > 0 else 0.0


@final
class Bulletins:
    """Have a bulletin for each job that somebody is concerned with."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Bulletin, int]] = {}

    def take(self, job_id: str) -> Bulletin:
        """Return a job's, which lasts until it is given back as often as taken."""
        bulletin, taken = self._kept.get(job_id) or (Bulletin(), 0)
        self._kept[job_id] = bulletin, taken + 1
        return bulletin

    def give_back(self, job_id: str) -> None:
        """Be concerned no more."""
        bulletin, taken = self._kept[job_id]
        if taken > 1:
            self._kept[job_id] = bulletin, taken - 1
        else:
            del self._kept[job_id]

    def of(self, job_id: str) -> Bulletin | None:
        """Return a job's, if somebody is concerned with it."""
        kept = self._kept.get(job_id)
        return None if kept is None else kept[0]

    def change(self, job_id: str) -> None:
        """Tell that something has changed of a job."""
        bulletin = self.of(job_id)
        if bulletin is not None:
            bulletin.change()
