"""Telemetry of telemetry: what has left, what was lost, and how often that fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override


class SpanCounts(Protocol):
    """Tell what became of spans since the start."""

    @property
    def exported(self) -> int:
        """Return how many a collector has taken."""
        ...

    @property
    def dropped(self) -> int:
        """Return how many are lost."""
        ...

    @property
    def failures(self) -> int:
        """Return how often some were sent in vain."""
        ...


@final
@dataclass(slots=True)
class ExportCounter:
    """Count what becomes of metrics that are sent."""

    failures: int = 0
    """How often they were sent in vain."""


@final
class ExportCollector(Collector):
    """Tell what was sent to a collector of OpenTelemetry; all 0 where there is none."""

    def __init__(self, spans: SpanCounts | None, metrics: ExportCounter) -> None:
        """Read what was counted; None = nobody traces."""
        self._spans = spans
        self._metrics = metrics

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        spans = self._spans
        yield CounterMetricFamily(
            "ingestion_spans_exported",
            "Spans since the start that the collector has taken.",
            spans.exported if spans else 0,
        )
        yield CounterMetricFamily(
            "ingestion_spans_dropped",
            "Spans since the start that were lost, because too many waited or the "
            "collector did not take them.",
            spans.dropped if spans else 0,
        )
        failures = CounterMetricFamily(
            "ingestion_telemetry_export_failures",
            "Times since the start that traces or metrics were sent to the collector "
            "in vain.",
            labels=("signal",),
        )
        failures.add_metric(("traces",), spans.failures if spans else 0)
        failures.add_metric(("metrics",), self._metrics.failures)
        yield failures


def export_parts(
    spans: SpanCounts | None, metrics: ExportCounter
) -> Mapping[str, Collector]:
    """Return what a page tells of what is sent elsewhere."""
    return {"export": ExportCollector(spans, metrics)}
