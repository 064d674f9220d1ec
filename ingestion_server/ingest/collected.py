"""What has been gathered for one answer, and from whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ingestion_server.domain.bars import (
    BarSeries,
    BarState,
    ascending,
    concatenated,
    empty_series,
)
from ingestion_server.domain.grid import Grid
from ingestion_server.domain.interval import Interval, Times, label_ends
from ingestion_server.domain.quality import QualityFlag
from ingestion_server.domain.result import Source
from ingestion_server.ingest.scope import SETTLING_NS


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Hold what one vendor gave: bars as they were asked for, and their truth."""

    provider: str
    series: BarSeries
    received_at_ns: int
    currency: str = ""
    volume_unit: str = ""
    derivation: str = ""
    feed_delay_seconds: float | None = None
    first_trade_ns: int | None = None
    flags: list[QualityFlag] = field(default_factory=list)


@dataclass(slots=True)
class Collected:
    """Gather pieces; of a time that two pieces have, the earlier piece keeps it."""

    pieces: list[Piece] = field(default_factory=list)
    flags: list[QualityFlag] = field(default_factory=list)
    first_trade_ns: int | None = None

    @property
    def currency(self) -> str:
        """Return the unit of the prices, if a vendor named it."""
        return next((piece.currency for piece in self.pieces if piece.currency), "")

    @property
    def volume_unit(self) -> str:
        """Return what volume counts; empty = shares, contracts or nothing."""
        return self.pieces[0].volume_unit if self.pieces else ""

    def times_ns(self) -> Times:
        """Return the opens of all bars so far."""
        if not self.pieces:
            return np.empty(0, np.int64)
        return np.concatenate([piece.series.open_time_ns for piece in self.pieces])

    def add(self, piece: Piece) -> int:
        """Keep the bars that are new; return how many."""
        self.flags.extend(piece.flags)
        claims = (self.first_trade_ns, piece.first_trade_ns)
        self.first_trade_ns = min((c for c in claims if c is not None), default=None)
        series = ascending(piece.series)
        new = series.take(~np.isin(series.open_time_ns, self.times_ns()))
        if len(new):
            self.pieces.append(replace(piece, series=new))
        return len(new)

    def series(self) -> tuple[BarSeries, npt.NDArray[np.int64]]:
        """Return all bars, ascending, and for each the index of its piece."""
        if not self.pieces:
            return empty_series(), np.empty(0, np.int64)
        owners = np.concatenate(
            [np.full(len(p.series), index) for index, p in enumerate(self.pieces)]
        )
        by_time = np.argsort(self.times_ns(), kind="stable")
        return concatenated([piece.series for piece in self.pieces]), owners[by_time]


def sources(
    collected: Collected,
    series: BarSeries,
    owners: npt.NDArray[np.int64],
    interval: Interval,
) -> list[Source]:
    """Return who served each stretch: runs of bars of the same piece."""
    if not len(series):
        return []
    starts = np.flatnonzero(np.append(True, owners[1:] != owners[:-1]))
    stops = np.append(starts[1:], len(owners))
    ends = label_ends(series.open_time_ns, interval)
    signed = []
    for first, stop in zip(starts, stops, strict=True):
        piece = collected.pieces[int(owners[first])]
        signed.append(
            Source(
                piece.provider,
                int(series.open_time_ns[first]),
                int(ends[stop - 1]),
                piece.received_at_ns,
                feed_delay_seconds=piece.feed_delay_seconds,
                derivation=piece.derivation,
            )
        )
    return signed


def states(
    collected: Collected,
    series: BarSeries,
    owners: npt.NDArray[np.int64],
    wanted: Grid | None,
    interval: Interval,
) -> npt.NDArray[np.uint8]:
    """
    Return whether each bar is final.

    FINAL only if it was received after the bar was over and had time to settle.
    """
    closes = label_ends(series.open_time_ns, interval)
    if wanted is not None and len(wanted):
        place = np.minimum(
            np.searchsorted(wanted.opens_ns, series.open_time_ns), len(wanted) - 1
        )
        on_grid = wanted.opens_ns[place] == series.open_time_ns
        closes = np.where(on_grid, wanted.closes_ns[place], closes)
    received = np.array([piece.received_at_ns for piece in collected.pieces], np.int64)
    settled = received[owners] if len(received) else owners
    return np.where(
        closes + SETTLING_NS <= settled, BarState.FINAL, BarState.PARTIAL
    ).astype(np.uint8)
