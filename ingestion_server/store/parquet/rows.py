"""Bars with everything that is kept beside them, as columns, and how two sets merge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, final

import numpy as np
import numpy.typing as npt

from ingestion_server.domain.bars import BarState, Column
from ingestion_server.domain.interval import Times

NEVER: Final = 0
"""In place of a moment: there is none."""

Mask = npt.NDArray[np.bool_]
Chosen = npt.NDArray[np.int64] | Mask | slice


@final
@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Be a column of few different words."""

    codes: npt.NDArray[np.int32]
    names: tuple[str, ...]
    """Each once."""

    def take(self, rows: Chosen) -> Words:
        """Return the words of the chosen rows."""
        return Words(self.codes[rows], self.names)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Hold bars as columns of equal length, by ascending times."""

    open_time_ns: Times
    prices: tuple[Column, Column, Column, Column]
    """Open, high, low and close; NaN = unknown."""
    volume: Column
    """NaN = unknown."""
    states: npt.NDArray[np.uint8]
    """A ``BarState`` per bar."""
    provider: Words
    received_at_ns: Times
    derived: Mask
    currency: Words
    volume_unit: Words
    revised_at_ns: Times
    """When a bar took another's place or, among revisions, lost its own."""

    def __len__(self) -> int:
        return len(self.open_time_ns)

    def take(self, rows: Chosen) -> Rows:
        """Return the chosen rows."""
        first, high, low, last = (column[rows] for column in self.prices)
        return Rows(
            self.open_time_ns[rows],
            (first, high, low, last),
            self.volume[rows],
            self.states[rows],
            self.provider.take(rows),
            self.received_at_ns[rows],
            self.derived[rows],
            self.currency.take(rows),
            self.volume_unit.take(rows),
            self.revised_at_ns[rows],
        )

    def revised(self, at_ns: int) -> Rows:
        """Return the same rows, with another time of revision."""
        return replace(self, revised_at_ns=np.full(len(self), at_ns, np.int64))


class Merged(NamedTuple):
    """Be what came of merging."""

    rows: Rows
    """The same object as before if nothing has changed."""
    replaced: Rows
    """Those that lost their place."""


def merged(known: Rows, fresh: Rows, *, now_ns: int) -> Merged:
    """
    Merge bars into others; each has a time of its own.

    Of two that are equal the known one stays, else the fresh one takes its place.

    Args:
        known: what was there before.
        fresh: what comes.
        now_ns: when that is.

    """
    if not len(known):
        return Merged(fresh if len(fresh) else known, known)
    at, there = _meet(known, fresh)
    differs = there & _differ(known.take(at), fresh)
    if bool((there & ~differs).all()):
        return Merged(known, known.take(slice(0)))
    state = np.where(differs, np.uint8(BarState.REVISED), fresh.states)
    since = np.where(differs, now_ns, fresh.revised_at_ns)
    fresh = replace(fresh, states=state, revised_at_ns=since)
    lost = np.zeros(len(known), np.bool_)
    lost[at[differs]] = True
    rows = joined(known.take(~lost), fresh.take(differs | ~there))
    return Merged(rows, known.take(lost))


def joined(first: Rows, second: Rows) -> Rows:
    """Return the rows of both by time; of equal times the first ones come first."""
    if not len(second):
        return first
    if not len(first):
        return second
    one, two, three, four = (
        np.concatenate(pair) for pair in zip(first.prices, second.prices, strict=True)
    )
    rows = Rows(
        np.concatenate((first.open_time_ns, second.open_time_ns)),
        (one, two, three, four),
        np.concatenate((first.volume, second.volume)),
        np.concatenate((first.states, second.states)),
        _together(first.provider, second.provider),
        np.concatenate((first.received_at_ns, second.received_at_ns)),
        np.concatenate((first.derived, second.derived)),
        _together(first.currency, second.currency),
        _together(first.volume_unit, second.volume_unit),
        np.concatenate((first.revised_at_ns, second.revised_at_ns)),
    )
    if first.open_time_ns[-1] <= second.open_time_ns[0]:
        return rows
    return rows.take(np.argsort(rows.open_time_ns, kind="stable"))


def met(known: Rows, fresh: Rows) -> tuple[Rows, Rows]:
    """Return the rows of both whose times both have."""
    if not len(known):
        return known, fresh.take(slice(0))
    at, found = _meet(known, fresh)
    return known.take(at[found]), fresh.take(found)


def no_rows() -> Rows:
    """Return none."""
    times = np.empty(0, np.int64)
    none = np.empty(0, np.float64)
    words = Words(np.empty(0, np.int32), ())
    return Rows(
        times,
        (none, none, none, none),
        none,
        np.empty(0, np.uint8),
        words,
        times,
        np.empty(0, np.bool_),
        words,
        words,
        times,
    )


def words(spelled: Sequence[str], codes: npt.NDArray[np.int32]) -> Words:
    """Return a column by the numbers of words, of which some may be the same."""
    names = tuple(dict.fromkeys(spelled))
    if len(names) < len(spelled):
        numbers = np.array([names.index(word) for word in spelled], np.int32)
        codes = numbers[codes]
    return Words(codes, names)


def _meet(known: Rows, fresh: Rows) -> tuple[npt.NDArray[np.int64], Mask]:
    """Return by fresh row where a known one would be, and whether it is there."""
    at = known.open_time_ns.searchsorted(fresh.open_time_ns)
    at = np.minimum(at, len(known) - 1)
    return at, known.open_time_ns[at] == fresh.open_time_ns


def _differ(known: Rows, fresh: Rows) -> Mask:
    found = np.zeros(len(fresh), np.bool_)
    mine, theirs = (*known.prices, known.volume), (*fresh.prices, fresh.volume)
    for one, other in zip(mine, theirs, strict=True):
        found |= (one != other) & ~(np.isnan(one) & np.isnan(other))
    return found


def _together(first: Words, second: Words) -> Words:
    names = (*first.names, *second.names)
    codes = np.concatenate((first.codes, second.codes + len(first.names)))
    return words(names, codes.astype(np.int32))
