"""Bars as columns, and how short bars become long ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from ingestion_server.sandbox.days import Int64

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Hold bars as columns of one length, ascending in time."""

    start_ns: Int64
    """When the bar begins."""
    label_ns: Int64
    """Date of the session the bar belongs to, at 00:00 UTC."""
    anchor_ns: Int64
    """When the stretch of trading began that holds the bar."""
    regular: npt.NDArray[np.bool_]
    """Whether the bar lies in regular hours."""
    open: Float64
    high: Float64
    low: Float64
    close: Float64
    volume: Int64
    """In the instrument's unit of volume, so that sums are exact."""

    def __len__(self) -> int:
        """Return the number of bars."""
        return len(self.start_ns)

    def at(self, which: slice | Int64 | npt.NDArray[np.bool_]) -> Self:
        """Return the chosen bars."""
        return type(self)(
            self.start_ns[which],
            self.label_ns[which],
            self.anchor_ns[which],
            self.regular[which],
            self.open[which],
            self.high[which],
            self.low[which],
            self.close[which],
            self.volume[which],
        )

    def grouped(self, keys: Int64) -> Self:
        """Merge neighbours of equal key into one bar each."""
        if not len(self):
            return self
        first = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
        last = np.append(first[1:], len(keys)) - 1
        return type(self)(
            self.start_ns[first],
            self.label_ns[first],
            self.anchor_ns[first],
            self.regular[first],
            self.open[first],
            np.maximum.reduceat(self.high, first),
            np.minimum.reduceat(self.low, first),
            self.close[last],
            np.add.reduceat(self.volume, first),
        )

    def scaled(self, price: Float64, volume: Float64) -> Self:
        """Return the bars with prices and volumes multiplied row by row."""
        return replace(
            self,
            open=self.open * price,
            high=self.high * price,
            low=self.low * price,
            close=self.close * price,
            volume=np.rint(self.volume * volume).astype(np.int64),
        )


def joined(parts: list[Bars]) -> Bars:
    """Return the parts one after another."""
    if not parts:
        return _EMPTY
    if len(parts) == 1:
        return parts[0]
    return Bars(
        np.concatenate([part.start_ns for part in parts]),
        np.concatenate([part.label_ns for part in parts]),
        np.concatenate([part.anchor_ns for part in parts]),
        np.concatenate([part.regular for part in parts]),
        np.concatenate([part.open for part in parts]),
        np.concatenate([part.high for part in parts]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.close for part in parts]),
        np.concatenate([part.volume for part in parts]),
    )


_INTS: Int64 = np.array([], dtype=np.int64)
_FLOATS: Float64 = np.array([], dtype=np.float64)
_EMPTY = Bars(
    _INTS,
    _INTS,
    _INTS,
    np.array([], dtype=np.bool_),
    _FLOATS,
    _FLOATS,
    _FLOATS,
    _FLOATS,
    _INTS,
)
