"""All series that are known, within a bound of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

from ingestion_server.cache.history import History
from ingestion_server.cache.segment_file import SegmentFile
from ingestion_server.cache.series import Delivery, Kept, Known, Life, SeriesKey
from ingestion_server.cache.write_behind import WriteBehind
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.query import Span
from ingestion_server.ports.caching import CacheCounts, CacheUse
from ingestion_server.ports.clock import Clock


@final
class Segments:
    """
    Keep what vendors have delivered; the series used longest ago goes first.

    ``generation`` rises whenever something that was known turned out to be otherwise:
    a bar was revised, or a series dropped. Making room is no such thing.
    """

    def __init__(
        self,
        *,
        limit_bytes: int,
        counts: CacheCounts,
        file: SegmentFile | None = None,
    ) -> None:
        """
        Begin with nothing in memory.

        Args:
            limit_bytes: how much memory all series may take together.
            counts: is told of evictions, revisions and dropped series.
            file: where series outlive the process; None = nowhere.

        """
        self.generation = 0
        self._limit_bytes = limit_bytes
        self._counts = counts
        self._known: OrderedDict[SeriesKey, History] = OrderedDict()
        self._bytes = 0
        self._bars = 0
        self._file: WriteBehind | None = None
        if file is not None:
            self._file = WriteBehind(
                file, self._known, most_bytes=limit_bytes, restore=self._add
            )

    @asynccontextmanager
    async def keeping(self, clock: Clock) -> AsyncIterator[None]:
        """Keep the file, if there is one, until the block ends; that waits for it."""
        if self._file is None:
            yield
            return
        async with self._file.keeping(clock):
            yield

    async def ready(self, key: SeriesKey) -> None:
        """
        Have a series in memory if the file has it; without one, that is done at once.

        However many ask for it at the same time, it is read once. What cannot be read
        is not known, which is no failure: ``use`` tells why.
        """
        if self._file is not None and key not in self._known:
            await self._file.ready(key)

    def look(
        self, key: SeriesKey, span: Span, *, now_ns: int, life: Life, day: int | None
    ) -> Known | None:
        """
        Return what is known of a span of a series; None if nothing is of the series.

        Args:
            key: the series.
            span: what is wanted.
            now_ns: the wall clock.
            life: how long things are good.
            day: the exchange's date, in days since 1970; None = prices are never
                adjusted.

        """
        history = self._credible(key, now_ns)
        if history is None:
            return None
        self._known.move_to_end(key)
        if self._file is not None:
            self._file.used(key)
        return history.look(span, now_ns=now_ns, life=life, day=day)

    def stale(
        self,
        key: SeriesKey,
        span: Span,
        *,
        now_ns: int,
        oldest_seconds: float,
        day: int | None,
    ) -> Known | None:
        """
        Return what is known of a span, that which may have changed since included.

        Args:
            key: the series.
            span: what is wanted.
            now_ns: the wall clock.
            oldest_seconds: how old forming bars, and the last look at the basis of
                adjusted prices, may be.
            day: the exchange's date; None = prices are never adjusted.

        Returns:
            None if this adds nothing to what ``look`` returns.

        """
        history = self._credible(key, now_ns)
        if history is None:
            return None
        return history.stale(
            span, now_ns=now_ns, oldest_seconds=oldest_seconds, day=day
        )

    def keep(self, key: SeriesKey, delivery: Delivery) -> Kept:
        """Remember what a vendor gave."""
        history = self._credible(key, delivery.received_at_ns)
        if history is None:
            history = History(key.interval)
        else:
            self._remove(key)
        kept = history.keep(delivery)
        self._counts.revised += kept.revised
        self._counts.rebased += kept.rebased
        if kept.revised or kept.rebased:
            self.generation += 1
        if self._file is not None:
            self._file.changed(key)
        self._add(key, history)
        return kept

    def drop(self, key: SeriesKey) -> None:
        """Forget a series, in the file as well."""
        if key in self._known:
            self._remove(key)
        self.generation += 1
        if self._file is not None:
            self._file.dropped(key)

    def _credible(self, key: SeriesKey, now_ns: int) -> History | None:
        """Return what is known of a series; what a wrong clock stamped is dropped."""
        history = self._known.get(key)
        if history is not None and history.ahead(now_ns):
            self.drop(key)
            return None
        return history

    def _add(self, key: SeriesKey, history: History) -> None:
        """Have a series in memory, and make room for it."""
        self._known[key] = history
        self._bytes += history.nbytes
        self._bars += history.bars
        if history.nbytes > self._limit_bytes:
            # All others would go, and it would not fit even then.
            self._remove(key)
            if self._file is not None:
                self._file.dropped(key)
        while self._bytes > self._limit_bytes:
            oldest = next(iter(self._known))
            leaving = self._remove(oldest)
            self._counts.evictions += 1
            if self._file is not None:
                self._file.evicted(oldest, leaving)

    def _remove(self, key: SeriesKey) -> History:
        history = self._known.pop(key)
        self._bytes -= history.nbytes
        self._bars -= history.bars
        return history

    def use(self, now_ns: int) -> CacheUse:
        """Tell what is kept."""
        came_ns = [history.oldest_forming_ns for history in self._known.values()]
        oldest_ns = min((each for each in came_ns if each is not None), default=None)
        return CacheUse(
            enabled=True,
            counts=self._counts,
            bytes=self._bytes,
            limit_bytes=self._limit_bytes,
            file_bytes=0 if self._file is None else self._file.file.bytes,
            limit_file_bytes=0 if self._file is None else self._file.file.limit_bytes,
            file_problem="" if self._file is None else self._file.problem,
            series=len(self._known),
            bars=self._bars,
            oldest_forming_seconds=(
                None if oldest_ns is None else max(0, now_ns - oldest_ns) / SECOND_NS
            ),
        )
