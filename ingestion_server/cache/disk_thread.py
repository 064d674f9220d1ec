"""The one thread in which a file is read and written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Final, TypeVar, final

OVERDUE_SECONDS: Final = 0.1
"""A disk that works gives what is asked of it in far less."""
_HANGS_SECONDS: Final = 1.0
"""A busy machine may make a disk overdue; so late it is only if something is wrong."""

Result = TypeVar("Result")


@final
class DiskThread:
    """
    Do work that blocks, one after the other.

    Nothing waits for it at the end of the process, unlike for a thread of an executor:
    a disk that hangs would keep the process for ever.
    """

    def __init__(self, name: str) -> None:
        """Start the thread; it ends after ``close``."""
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._since: float | None = None
        Thread(target=self._run, name=name, daemon=True).start()

    @property
    def patience_seconds(self) -> float:
        """Return for how long what is being done is not overdue; 0 once it is."""
        return max(0.0, OVERDUE_SECONDS - self._busy_seconds)

    @property
    def hangs(self) -> bool:
        """Tell whether what is being done takes so long that people should know."""
        return self._busy_seconds >= _HANGS_SECONDS

    @property
    def _busy_seconds(self) -> float:
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def do(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """Do some work after what was asked for before; return what comes of it."""
        loop = asyncio.get_running_loop()
        flight: asyncio.Future[Result] = loop.create_future()
        self._work.put(partial(_done, work, flight, loop))
        return flight

    def close(self) -> None:
        """End once all is done that was asked for."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            self._since = time.monotonic()
            work()
            self._since = None
            # Else what was written stays in memory until there is more to do.
            del work


def _done(
    work: Callable[[], Result],
    flight: asyncio.Future[Result],
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Do some work, in the thread, and hand over what came of it."""
    try:
        note = partial(_note_result, flight, work())
    except BaseException as error:  # noqa: BLE001 - whoever waits is told
        note = partial(_note_error, flight, error)
    # Who does not run any more does not wait for it either.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(note)


def _note_result(flight: asyncio.Future[Result], result: Result) -> None:
    if not flight.done():
        flight.set_result(result)


def _note_error(flight: asyncio.Future[Result], error: BaseException) -> None:
    if not flight.done():
        flight.set_exception(error)
