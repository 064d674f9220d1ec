"""
RPCs of callers as metrics: how many, how long, how they ended, and who is inside.

Labels are the methods that are served, names of statuses and our own reasons: what a
caller sends is never one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, final

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector
from typing_extensions import override

from ingestion_server.domain.service_level import Fault, fault_of
from ingestion_server.ports.hooks import OnRpc, RpcDetails
from ingestion_server.telemetry.histogram import CALL_SECONDS, Histogram

PACKAGE: Final = "marketdata.ingestion.v1."
"""Of all our services; whoever tells of an RPC leaves it out."""
_OK: Final = "OK"

Started = Callable[[], Mapping[str, int]]
"""Return how many came since the start, by service and method."""
Places = Callable[[], Mapping[str, int]]
"""Return how many there are of each kind of place."""


@final
class RpcMeter(OnRpc):
    """Count RPCs by how they ended, and how long those took that end by themselves."""

    def __init__(self) -> None:
        """Begin with none."""
        self.ended: dict[tuple[str, str, str], int] = {}
        """How many there were by method, status and reason."""
        self.durations: dict[tuple[str, str], Histogram] = {}
        """How long they took by method and status."""

    def expect(self, method: str) -> None:
        """Show a method, by its full name, before it is called."""
        # A rate does not see the step from nothing to one.
        self.ended.setdefault((method.removeprefix(PACKAGE), _OK, ""), 0)

    def promise(self, method: str, failures: Iterable[tuple[str, str]]) -> None:
        """
        Show how long a method takes, and how it may fail, before it is called.

        What is promised of it is computed from these, and an outage may be the first
        time that it fails. ``failures`` are names of statuses, and reasons.
        """
        rpc = method.removeprefix(PACKAGE)
        self.durations.setdefault((rpc, _OK), Histogram(CALL_SECONDS))
        for code, reason in failures:
            if fault_of(code, reason) is Fault.SERVER:
                self.ended.setdefault((rpc, code, reason), 0)

    @override
    def answered(self, rpc: str, seconds: float | None, trace_id: str) -> None:
        """Count one that was answered."""
        self._count((rpc, _OK, ""), seconds, trace_id)

    @override
    def failed(self, details: RpcDetails) -> None:
        """Count one that was not."""
        self._count(
            (details.rpc, details.code, details.reason),
            None if details.is_lasting else details.seconds,
            details.trace_id if details.is_sampled else "",
        )

    def _count(
        self, key: tuple[str, str, str], seconds: float | None, trace_id: str
    ) -> None:
        self.ended[key] = self.ended.get(key, 0) + 1
        if seconds is None:
            return
        try:
            histogram = self.durations[key[:2]]
        except KeyError:
            histogram = self.durations[key[:2]] = Histogram(CALL_SECONDS)
        histogram.observe(seconds, trace_id)


@final
class RpcCollector(Collector):
    """Tell of RPCs when somebody asks."""

    def __init__(
        self, meter: RpcMeter, started: Started, inside: Places, limits: Places
    ) -> None:
        """Read what was counted; who is inside; and how many may be."""
        self._meter = meter
        self._started = started
        self._inside = inside
        self._limits = limits

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield self._of_started()
        yield self._of_durations()
        yield self._of_ended()
        yield _of_places(
            "ingestion_rpc_in_flight",
            "RPCs that are being answered: calls; watchers, which last until their "
            "callers leave; and streams of live data.",
            self._inside(),
        )
        yield _of_places(
            "ingestion_rpc_in_flight_limit",
            "Most RPCs that are let in at once; others are told CALLER_THROTTLED, but "
            "for a Fetch whose answer is known, which takes no place.",
            self._limits(),
        )

    def _of_started(self) -> Metric:
        family = CounterMetricFamily(
            "grpc_server_call_started",
            "RPCs that came since the start, also those that were not let in.",
            labels=("grpc_method",),
        )
        known = dict.fromkeys(method for method, _, _ in self._meter.ended)
        for rpc, count in {**dict.fromkeys(known, 0), **self._started()}.items():
            family.add_metric((PACKAGE + rpc,), count)
        return family

    def _of_durations(self) -> Metric:
        family = HistogramMetricFamily(
            "grpc_server_call_duration_seconds",
            "How long RPCs took that end by themselves, from when they were looked at "
            "to their last byte; not those that last until their callers leave.",
            labels=("grpc_method", "grpc_status"),
        )
        for (rpc, code), histogram in self._meter.durations.items():
            labels = (PACKAGE + rpc, code)
            family.add_metric(labels, histogram.buckets(), histogram.total_seconds)
        return family

    def _of_ended(self) -> Metric:
        family = CounterMetricFamily(
            "ingestion_rpc_ended",
            "RPCs that are over, by status, by reason (empty if there was no failure, "
            "or the caller left), and by whose fault it was: nobody, caller, or "
            "server, whether we or all of the vendors failed.",
            labels=("grpc_method", "grpc_status", "reason", "fault"),
        )
        for (rpc, code, reason), count in self._meter.ended.items():
            fault: Fault = fault_of(code, reason)
            family.add_metric((PACKAGE + rpc, code, reason, fault), count)
        return family


def rpc_parts(
    meter: RpcMeter, started: Started, inside: Places, limits: Places
) -> Mapping[str, Collector]:
    """Return what a page tells of RPCs."""
    return {"rpc": RpcCollector(meter, started, inside, limits)}


def _of_places(name: str, meaning: str, places: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=("place",))
    for place, count in places.items():
        family.add_metric((place,), count)
    return family
