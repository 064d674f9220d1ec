"""What was kept in memory, brought to the file a moment later, and read from it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import chain, islice
from typing import Final, final

from ingestion_server.cache.departing import Departing
from ingestion_server.cache.disk_thread import DiskThread
from ingestion_server.cache.history import History
from ingestion_server.cache.saved import Saved
from ingestion_server.cache.segment_file import Change, FileError, SegmentFile
from ingestion_server.cache.series import SeriesKey
from ingestion_server.ports.clock import Clock

_TICK_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_LOG_SECONDS: Final = 60.0
_OPENING_SECONDS: Final = 1.0
_CLOSING_SECONDS: Final = 1.0
_READ_SECONDS: Final = 1.0
"""Nobody waits longer, even for a disk that gets on: a vendor may be faster."""
_MOST_READS: Final = 2000
_BATCH_SERIES: Final = 64
_BATCH_BYTES: Final = 4_000_000
"""What is written in one go, far from overdue; who reads waits as long."""
_MOST_FAILURES: Final = 10
_USED_TICKS: Final = 60
_MOST_ABSENT: Final = 20_000
"""Series of which it is known that the file does not have them."""

_log: Final = logging.getLogger(__name__)


@final
class WriteBehind:
    """
    Write the series that changed, and read those that are asked for.

    All of that happens in one thread, so what is read is what was written before.
    """

    def __init__(
        self,
        file: SegmentFile,
        known: Mapping[SeriesKey, History],
        *,
        most_bytes: int,
        restore: Callable[[SeriesKey, History], None],
    ) -> None:
        """
        Set up; nothing happens outside of ``keeping``.

        Args:
            file: where series are kept.
            known: the series in memory.
            most_bytes: how much of them there may be.
            restore: is handed what was read.

        """
        self.file = file
        self._known = known
        self._most_bytes = most_bytes
        self._restore = restore
        self._dirty: dict[SeriesKey, None] = {}
        self._used: set[SeriesKey] = set()
        self._departing = Departing(most_bytes // 4)
        self._absent: dict[SeriesKey, None] = {}
        self._reading: dict[SeriesKey, asyncio.Future[Saved | None]] = {}
        self._writing: dict[SeriesKey, History | None] = {}
        self._flight: asyncio.Future[list[SeriesKey]] | None = None
        self._disk: DiskThread | None = None
        self._problem = ""
        self._failures = 0
        self._logged_at = -math.inf

    @asynccontextmanager
    async def keeping(self, clock: Clock) -> AsyncIterator[None]:
        """Write once a second, and what is left when the block ends."""
        self._disk = disk = DiskThread("bars")
        try:
            opening = self._write(disk, clock, {}, ())
            await asyncio.wait((opening,), timeout=_OPENING_SECONDS)
            keeper = asyncio.create_task(self._keep(disk, clock), name="bars")
            try:
                yield
            finally:
                keeper.cancel()
                await asyncio.wait((keeper,))
                await self._finish(disk, clock)
        finally:
            self._disk = None
            disk.close()

    @property
    def problem(self) -> str:
        """Return why nothing can be kept in the file; empty if all is well."""
        if self._disk is not None and self._disk.hangs:
            return f"bars cannot be kept in {self.file.path}: the disk hangs"
        return self._problem

    def used(self, key: SeriesKey) -> None:
        """Note that a series was looked at."""
        self._used.add(key)

    def changed(self, key: SeriesKey) -> None:
        """Note that a series in memory has changed."""
        self._dirty[key] = None
        self._absent.pop(key, None)
        self._departing.discard(key)

    def evicted(self, key: SeriesKey, history: History) -> None:
        """Note that a series is not in memory any more."""
        self._dirty.pop(key, None)
        self._used.discard(key)
        if history.dirty or key in self._writing:
            self._departing.add(key, history)

    def dropped(self, key: SeriesKey) -> None:
        """Note that a series is to be forgotten."""
        self._dirty.pop(key, None)
        self._used.discard(key)
        # What is being read just now is not to be believed either.
        self._reading.pop(key, None)
        self._departing.add(key, None)

    async def ready(self, key: SeriesKey) -> None:
        """Have a series in memory that is in the file, unless the disk hangs."""
        if key in self._departing:
            # What is to be deleted is not known either.
            history = self._departing.held(key)
            if history is not None:
                self._departing.discard(key)
                self._dirty[key] = None
                self._restore(key, history)
            return
        disk = self._disk
        if disk is None or key in self._absent or not self.file.is_open:
            return
        flight = self._reading.get(key)
        if flight is None:
            # Whoever has waited in vain did so for all others.
            if not disk.patience_seconds or len(self._reading) >= _MOST_READS:
                return
            flight = disk.do(partial(self.file.load, key, most_bytes=self._most_bytes))
            self._reading[key] = flight
            flight.add_done_callback(partial(self._read, key))
        now = asyncio.get_running_loop().time
        until = now() + _READ_SECONDS
        # What is overdue may be what others asked for.
        while (left := min(disk.patience_seconds, until - now())) > 0:
            # Unlike awaiting it, this leaves it alone when the caller is cancelled.
            done, _ = await asyncio.wait((flight,), timeout=left)
            if done:
                return

    def _read(self, key: SeriesKey, flight: asyncio.Future[Saved | None]) -> None:
        """Take what was read into memory, unless that knows better by now."""
        wanted = self._reading.get(key) is flight
        if wanted:
            del self._reading[key]
        if flight.cancelled():
            return
        error = flight.exception()
        if error is not None:
            if not isinstance(error, FileError):
                _log.error("a series cannot be read", exc_info=error)
            return
        saved = flight.result()
        if not wanted or key in self._known or key in self._departing:
            return
        if saved is not None:
            self._used.add(key)
            self._restore(key, History.restored(key.interval, saved))
            return
        self._absent[key] = None
        if len(self._absent) > _MOST_ABSENT:
            del self._absent[next(iter(self._absent))]

    async def _keep(self, disk: DiskThread, clock: Clock) -> None:
        ticks = 0
        while True:
            pause = min(_TICK_SECONDS * 2**self._failures, _LONGEST_PAUSE_SECONDS)
            await clock.sleep(pause)
            ticks += 1
            await self._write_all(disk, clock, touch=ticks % _USED_TICKS == 0)

    async def _finish(self, disk: DiskThread, clock: Clock) -> None:
        """Write what is left, and close the file; a disk that hangs is left alone."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._write_all(disk, clock, touch=True)
        closing = disk.do(self.file.close)
        await asyncio.wait((closing,), timeout=_CLOSING_SECONDS)

    async def _write_all(self, disk: DiskThread, clock: Clock, *, touch: bool) -> None:
        if self._flight is not None:
            await asyncio.wait((self._flight,))
        used: set[SeriesKey] = set()
        if touch:
            used, self._used = self._used, used
        while (batch := self._batch()) or used or not self.file.is_open:
            await asyncio.wait((self._write(disk, clock, batch, tuple(used)),))
            if self._failures:
                break
            used = set()

    def _batch(self) -> dict[SeriesKey, History | None]:
        """Return what is to be written next, those first that leave memory."""
        batch: dict[SeriesKey, History | None] = {}
        size = 0
        dirty = ((key, self._known[key]) for key in self._dirty)
        for key, history in islice(chain(self._departing, dirty), _BATCH_SERIES):
            batch[key] = history
            size += 0 if history is None else history.nbytes
            if size >= _BATCH_BYTES:
                break
        return batch

    def _write(
        self,
        disk: DiskThread,
        clock: Clock,
        batch: dict[SeriesKey, History | None],
        used: tuple[SeriesKey, ...],
    ) -> asyncio.Future[list[SeriesKey]]:
        """Have some series written; it is noted whether that worked."""
        changes = []
        for key, history in batch.items():
            self._dirty.pop(key, None)
            saved = None if history is None else history.unsaved()
            changes.append(Change(key, saved))
        self._writing = batch
        work = partial(self._written, changes, used, clock.now_ns())
        self._flight = flight = disk.do(work)
        # A callback, since whoever waits may be cancelled.
        flight.add_done_callback(partial(self._note, clock))
        return flight

    def _written(
        self, changes: list[Change], used: tuple[SeriesKey, ...], now_ns: int
    ) -> list[SeriesKey]:
        """Write, in the thread."""
        if not self.file.is_open:
            self.file.open()
        return self.file.save(changes, used, now_ns)

    def _note(self, clock: Clock, flight: asyncio.Future[list[SeriesKey]]) -> None:
        """Note what was written, and what is to be written again."""
        self._flight = None
        batch, self._writing = self._writing, {}
        error = flight.exception()
        again = set(batch) if error is not None else set(flight.result())
        for key, history in batch.items():
            if history is None:
                if key not in again and self._departing.held(key) is None:
                    self._departing.discard(key)
            elif key in again:
                history.save_all()
                if self._known.get(key) is history:
                    self._dirty[key] = None
            elif self._departing.held(key) is history and not history.dirty:
                self._departing.discard(key)
        if error is None:
            self._worked()
        else:
            self._failed(error, clock.monotonic())

    def _worked(self) -> None:
        if self._problem:
            _log.warning("bars can be kept in %s again", self.file.path)
        self._problem = ""
        self._failures = 0

    def _failed(self, error: BaseException, now_seconds: float) -> None:
        self._failures = min(self._failures + 1, _MOST_FAILURES)
        self._problem = str(error) or type(error).__name__
        if now_seconds - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now_seconds
            unexpected = None if isinstance(error, FileError) else error
            _log.error("%s", self._problem, exc_info=unexpected)
