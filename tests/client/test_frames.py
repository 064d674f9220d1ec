"""Bars become data frames that keep times, gaps and the truth."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ingestion_server.client.bars import Bars, decoded
from tests.client.fakes import FIRST, answer, columns, partial_answer

NAN = float("nan")


@pytest.fixture
def bars() -> Bars:
    """Make bars that lack a volume and a trade count, with a state of the future."""
    told = partial_answer()
    told.series.columns.CopyFrom(
        columns(
            volume=[1.0, NAN, 3.0],
            vwap=[1.5, 2.5, 3.5],
            trade_count=[7, -1, 9],
            state=[1, 2, 99],
        )
    )
    return decoded([told])


def test_pandas(bars: Bars) -> None:
    frame = bars.to_pandas()

    assert list(frame.columns) == [
        "open",
        "high",
        "low",
        "close",
        "volume",
        "vwap",
        "trade_count",
        "state",
    ]
    assert frame.index.name == "time"
    assert frame.index[0] == pd.Timestamp(FIRST)
    assert str(frame.index.dtype) == "datetime64[ns, UTC]"
    assert frame["close"].tolist() == [101.5, 102.5, 103.5]
    assert math.isnan(frame["volume"].iloc[1])
    assert frame["trade_count"].iloc[1] is pd.NA
    assert frame["state"].tolist() == ["final", "partial", "unspecified"]


def test_pandas_attributes_hold_the_truth_as_json_knows_it(bars: Bars) -> None:
    attrs = bars.to_pandas().attrs

    assert json.loads(json.dumps(attrs)) == attrs
    assert attrs["completeness"] == "PARTIAL"
    assert attrs["sources"][0]["provider"] == "yahoo"
    assert attrs["missing"][0]["start"] == "2025-01-09T00:00:00Z"


def test_polars(bars: Bars) -> None:
    frame = bars.to_polars()

    assert frame.schema["time"] == pl.Datetime("ns", "UTC")
    assert frame["time"][0] == FIRST
    assert frame["volume"].to_list() == [1.0, None, 3.0]
    assert frame["trade_count"].to_list() == [7, None, 9]
    assert frame["state"].to_list() == ["final", "partial", "unspecified"]


def test_arrow(bars: Bars) -> None:
    table = bars.to_arrow()

    assert table.schema.field("time").type == pa.timestamp("ns", tz="UTC")
    assert table["time"][0].value == int(FIRST.timestamp()) * 10**9
    assert table["volume"].to_pylist() == [1.0, None, 3.0]
    assert table["trade_count"].to_pylist() == [7, None, 9]
    assert table["state"].to_pylist() == ["final", "partial", "unspecified"]
    assert table.schema.metadata[b"completeness"] == b"PARTIAL"
    sources = json.loads(table.schema.metadata[b"sources"])
    assert sources[0]["provider"] == "yahoo"


def test_bars_that_were_corrected_are_marked_in_every_frame() -> None:
    bars = decoded([answer(columns(state=[1, 3, 2]))])

    states = ["final", "revised", "partial"]
    assert bars.to_pandas()["state"].tolist() == states
    assert bars.to_polars()["state"].to_list() == states
    assert bars.to_arrow()["state"].to_pylist() == states
    assert [row["state"] for row in json.loads(bars.to_json())["series"]["bars"]] == [
        "BAR_STATE_FINAL",
        "BAR_STATE_REVISED",
        "BAR_STATE_PARTIAL",
    ]


def test_columns_that_no_vendor_has_are_left_out() -> None:
    bars = decoded([answer()])

    names = ["open", "high", "low", "close", "volume", "state"]
    assert list(bars.to_pandas().columns) == names
    assert bars.to_polars().columns == ["time", *names]
    assert bars.to_arrow().column_names == ["time", *names]


def test_no_bars_make_empty_frames_of_the_same_shape() -> None:
    empty = decoded([answer(columns(0))])
    full = decoded([answer()])

    assert empty.to_polars().schema == full.to_polars().schema
    assert empty.to_arrow().schema.equals(full.to_arrow().schema)
    assert (empty.to_pandas().dtypes == full.to_pandas().dtypes).all()


@pytest.mark.parametrize(
    ("library", "method", "extra"),
    [
        ("pandas", "to_pandas", "pandas"),
        ("polars", "to_polars", "polars"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, library: str, method: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(ImportError, match=rf"pip install 'ingestion-server\[{extra}\]"):
        getattr(decoded([answer()]), method)()


def test_a_frame_does_not_share_memory_with_the_bars() -> None:
    bars = decoded([answer()])

    frame = bars.to_pandas()
    frame.iloc[0, 0] = 0.0

    assert np.all(bars.open > 0)
