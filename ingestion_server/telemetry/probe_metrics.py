"""Probes as a metric: how often the house itself asked a vendor, and was answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

Probes = Mapping[tuple[str, str, bool], int]
"""How many there were by vendor, kind of data, and whether they were answered."""

_OUTCOMES: Final = {True: "answered", False: "failed"}


@final
class ProbeCollector(Collector):
    """Tell how many probes there were when somebody asks."""

    def __init__(self, probes: Probes) -> None:
        """Read the counts, which grow."""
        self._probes = probes

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield the one metric; both outcomes of who was ever probed."""
        family = CounterMetricFamily(
            "ingestion_probes",
            "Questions that the server itself asked a vendor that nobody had asked for "
            "long, or whose breaker's rest was over, since the start.",
            labels=("provider", "kind", "outcome"),
        )
        probed = dict.fromkeys((name, kind) for name, kind, _ in self._probes)
        for name, kind in probed:
            for answered, outcome in _OUTCOMES.items():
                count = self._probes.get((name, kind, answered), 0)
                family.add_metric((name, kind, outcome), count)
        yield family


def probe_parts(probes: Probes) -> Mapping[str, Collector]:
    """Return what a page tells of probes."""
    return {"probes": ProbeCollector(probes)}
