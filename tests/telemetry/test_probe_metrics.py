"""Operators see how often the server itself asks, and whom."""

from __future__ import annotations

from collections import Counter

import pytest

from ingestion_server.telemetry.metrics_page import MetricsPage
from ingestion_server.telemetry.probe_metrics import probe_parts
from tests.telemetry.pages import OPENMETRICS, series


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_probes_are_counted_by_vendor_kind_and_outcome(accept: str) -> None:
    probes: Counter[tuple[str, str, bool]] = Counter()
    page = MetricsPage(probe_parts(probes))
    assert series(page(accept))["ingestion_probes"] == {}

    probes["acme", "bars:fx", True] += 2
    probes["acme", "bars:equity", False] += 1

    assert series(page(accept))["ingestion_probes"] == {
        ("bars:fx", "answered", "acme"): 2,
        ("bars:fx", "failed", "acme"): 0,
        ("bars:equity", "answered", "acme"): 0,
        ("bars:equity", "failed", "acme"): 1,
    }
