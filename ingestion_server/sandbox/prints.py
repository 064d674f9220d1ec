"""The trades of one minute, made to add up to its bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ingestion_server.sandbox.bars import Bars, Float64
from ingestion_server.sandbox.days import MINUTE_NS, Int64
from ingestion_server.sandbox.instrument import Instrument

_MILLISECOND_NS: Final = 1_000_000
_MINUTE_MS: Final = MINUTE_NS // _MILLISECOND_NS
_BURSTS_PER_TRADE: Final = 0.6
_CROWDED: Final = 1.5
"""Above one, the first bursts get more trades than the others."""
_SPREAD_MS: Final = 3
"""How long a burst lasts."""
_LATE: Final = 0.3
"""Part of a burst's trades that are not in its first millisecond."""
_TWINS: Final = 0.1
"""Part of the pairs of neighbours that are the same in everything."""
_SHAKEN: Final = 0.3
"""How far prices stray within the minute, as a part of its range."""
_QUIET_RANGE: Final = 4e-4
"""How far they stray where there is no bar, as a part of the price."""
_FRACTIONS: Final = 1024
"""Parts of a share where there are more trades than shares."""
_LARGEST_QUIET: Final = 20
"""Shares of a trade where there is no bar."""


@dataclass(frozen=True, slots=True, eq=False)
class Prints:
    """Hold trades as columns of one length, ascending in time."""

    time_ns: Int64
    """Whole milliseconds; several trades may share one."""
    price: Float64
    size: Float64
    """Shares or coins, also parts of one; 0 for what has no volume."""

    def __len__(self) -> int:
        """Return the number of trades."""
        return len(self.time_ns)

    def between(self, start_ns: int, end_ns: int) -> Prints:
        """Return the trades in ``[start_ns, end_ns)``."""
        first, last = self.time_ns.searchsorted((start_ns, end_ns)).tolist()
        return self.at(slice(first, last))

    def at(self, which: slice | Int64) -> Prints:
        """Return the chosen trades."""
        return Prints(self.time_ns[which], self.price[which], self.size[which])


def joined(parts: list[Prints]) -> Prints:
    """Return the parts one after another."""
    if not parts:
        return _NONE
    if len(parts) == 1:
        return parts[0]
    return Prints(
        np.concatenate([part.time_ns for part in parts]),
        np.concatenate([part.price for part in parts]),
        np.concatenate([part.size for part in parts]),
    )


def traded_prints(
    random: np.random.Generator,
    bar: Bars,
    count: int,
    decimals: int,
    instrument: Instrument,
) -> Prints:
    """
    Return about so many trades that add up to the one bar.

    The first is at its open, the last at its close, high and low are touched, and
    the sizes sum to its volume. A bar may need more trades than were wished for.
    """
    opening, high = float(bar.open[0]), float(bar.high[0])
    low, close = float(bar.low[0]), float(bar.close[0])
    volume = int(bar.volume[0])
    extremes = sorted({high, low} - {opening, close}, reverse=bool(random.integers(2)))
    single = opening == close and not extremes
    told = [opening] if single else [opening, *extremes, close]
    count = max(count, len(told))
    inner = sorted(random.permutation(max(count - 2, 0))[: len(extremes)] + 1)
    places = np.array([0] if single else [0, *inner, count - 1], dtype=np.int64)
    line = np.interp(np.arange(count), places, told)
    strayed = line + _bridge(random, count) * ((high - low) * _SHAKEN)
    price: Float64 = np.clip(np.round(strayed, decimals), low, high)
    price[places] = told
    # More trades than shares are of fractions, in powers of two: sums stay exact.
    fractions = _FRACTIONS if 0 < volume < count else 1
    size = _parts(random, volume * fractions, count)
    milliseconds = _milliseconds(random, count)
    first = _twins(random, count, places)
    second = first + 1
    milliseconds[second], price[second] = milliseconds[first], price[first]
    both = size[first] + size[second]
    size[first] = size[second] = both // 2
    # The first trade is nobody's twin, and takes what cannot be halved.
    size[0] += int(np.sum(both % 2))
    return Prints(
        int(bar.start_ns[0]) + milliseconds * _MILLISECOND_NS,
        price,
        size.astype(np.float64) * (instrument.volume_unit / fractions),
    )


def quiet_prints(
    random: np.random.Generator,
    minute_ns: int,
    close: float,
    count: int,
    decimals: int,
    instrument: Instrument,
) -> Prints:
    """Return so many small trades around the last close, for a minute without a bar."""
    strayed = close * (1 + _bridge(random, count) * _QUIET_RANGE)
    size = random.integers(1, _LARGEST_QUIET, count, endpoint=True)
    return Prints(
        minute_ns + _milliseconds(random, count) * _MILLISECOND_NS,
        np.round(strayed, decimals),
        size.astype(np.float64) * (1.0 if instrument.pays_volume else 0.0),
    )


def _bridge(random: np.random.Generator, count: int) -> Float64:
    # A walk that ends where it began, of about the same height for any count.
    walk = np.cumsum(random.standard_normal(count))
    if not count:
        return walk
    bridge: Float64 = (walk - np.linspace(walk[0], walk[-1], count)) / np.sqrt(count)
    return bridge


def _milliseconds(random: np.random.Generator, count: int) -> Int64:
    bursts = int(count * _BURSTS_PER_TRADE) + 1
    begin = random.integers(0, _MINUTE_MS, bursts)
    which = (bursts * random.random(count) ** _CROWDED).astype(np.int64)
    late = (random.random(count) < _LATE) * random.integers(0, _SPREAD_MS, count)
    ordered: Int64 = np.sort(np.minimum(begin[which] + late, _MINUTE_MS - 1))
    return ordered


def _twins(random: np.random.Generator, count: int, places: Int64) -> Int64:
    # The second of a pair takes the price of the first, so it must not be needed.
    first = np.arange(1, count - 1, 2, dtype=np.int64)
    first = first[random.random(len(first)) < _TWINS]
    return first[~np.isin(first + 1, places)]


def _parts(random: np.random.Generator, total: int, count: int) -> Int64:
    weight = np.cumsum(np.exp(random.standard_normal(count)))
    least = 1 if total >= count else 0
    edges = np.floor(weight / weight[-1] * (total - least * count)).astype(np.int64)
    edges[-1] = total - least * count
    parts: Int64 = np.diff(edges, prepend=0) + least
    return parts


_NONE: Final = Prints(
    np.array([], dtype=np.int64),
    np.array([], dtype=np.float64),
    np.array([], dtype=np.float64),
)
