"""
Metrics in the words of OpenTelemetry: the page's own families, under the same names.

What is sent is made of what a scrape would tell, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as SentMetric
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric
from prometheus_client.samples import Exemplar as ToldExemplar
from prometheus_client.samples import Sample

_UNITS: Final = {"_seconds": "s", "_bytes": "By"}
_TOTAL: Final = "_total"
_NS_PER_SECOND: Final = 1_000_000_000
_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE


def metrics_data(
    families: Iterable[Metric],
    resource: Mapping[str, str],
    *,
    since_ns: int,
    now_ns: int,
) -> MetricsData:
    """
    Return what a page tells as OpenTelemetry has it.

    Args:
        families: what the page tells.
        resource: says what this server is.
        since_ns: when counting began.
        now_ns: when the page was read.

    """
    return MetricsData(
        [
            ResourceMetrics(
                resource=Resource(dict(resource)),
                scope_metrics=[
                    ScopeMetrics(
                        scope=InstrumentationScope("ingestion_server"),
                        metrics=[
                            _metric(family, since_ns, now_ns)
                            for family in families
                            if family.samples
                        ],
                        schema_url="",
                    )
                ],
                schema_url="",
            )
        ]
    )


def _metric(family: Metric, since_ns: int, now_ns: int) -> SentMetric:
    name = family.name + (_TOTAL if family.type == "counter" else "")
    unit = next((u for end, u in _UNITS.items() if family.name.endswith(end)), "")
    data: Sum | Gauge | Histogram
    match family.type:
        case "counter":
            points = [
                _number(each, since_ns, now_ns)
                for each in family.samples
                if each.name == name
            ]
            data = Sum(points, _CUMULATIVE, is_monotonic=True)
        case "histogram":
            data = Histogram(
                [*_histograms(family.samples, since_ns, now_ns)], _CUMULATIVE
            )
        case _:
            data = Gauge([_number(each, 0, now_ns) for each in family.samples])
    return SentMetric(name, family.documentation, unit, data)


def _number(sample: Sample, since_ns: int, now_ns: int) -> NumberDataPoint:
    return NumberDataPoint(sample.labels, since_ns, now_ns, float(sample.value))


def _histograms(
    samples: Sequence[Sample], since_ns: int, now_ns: int
) -> Iterator[HistogramDataPoint]:
    """Yield the points of a histogram; the samples of each stand together."""
    buckets: list[Sample] = []
    for sample in samples:
        if "le" in sample.labels:
            buckets.append(sample)
        elif sample.name.endswith("_sum"):
            yield _histogram(buckets, sample, since_ns, now_ns)
            buckets = []


def _histogram(
    buckets: Sequence[Sample], total: Sample, since_ns: int, now_ns: int
) -> HistogramDataPoint:
    counts = [0, *(int(each.value) for each in buckets)]
    return HistogramDataPoint(
        attributes=total.labels,
        start_time_unix_nano=since_ns,
        time_unix_nano=now_ns,
        count=counts[-1],
        sum=float(total.value),
        # There, each counts only what the one before has not.
        bucket_counts=[after - before for before, after in pairwise(counts)],
        explicit_bounds=[float(each.labels["le"]) for each in buckets[:-1]],
        # Nobody keeps them; the wire may lack them, the library's types may not.
        min=None,  # type: ignore[arg-type]
        max=None,  # type: ignore[arg-type]
        exemplars=[_exemplar(e.exemplar, now_ns) for e in buckets if e.exemplar],
    )


def _exemplar(told: ToldExemplar, now_ns: int) -> Exemplar:
    seconds = told.timestamp
    return Exemplar(
        {},
        told.value,
        now_ns if seconds is None else int(float(seconds) * _NS_PER_SECOND),
        # Of which span is not known; 0 says so, but without one no trace is sent.
        span_id=0,
        trace_id=int(told.labels["trace_id"], 16),
    )
