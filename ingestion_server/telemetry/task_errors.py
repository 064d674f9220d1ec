"""Errors of tasks and callbacks that nobody waits for: each of them is a defect."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, Final, final

_LOGGER: Final = logging.getLogger("ingestion_server.loop")


@final
class TaskErrors:
    """Count them, and write a line of log for each."""

    def __init__(self) -> None:
        """Begin with none."""
        self.count = 0
        """How many there were since the start."""

    @contextlib.asynccontextmanager
    async def caught(self, loop: asyncio.AbstractEventLoop) -> AsyncIterator[None]:
        """Hear of those of a loop until the block ends; then who heard before does."""
        before = loop.get_exception_handler()
        loop.set_exception_handler(self._heard)
        try:
            yield
        finally:
            loop.set_exception_handler(before)

    def _heard(
        self,
        _loop: asyncio.AbstractEventLoop,
        context: dict[str, Any],
    ) -> None:
        self.count += 1
        # The loop would take an error in here for another one.
        with contextlib.suppress(Exception):
            whose = (
                context.get("task") or context.get("future") or context.get("handle")
            )
            _LOGGER.error(
                "an error that nobody waits for: %s (%r)",
                context["message"],
                whose,
                exc_info=context.get("exception"),
            )
