"""
The cache as metrics: what it holds, and what it has saved since the start.

Nothing has a label that names a vendor or an instrument: the cache is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, final

import msgspec
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from ingestion_server.ports.caching import CacheCounts, CacheReport, CacheUse


class _Gauge(msgspec.Struct, frozen=True):
    """Say what a metric is called, what it means, and where it is found."""

    name: str
    meaning: str
    value: Callable[[CacheUse], float | None]
    """None = there is no such value now."""


class _Counter(msgspec.Struct, frozen=True):
    """Say what a count is called, what it means, and where it is found."""

    name: str
    meaning: str
    value: Callable[[CacheCounts], int]


_RESULTS: Final[Mapping[str, Callable[[CacheCounts], int]]] = {
    "hit": lambda counts: counts.hits,
    "partial": lambda counts: counts.partial_hits,
    "miss": lambda counts: counts.misses,
}
_COUNTERS: Final[Sequence[_Counter]] = (
    _Counter(
        "ingestion_cache_encoded_hits",
        "Hits since the start that were answered with bytes encoded before.",
        lambda counts: counts.encoded_hits,
    ),
    _Counter(
        "ingestion_cache_shared_questions",
        "Questions since the start that waited for calls another had under way.",
        lambda counts: counts.shared,
    ),
    _Counter(
        "ingestion_cache_negative_hits",
        "Times since the start that a vendor was not asked because it had just said "
        "that it does not know.",
        lambda counts: counts.negative_hits,
    ),
    _Counter(
        "ingestion_cache_stale_answers",
        "Answers since the start with bars that were older than usual.",
        lambda counts: counts.stale,
    ),
    _Counter(
        "ingestion_cache_evicted_series",
        "Series since the start that made room for others in memory.",
        lambda counts: counts.evictions,
    ),
    _Counter(
        "ingestion_cache_rebased_series",
        "Adjusted series since the start that were dropped because a split or "
        "dividend changed all of their prices.",
        lambda counts: counts.rebased,
    ),
    _Counter(
        "ingestion_cache_revised_bars",
        "Final bars since the start that a vendor has corrected.",
        lambda counts: counts.revised,
    ),
)
_GAUGES: Final[Sequence[_Gauge]] = (
    _Gauge(
        "ingestion_cache_enabled",
        "1 if vendors' answers are kept, 0 if that is switched off.",
        lambda use: use.enabled,
    ),
    _Gauge(
        "ingestion_cache_hit_ratio",
        "Share of hits among all questions since the start, from 0 to 1; absent before "
        "the first.",
        lambda use: use.counts.hit_ratio,
    ),
    _Gauge(
        "ingestion_cache_bytes",
        "Bytes in memory.",
        lambda use: use.bytes,
    ),
    _Gauge(
        "ingestion_cache_limit_bytes",
        "Most bytes in memory; what was used longest ago makes room.",
        lambda use: use.limit_bytes,
    ),
    _Gauge(
        "ingestion_cache_file_bytes",
        "Bytes in the file that survives a restart; 0 if there is none.",
        lambda use: use.file_bytes,
    ),
    _Gauge(
        "ingestion_cache_limit_file_bytes",
        "Most bytes in the file that survives a restart.",
        lambda use: use.limit_file_bytes,
    ),
    _Gauge(
        "ingestion_cache_series",
        "Series in memory: instrument, interval, adjustment, session and vendor.",
        lambda use: use.series,
    ),
    _Gauge(
        "ingestion_cache_bars",
        "Bars in memory.",
        lambda use: use.bars,
    ),
    _Gauge(
        "ingestion_cache_oldest_forming_seconds",
        "Age of the oldest bar in memory that can still change; absent if there is "
        "none.",
        lambda use: use.oldest_forming_seconds,
    ),
    _Gauge(
        "ingestion_cache_file_problem",
        "1 while nothing can be kept in the file, else 0; ListProviders says why.",
        lambda use: bool(use.file_problem),
    ),
)


@final
class CacheCollector(Collector):
    """Tell of the cache when somebody asks."""

    def __init__(self, report: CacheReport) -> None:
        """Read what the report tells."""
        self._report = report

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield counts, at 0 too, which a rate would not see otherwise; then levels."""
        use = self._report()
        yield _questions(use.counts)
        for counter in _COUNTERS:
            yield CounterMetricFamily(
                counter.name, counter.meaning, value=counter.value(use.counts)
            )
        for gauge in _GAUGES:
            value = gauge.value(use)
            family = GaugeMetricFamily(gauge.name, gauge.meaning)
            if value is not None:
                family.add_metric((), value)
            yield family


def cache_parts(report: CacheReport) -> Mapping[str, Collector]:
    """Return what a page tells of the cache."""
    return {"cache": CacheCollector(report)}


def _questions(counts: CacheCounts) -> Metric:
    family = CounterMetricFamily(
        "ingestion_cache_questions",
        "Questions since the start by what was known of the answer: hit (all of it), "
        "partial, or miss (nothing).",
        labels=("result",),
    )
    for result, count in _RESULTS.items():
        family.add_metric((result,), count(counts))
    return family
