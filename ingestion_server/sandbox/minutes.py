"""The minutes of one session: a seeded path that adds up to the day's bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ingestion_server.sandbox.bars import Bars, Float64, joined
from ingestion_server.sandbox.days import HOUR_NS, MINUTE_NS, Int64
from ingestion_server.sandbox.seeding import generator

PRE_MARKET_NS: Final = 5 * HOUR_NS + 30 * MINUTE_NS
"""Early trading begins this long before the open: 04:00 in New York."""
POST_MARKET_NS: Final = 4 * HOUR_NS
"""Late trading ends this long after the close: 20:00 in New York."""
_THIN: Final = 0.3
"""Part of the minutes outside of regular hours that see a trade."""
_EXTENDED_SHARE: Final = 0.02
"""Volume of early, and of late, trading as a part of the day's regular volume."""


@dataclass(frozen=True, slots=True)
class Day:
    """Hold what the minutes of one session must add up to."""

    seed: tuple[object, ...]
    label_ns: int
    open_ns: int
    close_ns: int
    break_start_ns: int
    """-1 where there is no midday break."""
    break_end_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    decimals: int


def regular_minutes(day: Day) -> Bars:
    """
    Return the minutes of regular hours.

    They start at the day's open, touch its high and its low exactly, end at its
    close and sum to its volume.
    """
    start, anchor = _starts(day)
    count = len(start)
    random = generator(*day.seed, "regular", day.label_ns)
    at_high = int(random.integers(count))
    at_low = (at_high + int(random.integers(1, max(count, 2)))) % count
    path = _path(day, random, at_high, at_low, count)
    opening, close = path[:-1], path[1:]
    wick = (day.high - day.low) * 0.03 * np.abs(random.standard_normal((2, count)))
    high = np.minimum(np.maximum(opening, close) + wick[0], day.high)
    low = np.maximum(np.minimum(opening, close) - wick[1], day.low)
    high, low = np.round(high, day.decimals), np.round(low, day.decimals)
    high[at_high], low[at_low] = day.high, day.low
    # Busy near the open and the close, quiet at noon.
    smile = 0.6 + 2 * np.linspace(-1, 1, count) ** 2
    weight = smile * np.exp(0.3 * random.standard_normal(count))
    return Bars(
        start_ns=start,
        label_ns=np.full(count, day.label_ns, dtype=np.int64),
        anchor_ns=anchor,
        regular=np.ones(count, dtype=np.bool_),
        open=opening,
        high=high,
        low=low,
        close=close,
        volume=_shared(day.volume, weight),
    )


def extended_minutes(day: Day) -> tuple[Bars, Bars]:
    """Return the thin minutes before the open and after the close."""
    before = _thin_minutes(day, "pre", day.open_ns - PRE_MARKET_NS, PRE_MARKET_NS)
    after = _thin_minutes(day, "post", day.close_ns, POST_MARKET_NS)
    return before, after


def until(minutes: Bars, now_ns: int) -> Bars:
    """Return what has happened by now; the running minute shows its open alone."""
    known = int(np.searchsorted(minutes.start_ns, now_ns, side="left"))
    if not known or now_ns >= int(minutes.start_ns[known - 1]) + MINUTE_NS:
        return minutes.at(slice(known))
    running = minutes.at(slice(known - 1, known))
    passed = (now_ns - int(running.start_ns[0])) / MINUTE_NS
    opened = Bars(
        running.start_ns,
        running.label_ns,
        running.anchor_ns,
        running.regular,
        running.open,
        running.open,
        running.open,
        running.open,
        (running.volume * passed).astype(np.int64),
    )
    return joined([minutes.at(slice(known - 1)), opened])


def _starts(day: Day) -> tuple[Int64, Int64]:
    if day.break_start_ns < 0:
        start = np.arange(day.open_ns, day.close_ns, MINUTE_NS, dtype=np.int64)
        return start, np.full(len(start), day.open_ns, dtype=np.int64)
    morning = np.arange(day.open_ns, day.break_start_ns, MINUTE_NS, dtype=np.int64)
    evening = np.arange(day.break_end_ns, day.close_ns, MINUTE_NS, dtype=np.int64)
    anchor = np.repeat(
        np.array([day.open_ns, day.break_end_ns]), [len(morning), len(evening)]
    )
    return np.concatenate((morning, evening)), anchor


def _path(
    day: Day, random: np.random.Generator, at_high: int, at_low: int, count: int
) -> Float64:
    # The price at each edge between minutes: straight lines through the extremes,
    # shaken by a bridge that is zero at both ends, kept inside the day's range.
    knots = [(0.0, day.open), (float(count), day.close)]
    knots += [(at_high + 0.5, day.high), (at_low + 0.5, day.low)]
    knots.sort()
    edges = np.arange(count + 1)
    line = np.interp(edges, [x for x, _ in knots], [y for _, y in knots])
    noise = np.cumsum(random.standard_normal(count + 1))
    bridge = noise - np.linspace(noise[0], noise[-1], count + 1)
    shaken = line + bridge * ((day.high - day.low) * 0.2 / np.sqrt(count))
    path: Float64 = np.round(np.clip(shaken, day.low, day.high), day.decimals)
    path[0], path[-1] = day.open, day.close
    return path


def _thin_minutes(day: Day, part: str, start_ns: int, length_ns: int) -> Bars:
    random = generator(*day.seed, part, day.label_ns)
    count = length_ns // MINUTE_NS
    traded = random.random(count) < _THIN
    traded[[0, -1]] = True
    steps = np.cumsum(random.standard_normal(count + 1)) * 2e-4
    # Early trading ends at the open, late trading begins at the close.
    path = (
        day.open * np.exp(steps - steps[-1])
        if part == "pre"
        else day.close * np.exp(steps - steps[0])
    )
    path = np.round(path, day.decimals)
    weight = np.where(traded, np.exp(random.standard_normal(count)), 0.0)
    opening, close = path[:-1], path[1:]
    bars = Bars(
        start_ns=start_ns + np.arange(count, dtype=np.int64) * MINUTE_NS,
        label_ns=np.full(count, day.label_ns, dtype=np.int64),
        anchor_ns=np.full(count, start_ns, dtype=np.int64),
        regular=np.zeros(count, dtype=np.bool_),
        open=opening,
        high=np.maximum(opening, close),
        low=np.minimum(opening, close),
        close=close,
        volume=_shared(int(day.volume * _EXTENDED_SHARE), weight),
    )
    return bars.at(traded)


def _shared(total: int, weight: Float64) -> Int64:
    part = np.cumsum(weight) / np.sum(weight)
    edges = np.floor(part * total).astype(np.int64)
    edges[-1] = total
    return np.diff(edges, prepend=0)
