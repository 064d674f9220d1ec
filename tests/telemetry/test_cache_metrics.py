"""Operators see what the cache holds, what it saves, and what is wrong with it."""

from __future__ import annotations

import msgspec
import pytest

from ingestion_server.ports.caching import CacheCounts, CacheUse
from ingestion_server.telemetry.cache_metrics import cache_parts
from ingestion_server.telemetry.metrics_page import MetricsPage
from tests.telemetry.pages import OPENMETRICS, families, series

FRESH = CacheUse(enabled=True, counts=CacheCounts())
USED = CacheUse(
    enabled=True,
    counts=CacheCounts(
        hits=6,
        partial_hits=1,
        misses=1,
        encoded_hits=4,
        shared=2,
        negative_hits=3,
        stale=5,
        evictions=7,
        rebased=8,
        revised=9,
    ),
    bytes=1_000,
    limit_bytes=64_000,
    file_bytes=4_096,
    limit_file_bytes=256_000,
    series=10,
    bars=11,
    oldest_forming_seconds=1.5,
    file_problem="the disk is full",
)


def told(use: CacheUse, accept: str = "") -> dict[str, dict[tuple[str, ...], float]]:
    """Return what a page tells of the cache."""
    page = MetricsPage(cache_parts(lambda: use))
    return {
        name: dict(values)
        for name, values in series(page(accept)).items()
        if name.startswith("ingestion_cache_")
    }


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_everything_that_is_known_is_told(accept: str) -> None:
    assert told(USED, accept) == {
        "ingestion_cache_questions": {("hit",): 6, ("partial",): 1, ("miss",): 1},
        "ingestion_cache_encoded_hits": {(): 4},
        "ingestion_cache_shared_questions": {(): 2},
        "ingestion_cache_negative_hits": {(): 3},
        "ingestion_cache_stale_answers": {(): 5},
        "ingestion_cache_evicted_series": {(): 7},
        "ingestion_cache_rebased_series": {(): 8},
        "ingestion_cache_revised_bars": {(): 9},
        "ingestion_cache_enabled": {(): 1},
        "ingestion_cache_hit_ratio": {(): 0.75},
        "ingestion_cache_bytes": {(): 1_000},
        "ingestion_cache_limit_bytes": {(): 64_000},
        "ingestion_cache_file_bytes": {(): 4_096},
        "ingestion_cache_limit_file_bytes": {(): 256_000},
        "ingestion_cache_series": {(): 10},
        "ingestion_cache_bars": {(): 11},
        "ingestion_cache_oldest_forming_seconds": {(): 1.5},
        "ingestion_cache_file_problem": {(): 1},
    }


def test_counts_are_shown_before_the_first_and_what_is_unknown_is_not() -> None:
    before = told(FRESH)

    assert {name for name, values in before.items() if not values} == {
        "ingestion_cache_hit_ratio",
        "ingestion_cache_oldest_forming_seconds",
    }
    assert before["ingestion_cache_questions"] == {
        ("hit",): 0,
        ("partial",): 0,
        ("miss",): 0,
    }
    assert before["ingestion_cache_file_problem"] == {(): 0}


def test_a_cache_that_is_switched_off_says_so() -> None:
    off = msgspec.structs.replace(FRESH, enabled=False)

    assert told(off)["ingestion_cache_enabled"] == {(): 0}


def test_each_page_tells_of_its_moment() -> None:
    counts = CacheCounts(misses=1)
    page = MetricsPage(cache_parts(lambda: CacheUse(enabled=True, counts=counts)))
    page("")

    counts.hits += 1

    assert series(page(""))["ingestion_cache_hit_ratio"] == {(): 0.5}


def test_every_metric_says_what_it_means_and_which_kind_it_is() -> None:
    page = MetricsPage(cache_parts(lambda: USED))

    ours = {
        name: each
        for name, each in families(page(OPENMETRICS)).items()
        if name.startswith("ingestion_cache_")
    }
    counters = {name for name, each in ours.items() if each.type == "counter"}
    assert counters == {
        "ingestion_cache_questions",
        "ingestion_cache_encoded_hits",
        "ingestion_cache_shared_questions",
        "ingestion_cache_negative_hits",
        "ingestion_cache_stale_answers",
        "ingestion_cache_evicted_series",
        "ingestion_cache_rebased_series",
        "ingestion_cache_revised_bars",
    }
    assert {each.type for each in ours.values()} == {"counter", "gauge"}
    assert all(each.documentation.endswith(".") for each in ours.values())
