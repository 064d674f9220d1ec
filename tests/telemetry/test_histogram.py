"""Durations are counted as Prometheus counts them, and traced ones can be found."""

from __future__ import annotations

import pytest
from prometheus_client import Histogram as LibraryHistogram
from prometheus_client.samples import Exemplar

from ingestion_server.telemetry.histogram import (
    CALL_SECONDS,
    LAG_SECONDS,
    Histogram,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_the_same_is_counted_as_by_the_library() -> None:
    theirs = LibraryHistogram("call_seconds", "Calls.", buckets=CALL_SECONDS)
    ours = Histogram(CALL_SECONDS)
    values = [0.0, 0.001, 0.0011, 0.3, 2.0, 2.000001, 59.9, 60.0, 61.0, 1e9]

    for value in values:
        theirs.observe(value)
        ours.observe(value)

    (family,) = theirs.collect()
    expected = [
        (sample.labels["le"], sample.value)
        for sample in family.samples
        if sample.name == "call_seconds_bucket"
    ]
    assert ours.buckets() == expected
    assert ours.total_seconds == pytest.approx(sum(values))


def test_the_latest_traced_value_of_each_bucket_is_kept() -> None:
    histogram = Histogram((1.0, 2.0), now=lambda: 1736519400.0)

    histogram.observe(0.5, "f" * 32)
    histogram.observe(0.6, TRACE)
    histogram.observe(0.7)
    histogram.observe(1.5)

    assert histogram.buckets() == [
        ("1.0", 3, Exemplar({"trace_id": TRACE}, 0.6, 1736519400.0)),
        ("2.0", 4),
        ("+Inf", 4),
    ]


@pytest.mark.parametrize("limits", [CALL_SECONDS, LAG_SECONDS])
def test_limits_ascend(limits: tuple[float, ...]) -> None:
    assert list(limits) == sorted(set(limits))


def test_what_is_promised_of_calls_can_be_read_from_a_bucket() -> None:
    assert 2.0 in CALL_SECONDS
