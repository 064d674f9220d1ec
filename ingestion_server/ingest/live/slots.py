"""Doing only so much at once, and letting only so many wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import final


@final
class Slots:
    """Let so many work at once, and so many be there at all."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._work = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._there = 0

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Take a place while the block lasts; False if there is none, then leave."""
        if self._there >= self._most:
            yield False
            return
        self._there += 1
        try:
            yield True
        finally:
            self._there -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn to work, which ends with the block."""
        async with self._work:
            yield
