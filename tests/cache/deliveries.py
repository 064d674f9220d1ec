"""Deliveries of one-minute bars, for tests: minute 0 is 2025-01-10 12:00 UTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ingestion_server.cache.segments import Segments
from ingestion_server.cache.series import Delivery, Known, Life, SeriesKey, Terms
from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import MINUTE_NS, SECOND_NS, Interval
from ingestion_server.domain.quality import QualityFlag
from ingestion_server.domain.query import Span
from ingestion_server.ports.caching import CacheCounts

EPOCH_NS = 1_736_510_400 * SECOND_NS
NOW_NS = EPOCH_NS + 1000 * MINUTE_NS
KEY = SeriesKey(
    "acme",
    instrument("NVDA"),
    Interval.MINUTE_1,
    Adjustment.SPLIT,
    TradingHours.REGULAR,
)
LIFE = Life(forming_seconds=10.0, absent_seconds=60.0)
USD = Terms("USD")


def at(minute: float) -> int:
    """Return the time of a minute."""
    return EPOCH_NS + round(minute * MINUTE_NS)


def span(first: int, stop: int) -> Span:
    """Return the stretch from one minute to another."""
    return Span(at(first), at(stop))


def minutes(spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Return stretches as pairs of minutes."""
    return [
        ((each.start_ns - EPOCH_NS) // MINUTE_NS, (each.end_ns - EPOCH_NS) // MINUTE_NS)
        for each in spans
    ]


def series(closes: Mapping[int, float], *, volume: float | None = 10.0) -> BarSeries:
    """Return bars by their minutes and closes."""
    times = np.array([at(minute) for minute in sorted(closes)], np.int64)
    values = np.array([closes[minute] for minute in sorted(closes)], np.float64)
    return BarSeries(
        times,
        values,
        values + 1,
        values - 1,
        values,
        None if volume is None else np.full(len(times), volume),
    )


def delivery(  # noqa: PLR0913 - each has a usual value
    spans: Span | Sequence[Span],
    closes: Mapping[int, float] | BarSeries,
    *,
    settled: float = 1_000_000,
    received: float | None = None,
    absent: Sequence[Span] = (),
    terms: Terms = USD,
    day: int | None = None,
    flags: Sequence[QualityFlag] = (),
    first_trade_ns: int | None = None,
) -> Delivery:
    """Return what came; unless told otherwise, all is final and came just now."""
    return Delivery(
        spans=[spans] if isinstance(spans, Span) else spans,
        absent=absent,
        settled_until_ns=at(settled),
        series=closes if isinstance(closes, BarSeries) else series(closes),
        received_at_ns=NOW_NS if received is None else at(received),
        terms=terms,
        day=day,
        first_trade_ns=first_trade_ns,
        flags=flags,
    )


def closes(known: Known | None) -> dict[int, float]:
    """Return closes by their minutes."""
    assert known is not None
    times = (known.series.open_time_ns - EPOCH_NS) // MINUTE_NS
    return dict(zip(times.tolist(), known.series.close.tolist(), strict=True))


def states(known: Known | None) -> list[int]:
    """Return the states of the bars."""
    assert known is not None
    return known.states.tolist()


def segments(limit_bytes: int = 10_000_000) -> Segments:
    """Return a memory without a file."""
    return Segments(limit_bytes=limit_bytes, counts=CacheCounts())


def look(
    memory: Segments,
    wanted: Span,
    *,
    now: float = 1000,
    day: int | None = None,
    life: Life = LIFE,
    key: SeriesKey = KEY,
) -> Known | None:
    """Look at a series at a minute."""
    return memory.look(key, wanted, now_ns=at(now), life=life, day=day)
