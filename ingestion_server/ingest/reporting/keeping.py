"""Have what is counted kept, again and again, whatever becomes of the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, final

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.service_counts import MINUTE_NS
from ingestion_server.ingest.reporting.tally import Due, Tally
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.reporting import ReportStore

_log: Final = logging.getLogger(__name__)
_HOUR_NS: Final = 60 * MINUTE_NS
_LAST_SECONDS: Final = 5.0
"""What the last write may take: nobody waits longer for a server that stops."""
_PATIENCE_SECONDS: Final = 20.0
"""How long a write may take before it counts as one that cannot be done."""
_TIDYING_SECONDS: Final = 60.0
"""Likewise; what is begun goes on. It must end before silence counts as sleep."""
_QUIET_SECONDS: Final = 60.0
"""Between two lines of log about the same trouble."""


@final
class Keeper:
    """Write what a tally has counted; a store that fails or hangs disturbs nobody."""

    def __init__(
        self,
        tally: Tally,
        store: ReportStore,
        clock: Clock,
        *,
        write_seconds: float,
        retention_days: int,
    ) -> None:
        self._tally = tally
        self._store = store
        self._clock = clock
        self._write_seconds = write_seconds
        self._retention_days = retention_days
        self._writing: asyncio.Task[None] | None = None
        self._due: Due | None = None
        self._first_stint = tally.due().stints[-1].name
        self._tidied_hour = 0
        self._trouble = ""
        self._said_at = float("-inf")

    @property
    def trouble(self) -> str:
        """Return why nothing can be kept at the moment; empty if all is well."""
        return self._trouble

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Write every so often while the block lasts, and once more when it ends."""
        task = asyncio.create_task(self._keep(), name="report counts")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._end()

    async def _keep(self) -> None:
        while True:
            # First of all: nobody who waits for the server to start waits for this,
            # and a server that cannot start leaves no trace.
            await self._clock.sleep(self._write_seconds)
            if await self._written(_PATIENCE_SECONDS):
                await self._tidy()

    async def _end(self) -> None:
        if self._due is None and not self._tally.due().counted:
            # It has hardly run, or could not start.
            return
        ends = asyncio.get_running_loop().time() + _LAST_SECONDS
        if self._writing is not None:
            # It was begun before the last calls ended.
            await self._written(_LAST_SECONDS)
        await self._written(max(ends - asyncio.get_running_loop().time(), 0.0))
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _written(self, patience_seconds: float) -> bool:
        """Write what is due, or go on waiting for what was begun."""
        self._tally.look()
        if self._writing is None:
            self._due = self._tally.due()
            self._writing = asyncio.create_task(
                self._store.keep(self._due.stints, self._due.counted)
            )
        await asyncio.wait((self._writing,), timeout=patience_seconds)
        if not self._writing.done():
            self._fail(f"no answer within {patience_seconds:g} s")
            return False
        task, self._writing = self._writing, None
        try:
            task.result()
        except StateUnavailableError as error:
            self._fail(error.message)
            return False
        except Exception as error:  # noqa: BLE001 - a defect must not end the counting
            self._fail(f"a defect: {error!r}")
            return False
        if self._due is not None:
            self._tally.kept(self._due)
        if self._trouble:
            _log.info("what is counted for reports is kept again")
        self._trouble = ""
        return True

    async def _tidy(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns // _HOUR_NS == self._tidied_hour or self._is_doubtful(now_ns):
            return
        # Even if it fails: it is large, and nothing is lost by another hour.
        self._tidied_hour = now_ns // _HOUR_NS
        try:
            async with asyncio.timeout(_TIDYING_SECONDS):
                await self._store.tidy(now_ns, self._retention_days)
        except StateUnavailableError as error:
            _log.warning("counts for reports cannot be tidied up: %s", error.message)
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("counts for reports cannot be tidied up: %r", error)

    def _is_doubtful(self, now_ns: int) -> bool:
        """Return whether the clock has leapt of late: all might look too old by it."""
        if self._due is None:
            return True
        stint = self._due.stints[-1]
        return stint.name != self._first_stint and now_ns - stint.started_ns < _HOUR_NS

    def _fail(self, why: str) -> None:
        self._trouble = why
        now = self._clock.monotonic()
        if now - self._said_at >= _QUIET_SECONDS:
            self._said_at = now
            _log.warning("what is counted for reports cannot be kept: %s", why)
