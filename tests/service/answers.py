"""Answers, as a room below the door would give them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import DAY_NS, Interval
from ingestion_server.domain.quality import QualityFlag
from ingestion_server.domain.result import (
    Attempt,
    BarResult,
    Completeness,
    Missing,
    Outcome,
    Source,
)
from tests.builders import days, ns
from tests.clocks import NOW_NS

FIRST = ns("1990-01-01")


def day(number: int) -> int:
    """Return when the bar of a number opens."""
    return FIRST + number * DAY_NS


def source(
    provider: str, first: int, stop: int, age_seconds: float | None = None
) -> Source:
    """Sign bars by their numbers; with an age, they came from the cache."""
    return Source(
        provider,
        day(first),
        day(stop),
        NOW_NS,
        feed_delay_seconds=900.0,
        from_cache=age_seconds is not None,
        cache_age_seconds=age_seconds,
    )


def answer(
    count: int,
    *sources: Source,
    missing: Sequence[Missing] = (),
    flags: Sequence[QualityFlag] = (),
    good_for_seconds: float = 0.0,
) -> BarResult:
    """Return so many bars, the last of which can still change."""
    states = np.full(count, BarState.FINAL, np.uint8)
    states[-1:] = BarState.PARTIAL
    return BarResult(
        instrument("AAPL"),
        Interval.DAY_1,
        Adjustment.SPLIT,
        currency="USD",
        volume_unit="",
        zone="America/New_York",
        series=days("1990-01-01", count),
        states=states,
        completeness=Completeness.PARTIAL if missing else Completeness.COMPLETE,
        missing=list(missing),
        sources=list(sources) or [source("acme", 0, count)],
        attempts=[Attempt("acme", Outcome.SERVED, calls=1)],
        flags=list(flags),
        good_for_seconds=good_for_seconds,
    )
