"""Operators see whether a server can be found, and what keeps it from that."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ingestion_server.telemetry.discovery_metrics import discovery_parts
from ingestion_server.telemetry.metrics_page import MetricsPage
from tests.telemetry.pages import OPENMETRICS, series


@dataclass
class Somewhere:
    """Be a place where a server is found, or not."""

    where: str
    registered: bool = False
    registrations: int = 0
    failures: dict[str, int] = field(default_factory=dict)


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_each_place_is_told_with_its_failures_from_nothing(accept: str) -> None:
    etcd = Somewhere("etcd", registered=True, registrations=2)
    etcd.failures = {"refused": 3, "malformed": 0}
    page = MetricsPage(discovery_parts([etcd, Somewhere("file_sd")]))

    told = series(page(accept))

    assert told["ingestion_discovery_registered"] == {("etcd",): 1, ("file_sd",): 0}
    assert told["ingestion_discovery_registrations"] == {("etcd",): 2, ("file_sd",): 0}
    assert told["ingestion_discovery_failures"] == {
        ("malformed", "etcd"): 0,
        ("refused", "etcd"): 3,
    }


def test_where_there_is_no_discovery_there_is_no_part() -> None:
    assert discovery_parts([]) == {}
