"""The columns of a series as numpy arrays, and how those of several chunks join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from marketdata.ingestion.v1 import bar_pb2

Floats: TypeAlias = npt.NDArray[np.float64]
Int64s: TypeAlias = npt.NDArray[np.int64]
Int8s: TypeAlias = npt.NDArray[np.int8]

NO_TRADE_COUNT = -1
"""Stands for an unknown number of trades, as on the wire."""

_Number = TypeVar("_Number", np.float64, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Hold one value per bar in each array; bars ascend by time."""

    open_time_ns: Int64s
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    state: Int8s
    vwap: Floats | None
    trade_count: Int64s | None


def joined(chunks: Sequence[bar_pb2.BarColumns]) -> Columns:
    """
    Join chunks in their order.

    A column that one chunk lacks, because its vendor has none, is NaN there.
    """
    lengths = [len(chunk.open_time_ns) for chunk in chunks]

    def floats(
        values: Callable[[bar_pb2.BarColumns], Sequence[float]],
    ) -> Floats | None:
        arrays = [np.array(values(chunk), np.float64) for chunk in chunks]
        return _padded(arrays, lengths, np.float64(np.nan))

    def always(values: Callable[[bar_pb2.BarColumns], Sequence[float]]) -> Floats:
        column = floats(values)
        return np.full(sum(lengths), np.nan) if column is None else column

    times = [np.array(chunk.open_time_ns, np.int64) for chunk in chunks]
    states = [np.array(chunk.state, np.int64) for chunk in chunks]
    counts = [np.array(chunk.trade_count, np.int64) for chunk in chunks]
    state = _padded(states, lengths, np.int64(bar_pb2.BAR_STATE_UNSPECIFIED))
    return Columns(
        open_time_ns=np.concatenate(times),
        open=always(lambda chunk: chunk.open),
        high=always(lambda chunk: chunk.high),
        low=always(lambda chunk: chunk.low),
        close=always(lambda chunk: chunk.close),
        volume=always(lambda chunk: chunk.volume),
        state=(
            np.zeros(sum(lengths), np.int8) if state is None else state.astype(np.int8)
        ),
        vwap=floats(lambda chunk: chunk.vwap),
        trade_count=_padded(counts, lengths, np.int64(NO_TRADE_COUNT)),
    )


def _padded(
    arrays: Sequence[npt.NDArray[_Number]], lengths: Sequence[int], unknown: _Number
) -> npt.NDArray[_Number] | None:
    """Join arrays, filling up those that are empty; None if all of them are."""
    if not any(array.size for array in arrays):
        return None
    return np.concatenate(
        [
            array if array.size else np.full(length, unknown)
            for array, length in zip(arrays, lengths, strict=True)
        ]
    )
