"""What has been gathered for one answer, and from whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from ingestion_server.domain.bars import (
    BarSeries,
    BarState,
    ascending,
    concatenated,
    empty_series,
)
from ingestion_server.domain.grid import Grid
from ingestion_server.domain.interval import (
    DAY_NS,
    SECOND_NS,
    Interval,
    Times,
    among,
    label_ends,
)
from ingestion_server.domain.quality import QualityFlag
from ingestion_server.domain.query import Span
from ingestion_server.domain.result import Source
from ingestion_server.ingest.scope import SETTLING_NS


class Piece(msgspec.Struct, frozen=True, eq=False):
    """Hold what one vendor gave: bars as they were asked for, and their truth."""

    provider: str
    series: BarSeries
    received_at_ns: int
    currency: str = ""
    volume_unit: str = ""
    derivation: str = ""
    feed_delay_seconds: float | None = None
    first_trade_ns: int | None = None
    flags: list[QualityFlag] = msgspec.field(default_factory=list)
    states: npt.NDArray[np.uint8] | None = None
    """A ``BarState`` per bar, where it is known from before; None = to be judged."""
    revised_ns: Times | None = None
    """Opens of the bars that were corrected after they had been final."""
    from_cache: bool = False
    stale: bool = False
    """Whether it would not have been used, had a vendor answered."""

    def __len__(self) -> int:
        return len(self.series)

    def take(self, rows: npt.NDArray[np.bool_] | slice) -> Piece:
        """Return the piece with the chosen bars."""
        states = None if self.states is None else self.states[rows]
        return replace(self, series=self.series.take(rows), states=states)

    def within(self, spans: Sequence[Span]) -> Piece:
        """Return the piece with what opens within the spans."""
        flags = [
            flag
            for flag in self.flags
            if flag.time_ns is None
            or any(span.start_ns <= flag.time_ns < span.end_ns for span in spans)
        ]
        found = self._opening_within(spans)
        return found if len(flags) == len(self.flags) else replace(found, flags=flags)

    def _opening_within(self, spans: Sequence[Span]) -> Piece:
        times = self.series.open_time_ns
        if not len(times) or any(
            span.start_ns <= times[0] and times[-1] < span.end_ns for span in spans
        ):
            return self
        inside = np.zeros(len(times), np.bool_)
        for span in spans:
            first, stop = times.searchsorted((span.start_ns, span.end_ns))
            inside[first:stop] = True
        return self if inside.all() else self.take(inside)


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

    @property
    def stale(self) -> bool:
        """Tell whether there is anything that is older than usual."""
        return any(piece.stale for piece in self.pieces)

    def times_ns(self) -> Times:
        """Return the opens of all bars so far."""
        if not self.pieces:
            return np.empty(0, np.int64)
        if len(self.pieces) == 1:
            return self.pieces[0].series.open_time_ns
        return np.concatenate([piece.series.open_time_ns for piece in self.pieces])

    def add(self, piece: Piece) -> int:
        """Keep the bars that are new; return how many."""
        self.flags.extend(piece.flags)
        claims = (self.first_trade_ns, piece.first_trade_ns)
        self.first_trade_ns = min((c for c in claims if c is not None), default=None)
        series = ascending(piece.series)
        if piece.states is None and series is not piece.series:
            piece = replace(piece, series=series)
        if self.pieces:
            # What is of a cache is ascending, and of a vendor it is by now.
            known = among(piece.series.open_time_ns, self.times_ns())
            piece = piece.take(~known)
        if len(piece):
            self.pieces.append(piece)
        return len(piece)

    def renewed(self, provider: str, spans: Sequence[Span]) -> None:
        """Drop what was noticed of a vendor's rows that it has given anew."""
        noticed = [
            flag
            for piece in self.pieces
            if piece.from_cache and piece.provider == provider
            for flag in piece.flags
        ]
        self.flags = [
            flag
            for flag in self.flags
            if flag not in noticed
            or flag.time_ns is None
            or not any(span.start_ns <= flag.time_ns < span.end_ns for span in spans)
        ]

    def forget(self, provider: str) -> None:
        """Drop what was known of a vendor from before."""
        self.pieces = [
            piece
            for piece in self.pieces
            if not (piece.from_cache and piece.provider == provider)
        ]

    def series(self) -> tuple[BarSeries, npt.NDArray[np.int64]]:
        """Return all bars, ascending, and for each the index of its piece."""
        if not self.pieces:
            return empty_series(), np.empty(0, np.int64)
        if len(self.pieces) == 1:
            # Ascending since it was added.
            only = self.pieces[0].series
            return only, np.zeros(len(only), np.int64)
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
    *,
    now_ns: int,
) -> list[Source]:
    """Return who served each stretch: runs of bars of the same piece."""
    if not len(series):
        return []
    borders = np.flatnonzero(owners[1:] != owners[:-1]).tolist()
    lasts = [*borders, len(owners) - 1]
    ends = label_ends(series.open_time_ns[lasts], interval).tolist()
    signed = []
    first = 0
    for last, end_ns in zip(lasts, ends, strict=True):
        piece = collected.pieces[int(owners[first])]
        signed.append(
            Source(
                piece.provider,
                int(series.open_time_ns[first]),
                end_ns,
                piece.received_at_ns,
                feed_delay_seconds=piece.feed_delay_seconds,
                from_cache=piece.from_cache,
                cache_age_seconds=(
                    max(now_ns - piece.received_at_ns, 0) / SECOND_NS
                    if piece.from_cache
                    else None
                ),
                derivation=piece.derivation,
            )
        )
        first = last + 1
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
    if len(collected.pieces) == 1 and collected.pieces[0].states is not None:
        return collected.pieces[0].states[_rows_of(series, collected.pieces[0].series)]
    received = np.array([piece.received_at_ns for piece in collected.pieces], np.int64)
    settled = received[owners] if len(received) else owners
    closes = _closes(series.open_time_ns, wanted, interval)
    found = np.where(
        closes + SETTLING_NS <= settled,
        np.uint8(BarState.FINAL),
        np.uint8(BarState.PARTIAL),
    )
    for index, piece in enumerate(collected.pieces):
        if piece.states is None and piece.revised_ns is None:
            continue
        mine = owners == index
        times = series.open_time_ns[mine]
        if piece.states is not None:
            found[mine] = piece.states[
                np.searchsorted(piece.series.open_time_ns, times)
            ]
        elif piece.revised_ns is not None and len(piece.revised_ns):
            corrected = among(times, piece.revised_ns)
            found[np.flatnonzero(mine)[corrected]] = BarState.REVISED
    return found


def _closes(times_ns: Times, wanted: Grid | None, interval: Interval) -> Times:
    """Return when each bar is over: by the calendar if it knows the bar."""
    ends = label_ends(times_ns, interval)
    if wanted is None and not interval.intraday:
        # Sessions may end after the date has, as those of futures do.
        return ends + DAY_NS
    if wanted is None or not len(wanted):
        return ends
    if len(times_ns) == len(wanted) and (times_ns == wanted.opens_ns).all():
        return wanted.closes_ns
    place = np.minimum(wanted.opens_ns.searchsorted(times_ns), len(wanted) - 1)
    on_grid = wanted.opens_ns[place] == times_ns
    closes: Times = np.where(on_grid, wanted.closes_ns[place], ends)
    return closes


def _rows_of(series: BarSeries, whole: BarSeries) -> slice:
    """Return where a stretch of a series lies within it."""
    if not len(series):
        return slice(0, 0)
    first = int(np.searchsorted(whole.open_time_ns, series.open_time_ns[0]))
    return slice(first, first + len(series))
