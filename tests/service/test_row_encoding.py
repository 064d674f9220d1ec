"""What is written without messages reads as if it were written by them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from marketdata.ingestion.v1 import bar_pb2

from ingestion_server.domain.bars import BarSeries, BarState, empty_series
from ingestion_server.service.row_encoding import (
    encoded_columns,
    encoded_rows,
    framed,
)
from tests.builders import days
from tests.clocks import SECOND_NS

CODES = {
    BarState.FINAL: bar_pb2.BAR_STATE_FINAL,
    BarState.PARTIAL: bar_pb2.BAR_STATE_PARTIAL,
    BarState.REVISED: bar_pb2.BAR_STATE_REVISED,
}
FINAL = np.uint8(BarState.FINAL)
WIDTH_CHANGES = [
    edge + shift
    for edge in (0, 2**28 * SECOND_NS, 2**56, -SECOND_NS)
    for shift in (-SECOND_NS, -1, 0, 1, SECOND_NS)
]
"""Moments around which a time takes another number of bytes, or turns negative."""
MOMENTS = st.one_of(
    st.sampled_from(WIDTH_CHANGES),
    # What a Timestamp can hold and the house as well: 1677 to 2262.
    st.integers(-(2**63) + SECOND_NS, 2**63 - 1),
    st.integers(0, 2**33 - 1).map(lambda second: second * SECOND_NS),
)
VALUES = st.one_of(
    st.floats(), st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 191.25])
)


@st.composite
def rows_of(draw: st.DrawFn) -> tuple[BarSeries, np.ndarray]:
    """Draw bars in ascending order, and a state for each."""
    times = sorted(draw(st.sets(MOMENTS, max_size=12)))

    def column() -> np.ndarray:
        count = len(times)
        return np.array(draw(st.lists(VALUES, min_size=count, max_size=count)), "f8")

    series = BarSeries(
        np.array(times, np.int64),
        column(),
        column(),
        column(),
        column(),
        draw(st.sampled_from([column(), None])),
    )
    states = [draw(st.sampled_from(list(BarState))) for _ in times]
    return series, np.array(states, np.uint8)


def values(column: np.ndarray | None, count: int) -> Sequence[float | None]:
    """Return what each bar says: nothing where it is NaN."""
    if column is None:
        return [None] * count
    return [None if math.isnan(value) else value for value in column.tolist()]


def message_of_rows(series: BarSeries, states: np.ndarray) -> bar_pb2.BarSeries:
    """Return the bars as the generated code would make them."""
    count = len(series)
    message = bar_pb2.BarSeries()
    for time, state, opened, high, low, close, volume in zip(
        series.open_time_ns.tolist(),
        states.tolist(),
        values(series.open, count),
        values(series.high, count),
        values(series.low, count),
        values(series.close, count),
        values(series.volume, count),
        strict=True,
    ):
        message.bars.append(
            bar_pb2.Bar(
                open_time=Timestamp(seconds=time // SECOND_NS, nanos=time % SECOND_NS),
                open=opened,
                high=high,
                low=low,
                close=close,
                volume=volume,
                state=CODES[BarState(state)],
            )
        )
    return message


def known(column: np.ndarray | None) -> Sequence[float]:
    """Return a column, or nothing if no value of it is known."""
    return [] if column is None or np.isnan(column).all() else column.tolist()


def message_of_columns(series: BarSeries, states: np.ndarray) -> bar_pb2.BarColumns:
    """Return the columns as the generated code would make them."""
    return bar_pb2.BarColumns(
        open_time_ns=series.open_time_ns.tolist(),
        open=known(series.open),
        high=known(series.high),
        low=known(series.low),
        close=known(series.close),
        volume=known(series.volume),
        state=[CODES[BarState(int(state))] for state in states],
    )


def canonical(message: bar_pb2.BarSeries | bar_pb2.BarColumns) -> bytes:
    """Return what tells a NaN from nothing, and 0 from -0, unlike ``==``."""
    return message.SerializeToString(deterministic=True)


@given(rows_of())
def test_rows_read_as_the_generated_code_would_write_them(
    drawn: tuple[BarSeries, np.ndarray],
) -> None:
    written = bar_pb2.BarSeries.FromString(encoded_rows(*drawn))

    assert canonical(written) == canonical(message_of_rows(*drawn))


@given(rows_of())
def test_columns_read_as_the_generated_code_would_write_them(
    drawn: tuple[BarSeries, np.ndarray],
) -> None:
    written = bar_pb2.BarColumns.FromString(encoded_columns(*drawn))

    assert canonical(written) == canonical(message_of_columns(*drawn))


def test_a_history_that_begins_before_1978_is_written_whole() -> None:
    series = days("1962-01-02", 9_000)
    states = np.full(len(series), FINAL)

    written = bar_pb2.BarSeries.FromString(encoded_rows(series, states))

    assert canonical(written) == canonical(message_of_rows(series, states))


def test_nothing_is_written_of_no_bars() -> None:
    none = np.empty(0, np.uint8)

    assert encoded_rows(empty_series(), none) == b""
    assert encoded_columns(empty_series(), none) == b""


def test_rows_of_a_part_of_longer_columns_are_its_own() -> None:
    series = days("2024-01-01", 10).take(slice(2, 8, 2))
    states = np.full(10, FINAL)[2:8:2]

    written = bar_pb2.BarSeries.FromString(encoded_rows(series, states))

    assert canonical(written) == canonical(message_of_rows(series, states))


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 3_000_000])
def test_a_frame_of_any_length_is_read_back(length: int) -> None:
    content = bar_pb2.BarSeries(symbol="A" * length).SerializeToString()

    written = framed(bar_pb2.BarSeries.CURRENCY_FIELD_NUMBER, b"A" * length)

    read = bar_pb2.BarSeries.FromString(written)
    assert read.currency == bar_pb2.BarSeries.FromString(content).symbol
