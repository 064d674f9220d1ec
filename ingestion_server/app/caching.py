"""What is remembered of vendors' answers, and where it is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from ingestion_server.app.keeping import keeps, realm_of
from ingestion_server.app.mode import Mode
from ingestion_server.app.settings import Settings
from ingestion_server.cache.replies import EncodedReplies
from ingestion_server.cache.segment_file import SegmentFile
from ingestion_server.cache.segments import Segments
from ingestion_server.cache.series import Life
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.memory import Memory
from ingestion_server.ports.caching import CacheCounts, CacheReport, CacheUse
from ingestion_server.ports.clock import Clock


@asynccontextmanager
async def remembering(
    settings: Settings, mode: Mode, clock: Clock
) -> AsyncIterator[Memory | None]:
    """
    Remember what vendors give; None if that is switched off, or for recordings.

    Recordings are at hand anyway, and each was made at another time.
    """
    chosen = settings.cache
    if (
        not hasattr(Segments, "keeping")
        or not chosen.enabled
        or mode.replay is not None
    ):
        yield None
        return
    file = None
    if keeps(settings, mode):
        file = SegmentFile(
            settings.state.place(),
            realm=realm_of(mode),
            limit_bytes=chosen.file_bytes,
        )
    counts = CacheCounts()
    segments = Segments(limit_bytes=chosen.memory_bytes, counts=counts, file=file)
    async with segments.keeping(clock):
        yield Memory(
            segments,
            clock,
            life=Life(chosen.forming_seconds, chosen.absent_seconds),
            counts=counts,
        )


def replies_of(
    settings: Settings, memory: Memory | None, fetcher: Fetcher, clock: Clock
) -> EncodedReplies | None:
    """Return where answers are kept as they were sent; None if nothing is kept."""
    if memory is None:
        return None
    return EncodedReplies(
        settings.cache.encoded_bytes,
        clock,
        generation=lambda: fetcher.generation,
        counts=memory.counts,
    )


def report_of(
    memory: Memory | None, replies: EncodedReplies | None, clock: Clock
) -> CacheReport:
    """Return what tells how much is remembered, and what that has saved."""
    if memory is None or replies is None:
        return lambda: CacheUse(enabled=False, counts=CacheCounts())

    def told() -> CacheUse:
        use = memory.segments.use(clock.now_ns())
        # Both are in memory, as bars and as they were sent.
        return msgspec.structs.replace(
            use,
            bytes=use.bytes + replies.held_bytes,
            limit_bytes=use.limit_bytes + replies.limit_bytes,
        )

    return told
