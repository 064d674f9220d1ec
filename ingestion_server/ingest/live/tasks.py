"""Work that is done beside the streams, and ends with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final, final

from ingestion_server.ports.tracing import detached

_log: Final = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[None, None, None], str], None]
"""Do some work, which has a name."""


@final
class Tasks:
    """Hold the work that is under way."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], None] = {}

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Do some work; a defect of it is told, and ends nothing else."""
        # It is for all who listen, and not for the one who came first.
        task = asyncio.create_task(_guarded(work, name), name=name, context=detached())
        self._tasks[task] = None

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.pop(task, None)
            # If it was cancelled before it began, nobody else has closed it.
            work.close()

        task.add_done_callback(ended)

    async def end(self) -> None:
        """Cancel all that is under way, and wait for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _guarded(work: Coroutine[None, None, None], name: str) -> None:
    try:
        await work
    except Exception:  # noqa: BLE001 - the others go on
        _log.exception("%s met a defect", name)
