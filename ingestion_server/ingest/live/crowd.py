"""Who is behind: one is dealt with alone, but if many are, all wait for a moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, final

SHARE: Final = 512
"""After so many items it is looked whether readers keep up."""
CROWDED_ITEMS: Final = 1024
"""Who has so many to read is behind."""
_READING_SECONDS: Final = 0.05
"""Who has read nothing for so long is not waited for."""
_CROWD: Final = 4
"""If one of so many readers is behind, more is not read for a moment."""
_MOST_WAITS: Final = 4


class Reader(Protocol):
    """Be somebody who reads."""

    read_at: float
    """When something was last taken, in monotonic seconds."""
    crowd: Crowd | None
    """Who is told once no more than a few items are left."""

    @property
    def waiting(self) -> bool:
        """Return whether there is nothing to read."""
        ...

    @property
    def items(self) -> int:
        """Return how much waits to be read."""
        ...

    @property
    def behind(self) -> bool:
        """Return whether something was left out that it has not been told of yet."""
        ...

    @property
    def dropped(self) -> tuple[str, int]:
        """Return what it has chosen for when it is behind, and how much that cost."""
        ...


@final
class Crowd:
    """Be those who are behind, until only so many of them are."""

    def __init__(self, readers: Sequence[Reader], allowed: int) -> None:
        self._behind = len(readers) - allowed
        self._cleared = asyncio.Event()
        for reader in readers:
            reader.crowd = self

    def caught_up(self) -> None:
        """Hear that one of them is not behind any more."""
        self._behind -= 1
        if self._behind <= 0:
            self._cleared.set()

    async def cleared(self, seconds: float) -> None:
        """Wait until enough have caught up, but no longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._cleared.wait()


@final
class Readers:
    """Know all who read, and wait for them if many are behind."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._readers: dict[Reader, None] = {}
        self._dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._readers)

    def add(self, reader: Reader) -> None:
        """Count somebody in."""
        self._readers[reader] = None

    def remove(self, reader: Reader) -> None:
        """Count somebody out, who may never have been in."""
        if reader in self._readers:
            del self._readers[reader]
            choice, count = reader.dropped
            self._dropped[choice] += count

    @property
    def slow(self) -> int:
        """Return how many are behind."""
        return sum(
            reader.behind or reader.items >= CROWDED_ITEMS for reader in self._readers
        )

    @property
    def dropped(self) -> Mapping[str, int]:
        """Return how much was left out since the start, by what was chosen."""
        dropped = self._dropped.copy()
        for reader in self._readers:
            choice, count = reader.dropped
            dropped[choice] += count
        return dropped

    async def caught_up(self) -> None:
        """Give them a moment if many are behind."""
        for _ in range(_MOST_WAITS):
            crowd = self._crowd()
            if crowd is None:
                break
            await crowd.cleared(_READING_SECONDS)

    def _crowd(self) -> Crowd | None:
        """Return those who are behind if they are many: then it is us, not them."""
        now = self._monotonic()
        reading, crowded = 0, list[Reader]()
        for reader in self._readers:
            if reader.waiting or now - reader.read_at < _READING_SECONDS:
                reading += 1
                if reader.items >= CROWDED_ITEMS:
                    crowded.append(reader)
        allowed = reading // _CROWD
        return Crowd(crowded, allowed) if len(crowded) > allowed else None
