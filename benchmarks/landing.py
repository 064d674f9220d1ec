"""
Measure what it takes to land bars: to keep them for good in Parquet files.

The reference is what pyarrow needs for the same files alone: it makes the same tables
of the same columns, writes them with the same compression and waits for the disk as
carefully (each file, and the folder of its name). What landing adds is to find out
what is there, to choose what is final and sign it, and that of several files all are
in place or none. Both begin with an empty folder, in turn, so that they meet the same
machine; each figure is the median of the rounds.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.results import Results, at_most_times
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarSeries, BarState
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import DAY_NS, MINUTE_NS, Interval, Times
from ingestion_server.domain.query import Span
from ingestion_server.domain.result import BarResult, Completeness, Source
from ingestion_server.ports.jobs import Holding
from ingestion_server.store.landing import ParquetLanding
from ingestion_server.store.parquet.columns import WRITING

ROUNDS: Final = 31
MOST_TIMES: Final = 2.0
# The usual temporary folder may be one in memory.
DISK: Final = Path("/var/tmp")  # noqa: S108 - a folder of our own is made in it
NOW_NS: Final = 1_767_225_600 * 10**9
"""2026-01-01."""
MINUTES: Final = 390
"""Of a session."""
CASES: Final = {
    "landing_days_1_year": (Interval.DAY_1, 2025, 1),
    "landing_days_5_years": (Interval.DAY_1, 2021, 5),
    "landing_minutes_1_month": (Interval.MINUTE_1, 2025, 1 / 12),
    "landing_minutes_1_year": (Interval.MINUTE_1, 2025, 1),
}


class Case(NamedTuple):
    """Be something that lands."""

    holding: Holding
    span: Span
    result: BarResult


class Clock:
    """Tell one time."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 UTC."""
        return NOW_NS

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        await asyncio.sleep(seconds)


def measured() -> Results:
    """Measure all in turn, and judge each of them and their sum."""
    folder = DISK if DISK.is_dir() else None
    found = {}
    ours_of_all = bare_of_all = 0.0
    for name, (interval, year, years) in CASES.items():
        case = _case(interval, year, years)
        with tempfile.TemporaryDirectory(dir=folder) as chosen:
            ours, bare = _raced(case, Path(chosen))
        found[name] = at_most_times(ours, "ms", bare, MOST_TIMES)
        ours_of_all += ours
        bare_of_all += bare
    found["landing"] = at_most_times(ours_of_all, "ms", bare_of_all, MOST_TIMES)
    return found


def _raced(case: Case, folder: Path) -> tuple[float, float]:
    """Return the milliseconds of landing, and those of pyarrow alone."""
    ours, bare = [], []
    for number in range(ROUNDS + 1):
        ours.append(_timed(_landed, case, folder / f"ours-{number}"))
        bare.append(_timed(_written, case, folder / f"bare-{number}"))
        shutil.rmtree(folder / f"ours-{number}")
        shutil.rmtree(folder / f"bare-{number}")
    # The first round loads what is loaded once.
    return statistics.median(ours[1:]), statistics.median(bare[1:])


def _timed(work: Callable[[Case, Path], float], case: Case, folder: Path) -> float:
    folder.mkdir()
    return work(case, folder) * 1000


def _landed(case: Case, folder: Path) -> float:
    store = ParquetLanding(folder, clock=Clock())

    async def land() -> float:
        # A server's first landing starts a thread; the others find it.
        await store.covered(case.holding, case.span)
        began = time.perf_counter()
        await store.land(case.holding, case.span, case.result)
        return time.perf_counter() - began

    return asyncio.run(land())


def _written(case: Case, folder: Path) -> float:
    began = time.perf_counter()
    series, source = case.result.series, case.result.sources[0]
    times = series.open_time_ns[[0, -1]].astype("datetime64[ns]")
    first, last = times.astype("datetime64[Y]")
    for year in np.arange(first, last + 1):
        edges = np.array([year, year + 1]).astype("datetime64[ns]").astype(np.int64)
        start, end = series.open_time_ns.searchsorted(edges)
        new = folder / f"{year}.new"
        table = _table(series.take(slice(int(start), int(end))), source, case)
        pq.write_table(table, str(new), **WRITING)
        _synced(new)
        new.rename(folder / f"{year}.parquet")
        _synced(folder)
    return time.perf_counter() - began


def _synced(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


def _table(series: BarSeries, source: Source, case: Case) -> pa.Table:
    count = len(series)
    held = case.holding

    def times(values: Times) -> pa.Array:
        return pa.array(values).view(pa.timestamp("ns", "UTC"))

    def word(text: str) -> pa.Array:
        codes = pa.array(np.zeros(count, np.int32))
        return pa.DictionaryArray.from_arrays(codes, pa.array([text]))

    columns: dict[str, Any] = {
        "symbol": word(held.instrument.symbol),
        "asset_class": word(held.instrument.asset_class),
        "exchange": word(held.instrument.exchange),
        "interval": word(held.interval),
        "adjustment": word(held.adjustment),
        "session": word(held.hours),
        "currency": word(case.result.currency),
        "open_time": times(series.open_time_ns),
        "open": pa.array(series.open, from_pandas=True),
        "high": pa.array(series.high, from_pandas=True),
        "low": pa.array(series.low, from_pandas=True),
        "close": pa.array(series.close, from_pandas=True),
        "volume": pa.array(series.volume, from_pandas=True),
        "volume_unit": word(case.result.volume_unit),
        "state": word("final"),
        "provider": word(source.provider),
        "received_at": times(np.full(count, source.received_at_ns)),
        "derived": pa.array(np.zeros(count, np.bool_)),
        "revised_at": pa.nulls(count, pa.timestamp("ns", "UTC")),
    }
    return pa.table(columns)


def _case(interval: Interval, year: int, years: float) -> Case:
    """Have the bars of so many years, of five days in a week."""
    start = np.datetime64(f"{year}-01-01", "D")
    days = start + np.arange(round(365.25 * years))
    days = days[np.is_busday(days)].astype("datetime64[ns]").astype(np.int64)
    opens = days
    if interval.intraday:
        session = 14 * 60 + 30 + np.arange(MINUTES)
        opens = (days[:, None] + session * MINUTE_NS).ravel()
    held = Holding(instrument("AAPL"), interval, Adjustment.SPLIT)
    span = Span(int(days[0]), int(days[-1]) + DAY_NS)
    random = np.random.default_rng(1)
    count = len(opens)
    close = (200 * np.exp(np.cumsum(random.normal(0, 0.0005, count)))).round(2)
    series = BarSeries(
        opens,
        (close - 0.02).round(2),
        (close + random.integers(0, 20, count) / 100).round(2),
        (close - 0.02 - random.integers(0, 20, count) / 100).round(2),
        close,
        random.integers(100, 1_000_000, count).astype(np.float64),
    )
    return Case(held, span, _result(held, series, span))


def _result(held: Holding, series: BarSeries, span: Span) -> BarResult:
    sources: Sequence[Source] = [Source("yahoo", span.start_ns, span.end_ns, NOW_NS)]
    return BarResult(
        instrument=held.instrument,
        interval=held.interval,
        adjustment=held.adjustment,
        currency="USD",
        volume_unit="",
        zone="America/New_York",
        series=series,
        states=np.full(len(series), BarState.FINAL, np.uint8),
        completeness=Completeness.COMPLETE,
        missing=[],
        sources=list(sources),
        attempts=[],
        flags=[],
    )
