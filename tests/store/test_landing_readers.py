"""What has landed is read by other programs as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from ingestion_server.domain.bars import empty_series
from ingestion_server.domain.interval import Interval
from tests.builders import bars, days, span, times
from tests.clocks import ManualClock
from tests.store import answers
from tests.store.answers import AAPL, landing, result

COLUMNS = {
    "symbol",
    "asset_class",
    "exchange",
    "interval",
    "adjustment",
    "session",
    "currency",
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "volume_unit",
    "state",
    "provider",
    "received_at",
    "derived",
    "revised_at",
}
PAIR = answers.holding("EUR/USD", interval=Interval.HOUR_1)
CORRECTED = datetime(2025, 1, 10, 14, 31, tzinfo=UTC)


@pytest.fixture
async def folder(tmp_path: Path, clock: ManualClock) -> Path:
    """Have two years of a share, one bar corrected, and a pair without volume."""
    store = landing(tmp_path, clock)
    over = span("2022-12-01", "2024-01-01")
    await store.land(AAPL, over, result(days("2023-01-01", 300)))
    clock.jump(60.0)
    changed = bars(times("2023-01-05"), 200.0)
    await store.land(AAPL, over, result(changed, provider="finnhub"))
    hours = bars(times("2023-06-01 10:00", "2023-06-01 11:00"), 1.0, volume=None)
    hours.open[0] = np.nan
    pair = result(hours, of=PAIR, currency="")
    await store.land(PAIR, span("2023-06-01", "2023-06-02"), pair)
    await store.land(
        answers.holding("NEW"), span("2001-01-01", "2001-02-01"), result(empty_series())
    )
    return tmp_path


@pytest.fixture
def clock() -> ManualClock:
    """Stand still."""
    return ManualClock()


def test_pandas_reads_all_of_it_as_one(folder: Path) -> None:
    frame = pd.read_parquet(folder / "bars")

    assert set(frame.columns) == COLUMNS
    assert len(frame) == 302
    assert not frame.duplicated(["symbol", "interval", "open_time"]).any()
    assert str(frame["open_time"].dtype) == "datetime64[ns, UTC]"
    assert frame["volume"].isna().sum() == 2
    pair = frame[frame["symbol"] == "EUR/USD"]
    assert pair["open"].isna().tolist() == [True, False]
    (revised,) = frame[frame["state"] == "revised"].to_dict("records")
    assert revised["close"] == 200.0
    assert revised["provider"] == "finnhub"
    assert revised["revised_at"] == CORRECTED


def test_polars_reads_all_of_it_as_one(folder: Path) -> None:
    frame = pl.scan_parquet(folder / "bars/**/*.parquet")
    found = frame.filter(pl.col("symbol") == "AAPL").sort("open_time").collect()

    assert len(found) == 300
    assert found.schema["open_time"] == pl.Datetime("ns", "UTC")
    assert found["close"].to_list()[4] == 200.0
    nulls = frame.filter(pl.col("symbol") == "EUR/USD").null_count().collect()
    assert nulls["volume"].to_list() == [2]
    assert nulls["open"].to_list() == [1]


def test_duckdb_reads_all_of_it_as_one(folder: Path) -> None:
    with duckdb.connect() as connection:
        bars = connection.read_parquet(f"{folder}/bars/**/*.parquet")
        rows = bars.query(
            "bars",
            "select symbol, count(*), count(volume), max(close),"
            " epoch(min(open_time)::timestamptz) from bars group by all order by all",
        ).fetchall()

    began = datetime(2023, 1, 1, tzinfo=UTC).timestamp()
    pair = datetime(2023, 6, 1, 10, tzinfo=UTC).timestamp()
    assert rows == [("AAPL", 300, 300, 200.0, began), ("EUR/USD", 2, 0, 1.0, pair)]


def test_what_lost_its_place_is_read_beside_what_took_it(folder: Path) -> None:
    with duckdb.connect() as connection:
        for view in ("bars", "revisions"):
            connection.read_parquet(f"{folder}/{view}/**/*.parquet").create_view(view)
        rows = connection.execute(
            "select former.close, latter.close, former.provider, latter.provider"
            " from revisions former join bars latter"
            " using (symbol, interval, adjustment, session, open_time, revised_at)"
        ).fetchall()

    assert rows == [(100.0, 200.0, "yahoo", "finnhub")]


def test_every_file_has_the_same_columns(folder: Path) -> None:
    schemas = [pq.read_schema(path) for path in folder.rglob("*.parquet")]

    assert len(schemas) == 5
    assert set(schemas[0].names) == COLUMNS
    assert all(schema.equals(schemas[0]) for schema in schemas)
