"""What is kept of vendors' answers, from the house to the wire."""

from __future__ import annotations

from marketdata.ingestion.v1 import cache_pb2

from ingestion_server.ports.caching import CacheUse
from ingestion_server.service.moments import duration


def cache_of(use: CacheUse) -> cache_pb2.CacheUse:
    """Return what is kept, and what that saves; nothing else if it is switched off."""
    if not use.enabled:
        return cache_pb2.CacheUse()
    counts, oldest = use.counts, use.oldest_forming_seconds
    return cache_pb2.CacheUse(
        enabled=True,
        bytes=use.bytes,
        limit_bytes=use.limit_bytes,
        file_bytes=use.file_bytes,
        limit_file_bytes=use.limit_file_bytes,
        series=use.series,
        bars=use.bars,
        hits=counts.hits,
        partial_hits=counts.partial_hits,
        misses=counts.misses,
        hit_ratio=counts.hit_ratio,
        encoded_hits=counts.encoded_hits,
        shared=counts.shared,
        negative_hits=counts.negative_hits,
        stale=counts.stale,
        evictions=counts.evictions,
        rebased=counts.rebased,
        revised=counts.revised,
        oldest_forming=None if oldest is None else duration(oldest),
        file_problem=use.file_problem,
    )
