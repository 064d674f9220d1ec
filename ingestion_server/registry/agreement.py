"""How far two vendors agree about the prices of the same bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ingestion_server.domain.bars import BarSeries, BarState
from ingestion_server.domain.interval import Times, among

_FIELDS: Final = ("open", "high", "low", "close")
_Distances = npt.NDArray[np.float64]
"""One row per bar, one column per price; NaN where there is nothing to compare."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Hold what came of comparing two series; times ascend."""

    compared: int
    """Bars that both have, with at least one price that both have."""
    agreeing: int
    """Those of them whose prices are all within the tolerance."""
    disagreeing_ns: Times
    """Opens of the others."""
    details: list[str]
    """For each of these, the prices that are too far apart, both values."""
    unmatched_mine_ns: Times
    """Opens of bars that only the first has."""
    unmatched_theirs_ns: Times
    """Opens of bars that only the second has."""
    worst: float | None
    """The largest distance of two prices, relative to the larger; None = none is."""
    worst_ns: int | None
    """Open of the bar that has it."""


def settled(
    mine: BarSeries,
    my_states: npt.NDArray[np.uint8],
    theirs: BarSeries,
    their_states: npt.NDArray[np.uint8],
) -> tuple[BarSeries, BarSeries]:
    """
    Return both series without the bars that can still change with either of them.

    Else a bar that one of them had not settled yet would be said to be missing there.
    """
    moving = np.concatenate(
        [
            mine.open_time_ns[my_states == BarState.PARTIAL],
            theirs.open_time_ns[their_states == BarState.PARTIAL],
        ]
    )
    return (
        mine.take(~among(mine.open_time_ns, moving)),
        theirs.take(~among(theirs.open_time_ns, moving)),
    )


def differences(mine: BarSeries, theirs: BarSeries, *, tolerance: float) -> Comparison:
    """
    Compare the prices of bars that open at the same time.

    ``tolerance`` is how far apart two prices may be, relative to the larger. A price
    that one of them lacks is not compared. Which bars can still change is not known
    here, see ``settled``.
    """
    shared, at_mine, at_theirs = np.intersect1d(
        mine.open_time_ns,
        theirs.open_time_ns,
        assume_unique=True,
        return_indices=True,
    )
    my_prices, their_prices = _prices(mine, at_mine), _prices(theirs, at_theirs)
    distances = _distances(my_prices, their_prices)
    comparable = ~np.isnan(distances)
    compared = comparable.any(axis=1)
    # A comparison with NaN is false, and so is no disagreement.
    apart = distances > tolerance
    disagreeing = apart.any(axis=1)
    worst, worst_ns = None, None
    if compared.any():
        row = int(np.argmax(np.where(comparable, distances, -1.0).max(axis=1)))
        worst, worst_ns = float(np.nanmax(distances[row])), int(shared[row])
    return Comparison(
        compared=int(compared.sum()),
        agreeing=int((compared & ~disagreeing).sum()),
        disagreeing_ns=shared[disagreeing],
        details=[
            _detail(my_prices[row], their_prices[row], distances[row], apart[row])
            for row in np.flatnonzero(disagreeing)
        ],
        unmatched_mine_ns=np.setdiff1d(mine.open_time_ns, shared, assume_unique=True),
        unmatched_theirs_ns=np.setdiff1d(
            theirs.open_time_ns, shared, assume_unique=True
        ),
        worst=worst,
        worst_ns=worst_ns,
    )


def _prices(series: BarSeries, rows: npt.NDArray[np.int64]) -> _Distances:
    columns = (series.open, series.high, series.low, series.close)
    return np.stack([column[rows] for column in columns], axis=1)


def _distances(mine: _Distances, theirs: _Distances) -> _Distances:
    larger = np.maximum(np.abs(mine), np.abs(theirs))
    with np.errstate(invalid="ignore"):
        # Divided first: the difference of two huge numbers may be none any more.
        return np.where(
            larger > 0,
            np.abs(mine / larger - theirs / larger),
            np.where(larger == 0, 0.0, np.nan),
        )


def _detail(
    mine: _Distances,
    theirs: _Distances,
    distances: _Distances,
    apart: npt.NDArray[np.bool_],
) -> str:
    return ", ".join(
        f"{_FIELDS[at]} {mine[at]:.10g} against {theirs[at]:.10g} "
        f"({100 * distances[at]:.3g} %)"
        for at in np.flatnonzero(apart)
    )
