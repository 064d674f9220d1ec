"""What runs here, as a metric: a change of it explains a change of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override


@final
class BuildCollector(Collector):
    """Tell which versions run."""

    def __init__(self, versions: Mapping[str, str]) -> None:
        """Tell these, by what they are versions of."""
        self._versions = versions

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield the one metric."""
        family = GaugeMetricFamily(
            "ingestion_build_info",
            "Always 1; its labels are the versions of the server, of Python, and of "
            "gRPC.",
            labels=tuple(self._versions),
        )
        family.add_metric(tuple(self._versions.values()), 1)
        yield family


def build_parts(*, version: str, python: str, grpc: str) -> Mapping[str, Collector]:
    """Return what a page tells of the versions."""
    return {
        "build": BuildCollector({"version": version, "python": python, "grpc": grpc})
    }
