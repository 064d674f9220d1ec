"""Operators see who listens, what is lost, and whether each vendor's stream is up."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ingestion_server.telemetry.metrics_page import MetricsPage, Parts
from ingestion_server.telemetry.stream_metrics import LagMeter, stream_parts
from tests.telemetry.pages import OPENMETRICS, families, series
from tests.telemetry.streams import Stream

COUNTS = {
    "subscribers": 2,
    "channels": 3,
    "published": 400,
    "gaps": 5,
    "filled": 4,
    "left_out": 6,
    "malformed": 7,
    "slow": 1,
}
DROPPED = {"conflate": 30, "disconnect": 0}


def parts(
    vendors: Mapping[str, Stream],
    counts: Mapping[str, int] = COUNTS,
    lag: LagMeter | None = None,
) -> Parts:
    """Return what is told of these vendors."""
    return stream_parts(
        lambda: counts, lambda: DROPPED, LagMeter() if lag is None else lag, vendors
    )


def told(
    vendors: dict[str, Stream], accept: str = ""
) -> dict[str, dict[tuple[str, ...], float]]:
    """Return what a page tells of live data."""
    page = MetricsPage(parts(vendors))
    return {
        name: dict(values)
        for name, values in series(page(accept)).items()
        if name.startswith("ingestion_stream_")
    }


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_everything_that_is_known_is_told(accept: str) -> None:
    vendors = {
        "acme": Stream(up=True, connections=3, wanted=50, reconnects=2),
        "zenith": Stream(up=False, connections=9, wanted=0, stale=True),
    }

    assert told(vendors, accept) == {
        "ingestion_stream_subscribers": {(): 2},
        "ingestion_stream_channels": {(): 3},
        "ingestion_stream_published": {(): 400},
        "ingestion_stream_gaps": {(): 5},
        "ingestion_stream_filled_gaps": {(): 4},
        "ingestion_stream_left_out_ticks": {(): 6},
        "ingestion_stream_malformed_messages": {(): 7},
        "ingestion_stream_up": {("acme",): 1, ("zenith",): 0},
        "ingestion_stream_symbols": {("acme",): 50, ("zenith",): 0},
        "ingestion_stream_connections": {("acme",): 3, ("zenith",): 9},
        "ingestion_stream_reconnects": {("acme",): 2, ("zenith",): 0},
        "ingestion_stream_stale": {("acme",): 0, ("zenith",): 1},
        "ingestion_stream_slow_subscribers": {(): 1},
        "ingestion_stream_dropped_ticks": {("conflate",): 30, ("drop_oldest",): 0},
        "ingestion_stream_lag_seconds": {},
    }


def test_a_vendor_has_rows_once_its_stream_was_needed() -> None:
    vendors: dict[str, Stream] = {}
    page = MetricsPage(parts(vendors))
    assert series(page(""))["ingestion_stream_up"] == {}

    vendors["acme"] = Stream()

    assert series(page(""))["ingestion_stream_up"] == {("acme",): 1}


def test_each_page_tells_of_its_moment() -> None:
    acme, counts = Stream(), dict(COUNTS)
    page = MetricsPage(parts({"acme": acme}, counts))
    page("")

    acme.up = False
    counts["gaps"] += 1

    now = series(page(""))
    assert now["ingestion_stream_up"] == {("acme",): 0}
    assert now["ingestion_stream_gaps"] == {(): 6}


def test_how_late_data_are_is_told_of_each_vendor() -> None:
    lag = LagMeter()
    page = MetricsPage(parts({}, lag=lag))
    for seconds in (0.004, 0.2, 901.0):
        lag("acme", seconds)

    told = families(page(OPENMETRICS))["ingestion_stream_lag_seconds"]

    counts = {s.labels.get("le"): s.value for s in told.samples if "le" in s.labels}
    assert counts["0.005"] == 1
    assert counts["0.25"] == 2
    assert counts["900.0"] == 2
    assert counts["+Inf"] == 3
    assert {s.labels["provider"] for s in told.samples} == {"acme"}


def test_every_metric_says_what_it_means_and_which_kind_it_is() -> None:
    page = MetricsPage(parts({"acme": Stream()}))

    ours = {
        name: each
        for name, each in families(page(OPENMETRICS)).items()
        if name.startswith("ingestion_stream_")
    }
    assert {name for name, each in ours.items() if each.type == "gauge"} == {
        "ingestion_stream_subscribers",
        "ingestion_stream_channels",
        "ingestion_stream_up",
        "ingestion_stream_symbols",
        "ingestion_stream_stale",
        "ingestion_stream_slow_subscribers",
    }
    assert {each.type for each in ours.values()} == {"counter", "gauge", "histogram"}
    assert all(each.documentation.endswith(".") for each in ours.values())
