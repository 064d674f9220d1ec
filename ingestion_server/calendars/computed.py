"""Sessions on demand: from memory, from the cache folder, from a child process."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import logging
import math
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ingestion_server.calendars import archive, child
from ingestion_server.domain.sessions import Sessions

_logger = logging.getLogger(__name__)

# Names come from requests, and become part of a path and of a command line.
_NAME: Final = re.compile(r"[A-Za-z0-9_./-]{1,64}")
_CHILDREN: Final = 2
_CHILD_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 60.0
# Names without an answer are remembered, but names that somebody makes up must not
# fill the memory.
_REMEMBERED: Final = 4096


class ComputedCalendars:
    """
    Know the sessions of every exchange that ``exchange_calendars`` knows.

    Use it as an async context manager, which owns the computations and, on leaving,
    kills those that are still running::

        async with ComputedCalendars(cache_folder) as calendars:
            sessions = await calendars.sessions("XNYS")

    An answer that covers less than half a year from now is computed anew. Meanwhile,
    and if that fails, the old one is served.
    """

    def __init__(
        self,
        cache_folder: Path,
        *,
        python: str = sys.executable,
        monotonic: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
        child_seconds: float = _CHILD_SECONDS,
    ) -> None:
        """
        Set up; nothing is read or started yet.

        Args:
            cache_folder: where computed calendars are kept; created when needed. If
                it cannot be written, all works, and is computed once per start.
            python: the interpreter of the child process.
            monotonic: seconds that never go back, for retrying.
            now_ns: nanoseconds since 1970 UTC, for telling how old an answer is.
            child_seconds: how long one computation may take.
        """
        self._folder = cache_folder
        self._python = python
        self._monotonic = monotonic
        self._now_ns = now_ns
        self._child_seconds = child_seconds
        self._known: dict[str, archive.Computed] = {}
        # When to try again those that have no (new) answer; never, if infinite.
        self._retry_at: dict[str, float] = {}
        self._flights: dict[str, asyncio.Future[Sessions | None]] = {}
        self._tasks: set[asyncio.Task[Sessions | None]] = set()
        # Apart from those: nobody waits for the disk, and closing does not cancel it.
        self._writers: set[asyncio.Task[None]] = set()
        self._children = asyncio.Semaphore(_CHILDREN)
        self._entered = False
        self._closed = False
        self._complained_of_folder = False

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            # Not gather(): what they raise went to those who asked.
            await asyncio.wait(tasks)
        if self._writers:
            # A command that asks once and ends shall find the file the next time.
            await asyncio.wait(self._writers)

    def known(self, calendar: str) -> Sessions | None:
        """Return the sessions if they are in memory already; never wait."""
        known = self._known.get(calendar)
        return known.sessions if known else None

    async def sessions(self, calendar: str) -> Sessions | None:
        """
        Return the sessions of a calendar; None if they cannot be had.

        However many ask at the same time, one computation is made; a caller that is
        cancelled does not cancel it. A calendar that the library does not know is
        remembered as such; a computation that failed is tried again by the first
        caller after a minute. After closing, only memory is answered.

        Raises:
            RuntimeError: outside of ``async with``.
        """
        if not self._entered:
            raise RuntimeError("use ComputedCalendars within `async with`")
        known = self._known.get(calendar)
        now_ns = self._now_ns()
        if known is not None and known.fresh(now_ns):
            return known.sessions
        if self._closed or not self._may_try(calendar):
            return self.known(calendar)
        answer = self._flights.get(calendar) or self._start(calendar)
        if known is not None and _reaches(known, now_ns):
            return known.sessions  # good enough until the new one is there
        return await asyncio.shield(answer)

    def _may_try(self, calendar: str) -> bool:
        """Tell whether it is worth looking for a calendar now."""
        if not _NAME.fullmatch(calendar):
            return False
        return self._monotonic() >= self._retry_at.get(calendar, -math.inf)

    def _start(self, calendar: str) -> asyncio.Future[Sessions | None]:
        """Start looking for a calendar, on behalf of everyone who asks."""
        answer: asyncio.Future[Sessions | None]
        answer = asyncio.get_running_loop().create_future()
        self._flights[calendar] = answer
        task = asyncio.create_task(
            self._find(calendar, answer), name=f"calendar:{calendar}"
        )
        self._tasks.add(task)
        # A callback, because a task that is cancelled early runs no `finally`.
        task.add_done_callback(functools.partial(self._land, calendar, answer))
        return answer

    def _land(
        self,
        calendar: str,
        answer: asyncio.Future[Sessions | None],
        task: asyncio.Task[Sessions | None],
    ) -> None:
        """Give everyone the answer, whatever has become of the search."""
        self._tasks.discard(task)
        self._flights.pop(calendar, None)
        bug = None if task.cancelled() else task.exception()
        if bug is not None:
            self._remember(calendar, _RETRY_SECONDS)
        if answer.done():
            if bug is not None:
                _logger.error("looking for calendar %s", calendar, exc_info=bug)
        elif bug is not None:
            answer.set_exception(bug)
        else:
            answer.set_result(self.known(calendar))

    async def _find(
        self, calendar: str, answer: asyncio.Future[Sessions | None]
    ) -> Sessions | None:
        """Look in the folder, else compute; an old answer is given out meanwhile."""
        now_ns = self._now_ns()
        library = await asyncio.to_thread(archive.library_version)
        path = self._folder / archive.file_name(calendar, library)
        kept = await asyncio.to_thread(archive.read, path, calendar, library)
        if kept is not None:
            self._known[calendar] = kept
            if kept.fresh(now_ns):
                return kept.sessions
            if _reaches(kept, now_ns):
                answer.set_result(kept.sessions)
        try:
            data, computed = await self._compute(calendar, library, now_ns)
        except child.UnknownCalendarError as e:
            self._refuse(calendar, e, math.inf)
            return None
        except (child.ChildFailedError, archive.CorruptArchiveError) as e:
            self._refuse(calendar, e, _RETRY_SECONDS)
            return None
        self._known[calendar] = computed
        self._retry_at.pop(calendar, None)
        if not computed.fresh(now_ns):
            self._remember(calendar, _RETRY_SECONDS)
        writer = asyncio.create_task(self._keep(path, data), name=f"keep:{calendar}")
        self._writers.add(writer)
        writer.add_done_callback(self._writers.discard)
        return computed.sessions

    async def _compute(
        self, calendar: str, library: str, now_ns: int
    ) -> tuple[bytes, archive.Computed]:
        """Have a child compute a calendar, and check what it says."""
        today = dt.datetime.fromtimestamp(now_ns // 10**9, tz=dt.UTC)
        command = (
            self._python,
            # Deprecations in pandas are nobody's concern here, even where the
            # environment makes errors of them.
            "-Wignore",
            "-m",
            "ingestion_server.calendars.compute",
            calendar,
            "-",
            today.date().isoformat(),
        )
        async with self._children:
            data = await child.run(command, seconds=self._child_seconds)
        computed = await asyncio.to_thread(archive.decode, data, calendar, library)
        return data, computed

    async def _keep(self, path: Path, data: bytes) -> None:
        """Write the file for the next start, if that is possible."""
        try:
            await asyncio.to_thread(archive.write, path, data)
        except OSError as e:
            if not self._complained_of_folder:
                self._complained_of_folder = True
                _logger.warning(
                    "calendars cannot be kept in %s (%s): they are computed again at"
                    " every start; make the folder writable, or choose another",
                    self._folder,
                    e,
                )

    def _refuse(self, calendar: str, reason: Exception, seconds: float) -> None:
        """Remember that there is no answer, and say so once."""
        if calendar not in self._retry_at:
            unknown = isinstance(reason, child.UnknownCalendarError)
            _logger.warning(
                "calendar %s cannot be computed (%s): %s; %s",
                calendar,
                reason,
                "the sessions that are known already are kept"
                if calendar in self._known
                else "its sessions count as unknown",
                "check its name, or upgrade exchange_calendars"
                if unknown
                else "it is tried again in a minute; to see all of the error, run "
                f"`python -m ingestion_server.calendars.compute {calendar} out.npz`",
            )
        self._remember(calendar, seconds)

    def _remember(self, calendar: str, seconds: float) -> None:
        """Leave a calendar alone for some time."""
        self._retry_at[calendar] = self._monotonic() + seconds
        if len(self._retry_at) > _REMEMBERED:
            del self._retry_at[next(iter(self._retry_at))]


def _reaches(computed: archive.Computed, now_ns: int) -> bool:
    """Tell whether an answer, be it old, still says something about today."""
    return computed.sessions.covers_until_ns > now_ns
