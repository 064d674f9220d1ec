"""Bars that were kept for good."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from ingestion_server.domain.bars import BarSeries


class LandedSource(msgspec.Struct, frozen=True):
    """Sign one stretch of bars."""

    provider: str
    start_ns: int
    """Open time of the first bar."""
    end_ns: int
    """Exclusive."""
    received_at_ns: int
    derived: bool


@dataclass(frozen=True, slots=True, eq=False)
class LandedBars:
    """Hold bars, and who served them."""

    series: BarSeries
    states: npt.NDArray[np.uint8]
    """A ``BarState`` per bar."""
    sources: list[LandedSource]
    """Ascending, without overlap."""
    currency: str = ""
    """Unit of the prices; empty if it is not known."""
    zone: str = ""
    """Zone of the exchange."""
