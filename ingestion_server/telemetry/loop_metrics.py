"""The event loop as metrics: how late it is, and what went wrong in it unheard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import final

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector
from typing_extensions import override

from ingestion_server.telemetry.loop_lag import BUCKETS_SECONDS, LoopLag
from ingestion_server.telemetry.task_errors import TaskErrors


@final
class LoopCollector(Collector):
    """Tell how the loop does when somebody asks."""

    def __init__(self, lag: LoopLag, errors: TaskErrors) -> None:
        """Read what was measured, and what was counted."""
        self._lag = lag
        self._errors = errors

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the loop."""
        limits = [*(str(float(limit)) for limit in BUCKETS_SECONDS), "+Inf"]
        yield HistogramMetricFamily(
            "ingestion_event_loop_lag_seconds",
            "How much later than it should the event loop wakes a task that sleeps; "
            "everybody who waits for anything waits as much longer.",
            buckets=list(zip(limits, self._lag.counts(), strict=True)),
            sum_value=self._lag.total_seconds,
        )
        yield GaugeMetricFamily(
            "ingestion_event_loop_longest_stall_seconds",
            "The longest of these lags since the start.",
            self._lag.longest_seconds,
        )
        yield GaugeMetricFamily(
            "ingestion_event_loop_longest_own_stall_seconds",
            "The longest without what the loop waited for a processor meanwhile: what "
            "the server itself computed, or waited for.",
            self._lag.longest_own_seconds,
        )
        yield CounterMetricFamily(
            "ingestion_unhandled_task_errors",
            "Errors of tasks and callbacks that nobody waited for; each is a defect, "
            "and logged.",
            self._errors.count,
        )


def loop_parts(lag: LoopLag, errors: TaskErrors) -> Mapping[str, Collector]:
    """Return what a page tells of the event loop."""
    return {"loop": LoopCollector(lag, errors)}
