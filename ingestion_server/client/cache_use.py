"""What the server keeps of vendors' answers, and what that saves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from marketdata.ingestion.v1 import cache_pb2

from ingestion_server.client.wire import maybe_span


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Tell what is kept at one moment, and what was saved since the server started."""

    enabled: bool
    """Whether anything is kept; if not, everything below is zero."""
    bytes: int
    """Bytes in memory."""
    limit_bytes: int
    """Most bytes in memory; what was used longest ago makes room."""
    file_bytes: int
    """Bytes in the file that survives a restart; 0 if there is none."""
    limit_file_bytes: int
    """Most bytes in that file."""
    series: int
    """Series in memory: instrument, interval, adjustment, session and vendor."""
    bars: int
    """Bars in memory."""
    hits: int
    """Questions that were answered without asking a vendor."""
    partial_hits: int
    """Questions that were answered in part; a vendor was asked for the rest."""
    misses: int
    """Questions of which nothing was known."""
    hit_ratio: float | None
    """Hits of all three, from 0 to 1; None before the first question."""
    encoded_hits: int
    """Hits that were answered with bytes that had been encoded before."""
    shared: int
    """Questions that waited for calls that another had under way."""
    negative_hits: int
    """Questions refused at once: the vendors had just said that they do not know."""
    stale: int
    """Answers with bars that were older than usual."""
    evictions: int
    """Series that made room for others in memory."""
    rebased: int
    """Adjusted series that were dropped since a split or dividend changed them."""
    revised: int
    """Final bars that a vendor has corrected."""
    oldest_forming: timedelta | None
    """Age of the oldest bar in memory that can still change; None if there is none."""
    file_problem: str
    """Why nothing can be kept in the file at the moment; empty if all is well."""


def cache_use_from(told: cache_pb2.CacheUse) -> CacheUse:
    """Read what is kept."""
    return CacheUse(
        enabled=told.enabled,
        bytes=told.bytes,
        limit_bytes=told.limit_bytes,
        file_bytes=told.file_bytes,
        limit_file_bytes=told.limit_file_bytes,
        series=told.series,
        bars=told.bars,
        hits=told.hits,
        partial_hits=told.partial_hits,
        misses=told.misses,
        hit_ratio=told.hit_ratio if told.HasField("hit_ratio") else None,
        encoded_hits=told.encoded_hits,
        shared=told.shared,
        negative_hits=told.negative_hits,
        stale=told.stale,
        evictions=told.evictions,
        rebased=told.rebased,
        revised=told.revised,
        oldest_forming=maybe_span(told, "oldest_forming"),
        file_problem=told.file_problem,
    )
