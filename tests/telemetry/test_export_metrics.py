"""Operators see whether telemetry itself arrives, and which build they look at."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ingestion_server.telemetry.build_metrics import build_parts
from ingestion_server.telemetry.export_metrics import ExportCounter, export_parts
from ingestion_server.telemetry.metrics_page import MetricsPage
from tests.telemetry.pages import OPENMETRICS, families, series


@dataclass
class Spans:
    """Be what became of spans."""

    exported: int = 7
    dropped: int = 3
    failures: int = 1


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_what_left_and_what_was_lost_is_told(accept: str) -> None:
    told = series(MetricsPage(export_parts(Spans(), ExportCounter(2)))(accept))

    assert told["ingestion_spans_exported"] == {(): 7}
    assert told["ingestion_spans_dropped"] == {(): 3}
    assert told["ingestion_telemetry_export_failures"] == {
        ("traces",): 1,
        ("metrics",): 2,
    }


def test_where_there_is_no_collector_all_is_0() -> None:
    told = series(MetricsPage(export_parts(None, ExportCounter()))(""))

    assert told["ingestion_spans_exported"] == {(): 0}
    assert set(told["ingestion_telemetry_export_failures"].values()) == {0}


def test_the_versions_are_told() -> None:
    page = MetricsPage(build_parts(version="1.2.3", python="3.11.7", grpc="1.85"))

    (sample,) = families(page(OPENMETRICS))["ingestion_build_info"].samples

    assert sample.labels == {"version": "1.2.3", "python": "3.11.7", "grpc": "1.85"}
    assert sample.value == 1
