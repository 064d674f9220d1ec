"""
The final bars of one series, as columns in blocks of time.

A block is never changed, only put in the place of another: so what was handed out, or
waits to be written to a file, stays as it is, and a new bar copies one block and not
twenty years.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeVar, final

import numpy as np
import numpy.typing as npt

from ingestion_server.domain.bars import (
    BarSeries,
    BarState,
    Column,
    empty_series,
)
from ingestion_server.domain.interval import Interval, Times
from ingestion_server.domain.query import AGREEMENT

BLOCK_BARS: Final = 2048
"""A block is so many lengths of a bar long, and rarely holds more bars."""
_ARRAY_BYTES: Final = 120
_ARRAYS: Final = 8

Rows = npt.NDArray[np.bool_]
Number = TypeVar("Number", np.int64, np.float64, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Hold bars, ascending, each with its state and the time it came."""

    series: BarSeries
    states: npt.NDArray[np.uint8]
    received_ns: Times

    def __len__(self) -> int:
        return len(self.states)

    @property
    def nbytes(self) -> int:
        """Return how much memory it takes."""
        columns = 6 if self.series.volume is None else 7
        return len(self) * (columns * 8 + 1) + _ARRAYS * _ARRAY_BYTES

    def take(self, rows: Rows | slice) -> Block:
        """Return the chosen bars."""
        return Block(self.series.take(rows), self.states[rows], self.received_ns[rows])

    def between(self, start_ns: int, end_ns: int) -> Block:
        """Return the bars that open in ``[start, end)``."""
        times = self.series.open_time_ns
        return self.take(
            slice(int(times.searchsorted(start_ns)), int(times.searchsorted(end_ns)))
        )


def empty_block() -> Block:
    """Return a block without bars."""
    return Block(empty_series(), np.empty(0, np.uint8), np.empty(0, np.int64))


def block_of(series: BarSeries, state: BarState, received_at_ns: int) -> Block:
    """Return bars of one state that came at one time."""
    return Block(
        series,
        np.full(len(series), state, np.uint8),
        np.full(len(series), received_at_ns, np.int64),
    )


def joined(parts: list[Block]) -> Block:
    """Return the bars of blocks that follow each other."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return empty_block()
    if len(parts) == 1:
        return parts[0]
    series = [part.series for part in parts]
    volume = None
    if any(each.volume is not None for each in series):
        volume = np.concatenate([volumes(each) for each in series])
    return Block(
        BarSeries(
            np.concatenate([each.open_time_ns for each in series]),
            np.concatenate([each.open for each in series]),
            np.concatenate([each.high for each in series]),
            np.concatenate([each.low for each in series]),
            np.concatenate([each.close for each in series]),
            volume,
        ),
        np.concatenate([part.states for part in parts]),
        np.concatenate([part.received_ns for part in parts]),
    )


def in_order(block: Block) -> Block:
    """Return the same bars, of unique times, by ascending time."""
    times = block.series.open_time_ns
    if bool((times[1:] > times[:-1]).all()):
        return block
    order = np.argsort(times, kind="stable")
    return Block(
        block.series.take(order), block.states[order], block.received_ns[order]
    )


def volumes(series: BarSeries) -> Column:
    """Return the volumes, NaN where the vendor gives none."""
    return np.full(len(series), np.nan) if series.volume is None else series.volume


def owned(block: Block) -> Block:
    """Return a copy that holds nothing else in memory and that nobody can change."""
    series = block.series
    return Block(
        BarSeries(
            _owned(series.open_time_ns, np.int64),
            _owned(series.open, np.float64),
            _owned(series.high, np.float64),
            _owned(series.low, np.float64),
            _owned(series.close, np.float64),
            None if series.volume is None else _owned(series.volume, np.float64),
        ),
        _owned(block.states, np.uint8),
        _owned(block.received_ns, np.int64),
    )


class Meeting(NamedTuple):
    """Say how delivered bars compare to the final ones of the same times."""

    known: Rows
    """Which are there already."""
    differ: Rows
    """Which of those have other values."""
    moved: Rows
    """Of which of those the close is another."""


class Change(NamedTuple):
    """Say what became of the blocks."""

    numbers: set[int]
    """Of the blocks that are others now."""
    revised: int
    """Bars that were corrected."""


@final
class Finals:
    """Hold the final bars of a series."""

    def __init__(self, interval: Interval, blocks: Mapping[int, Block]) -> None:
        """Begin with blocks, by their numbers; what is in them is trusted."""
        self._span_ns = BLOCK_BARS * interval.length_ns
        self._blocks = dict(blocks)
        self._order = sorted(self._blocks)
        self.nbytes = sum(block.nbytes for block in self._blocks.values())
        self.bars = sum(len(block) for block in self._blocks.values())

    def __getitem__(self, number: int) -> Block:
        return self._blocks[number]

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of all blocks, ascending."""
        return list(self._order)

    def span_of(self, number: int) -> tuple[int, int]:
        """Return where a block starts and ends."""
        return number * self._span_ns, (number + 1) * self._span_ns

    def holds(self, number: int, block: Block) -> bool:
        """Tell whether the bars of a block belong into that of a number."""
        start_ns, end_ns = self.span_of(number)
        times = block.series.open_time_ns
        return start_ns <= int(times[0]) and int(times[-1]) < end_ns

    def within(self, start_ns: int, end_ns: int) -> Block:
        """Return the bars that open in ``[start, end)``."""
        return joined(self.parts(start_ns, end_ns))

    def parts(self, start_ns: int, end_ns: int) -> list[Block]:
        """Return the bars that open in ``[start, end)``, block by block."""
        first = bisect_left(self._order, start_ns // self._span_ns)
        stop = bisect_right(self._order, (end_ns - 1) // self._span_ns)
        parts = [self._blocks[number] for number in self._order[first:stop]]
        if parts:
            parts[-1] = parts[-1].between(start_ns, end_ns)
            if len(parts) > 1:
                parts[0] = parts[0].between(start_ns, end_ns)
        return parts

    def last(self, most: int, before_ns: int) -> tuple[int, int] | None:
        """Return the first and last opens of the last bars before a time."""
        place = bisect_right(self._order, (before_ns - 1) // self._span_ns)
        found: tuple[int, int] | None = None
        for number in reversed(self._order[:place]):
            times = self._blocks[number].series.open_time_ns
            stop = int(times.searchsorted(before_ns))
            if not stop:
                continue
            begin = int(times[max(0, stop - most)])
            found = (begin, int(times[stop - 1]) if found is None else found[1])
            most -= stop
            if most <= 0:
                break
        return found

    def first(self, most: int, from_ns: int) -> tuple[int, int] | None:
        """Return the first and last opens of the first bars at or after a time."""
        place = bisect_left(self._order, from_ns // self._span_ns)
        found: tuple[int, int] | None = None
        for number in self._order[place:]:
            times = self._blocks[number].series.open_time_ns
            times = times[times.searchsorted(from_ns) :][:most]
            if not len(times):
                continue
            found = (int(times[0]) if found is None else found[0], int(times[-1]))
            most -= len(times)
            if most <= 0:
                break
        return found

    def meet(self, series: BarSeries) -> Meeting:
        """Compare delivered bars with those of the same times."""
        known = np.zeros(len(series), np.bool_)
        differ = np.zeros(len(series), np.bool_)
        moved = np.zeros(len(series), np.bool_)
        for number, rows in self._by_block(series.open_time_ns):
            block = self._blocks.get(number)
            if block is None:
                continue
            fresh = series.take(rows)
            place, same = _places(block.series.open_time_ns, fresh.open_time_ns)
            if not same.any():
                continue
            old = block.series.take(place[same])
            new = fresh.take(same)
            closes = _differ(old.close, new.close)
            known[rows] = same
            moved[rows][same] = closes
            differ[rows][same] = (
                closes
                | _differ(old.open, new.open)
                | _differ(old.high, new.high)
                | _differ(old.low, new.low)
                | _differ(volumes(old), volumes(new))
            )
        return Meeting(known, differ, moved)

    def rescaled(self, series: BarSeries, meeting: Meeting) -> bool:
        """
        Tell whether delivered bars show that prices moved by more than a correction.

        A split or dividend, however late it is told, changes all bars before it.
        """
        times_ns = series.open_time_ns[meeting.known]
        moved = meeting.moved[meeting.known]
        at = np.flatnonzero(moved)
        if not len(at):
            return False
        first = int(at[0])
        if first == 0 or len(at) * 2 > len(moved):
            return True
        before_ns = int(times_ns[first - 1])
        if self.last(1, int(times_ns[first])) != (before_ns, before_ns):
            # The bar before did not come again: nobody knows how far that goes back.
            return True
        return len(at) > 1 and first + len(at) < len(moved)

    def put(self, series: BarSeries, differ: Rows, received_at_ns: int) -> Change:
        """Add new bars, and overwrite those that differ unless they came later."""
        numbers = set()
        revised = 0
        for number, rows in self._by_block(series.open_time_ns):
            known = self._blocks.get(number)
            fresh = block_of(series.take(rows), BarState.FINAL, received_at_ns)
            if known is None:
                block = fresh
                insort(self._order, number)
            else:
                block, corrected = _renewed(known, fresh, differ[rows])
                revised += corrected
                self.nbytes -= known.nbytes
                self.bars -= len(known)
            self._blocks[number] = block = owned(block)
            self.nbytes += block.nbytes
            self.bars += len(block)
            numbers.add(number)
        return Change(numbers, revised)

    def _by_block(self, times_ns: Times) -> list[tuple[int, slice]]:
        """Return the number of each block that ascending times touch, and its rows."""
        if not len(times_ns):
            return []
        numbers = times_ns // self._span_ns
        if numbers[0] == numbers[-1]:
            return [(int(numbers[0]), slice(0, len(times_ns)))]
        edges = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
        starts = [0, *edges.tolist()]
        stops = [*edges.tolist(), len(times_ns)]
        return [
            (int(numbers[start]), slice(start, stop))
            for start, stop in zip(starts, stops, strict=True)
        ]


def _renewed(known: Block, fresh: Block, differ: Rows) -> tuple[Block, int]:
    """Return the bars of both, and how many were corrected."""
    place, same = _places(known.series.open_time_ns, fresh.series.open_time_ns)
    at = place[same]
    revised = 0
    if len(at):
        came_ns = int(fresh.received_ns[0])
        renewable = known.received_ns[at] <= came_ns
        received_ns = known.received_ns.copy()
        received_ns[at[renewable]] = came_ns
        known = replace(known, received_ns=received_ns)
        corrected = differ[same] & renewable
        revised = int(np.count_nonzero(corrected))
        if revised:
            known = _corrected(known, at[corrected], fresh.take(same).take(corrected))
        fresh = fresh.take(~same)
    return in_order(joined([known, fresh])), revised


def _corrected(known: Block, at: npt.NDArray[np.int64], by: Block) -> Block:
    states = known.states.copy()
    states[at] = BarState.REVISED
    columns = [
        (known.series.open, by.series.open),
        (known.series.high, by.series.high),
        (known.series.low, by.series.low),
        (known.series.close, by.series.close),
    ]
    if known.series.volume is not None or by.series.volume is not None:
        columns.append((volumes(known.series), volumes(by.series)))
    values = []
    for column, value in columns:
        changed = column.copy()
        changed[at] = value
        values.append(changed)
    return replace(
        known, series=BarSeries(known.series.open_time_ns, *values), states=states
    )


def _places(known_ns: Times, fresh_ns: Times) -> tuple[npt.NDArray[np.int64], Rows]:
    """Return where each time is among the known ones, and whether it is there."""
    place = np.minimum(known_ns.searchsorted(fresh_ns), len(known_ns) - 1)
    return place, np.equal(known_ns[place], fresh_ns)


def _differ(old: Column, new: Column) -> Rows:
    """Return which values are not the same; NaN is the same as NaN."""
    if np.array_equal(old, new):
        return np.zeros(len(old), np.bool_)
    with np.errstate(invalid="ignore"):
        largest = np.maximum(np.abs(old), np.abs(new))
        alike: Rows = (np.abs(old - new) <= AGREEMENT * largest) | (old == new)
    alike |= np.isnan(old) & np.isnan(new)
    return ~alike


def _owned(values: npt.NDArray[Number], kind: type[Number]) -> npt.NDArray[Number]:
    copy = np.array(values, kind)
    copy.flags.writeable = False
    return copy
