"""Whether this server can be found, and how often that failed, as metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from ingestion_server.ports.discovery import Presence


@final
class DiscoveryCollector(Collector):
    """Tell of each place where this server is to be found when somebody asks."""

    def __init__(self, presences: Sequence[Presence]) -> None:
        """Tell of these places."""
        self._presences = presences

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; every reason of a failure from 0."""
        registered = GaugeMetricFamily(
            "ingestion_discovery_registered",
            "1 if this server can be found there, as far as it knows; else 0.",
            labels=("where",),
        )
        registrations = CounterMetricFamily(
            "ingestion_discovery_registrations",
            "How often the server's entry was written there, since the start.",
            labels=("where",),
        )
        failures = CounterMetricFamily(
            "ingestion_discovery_failures",
            "What went wrong with making the server known, by reason, since the start.",
            labels=("where", "reason"),
        )
        for each in self._presences:
            registered.add_metric((each.where,), float(each.registered))
            registrations.add_metric((each.where,), each.registrations)
            for reason, count in each.failures.items():
                failures.add_metric((each.where, reason), count)
        yield from (registered, registrations, failures)


def discovery_parts(presences: Sequence[Presence]) -> Mapping[str, Collector]:
    """Return what a page tells of discovery: nothing where there is none."""
    return {"discovery": DiscoveryCollector(presences)} if presences else {}
