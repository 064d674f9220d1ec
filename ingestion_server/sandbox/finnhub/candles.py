"""The bodies of ``/stock/candle``, ``/forex/candle`` and ``/crypto/candle``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ingestion_server.sandbox.bars import Bars, Float64
from ingestion_server.sandbox.damage import damaged_rows
from ingestion_server.sandbox.days import (
    DAY_NS,
    MINUTE_NS,
    SECOND_NS,
    month_labels_ns,
    week_labels_ns,
)
from ingestion_server.sandbox.faults import Fault
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Kind
from ingestion_server.sandbox.minutes import POST_MARKET_NS, PRE_MARKET_NS

MINUTES: Final = {"1": 1, "5": 5, "15": 15, "30": 30, "60": 60}
RESOLUTIONS: Final = frozenset({*MINUTES, "D", "W", "M"})
_MONTH_NS: Final = 30 * DAY_NS
"""What one call gives of intraday bars at most."""
NO_DATA: Final[dict[str, object]] = {"s": "no_data"}
"""Recorded: no arrays, and status 200."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold what a call asks for; both ends are inclusive, epoch seconds."""

    resolution: str
    from_s: int
    to_s: int
    now_ns: int


def candle_document(
    history: History, asked: Asked, faults: Sequence[Fault]
) -> dict[str, object]:
    """Return the whole body."""
    if asked.resolution in MINUTES:
        bars = _intraday(history, asked)
    else:
        bars = _long(history, asked)
    inside = (bars.start_ns >= asked.from_s * SECOND_NS) & (
        bars.start_ns <= asked.to_s * SECOND_NS
    )
    bars = damaged_rows(bars.at(inside), faults, ranged=True)
    if not len(bars):
        return NO_DATA
    return {
        "c": _widened(bars.close),
        "h": _widened(bars.high),
        "l": _widened(bars.low),
        "o": _widened(bars.open),
        "s": "ok",
        "t": (bars.start_ns // SECOND_NS).tolist(),
        "v": _volumes(history, bars),
    }


def split_adjusted(history: History, now_ns: int) -> Bars:
    """Return all daily bars as shares are counted today."""
    days = history.days(now_ns)
    factor = history.split_factor(days.label_ns, now_ns)
    return days.scaled(1 / factor, factor)


def _intraday(history: History, asked: Asked) -> Bars:
    # As traded, whatever was split since; early and late trading is among them.
    sessions = history.sessions
    wide = history.instrument.extended
    before, after = (PRE_MARKET_NS, POST_MARKET_NS) if wide else (0, 0)
    end_ns = min(asked.to_s * SECOND_NS, asked.now_ns)
    begin_ns = max(asked.from_s * SECOND_NS, end_ns - _MONTH_NS)
    first = int(np.searchsorted(sessions.closes_ns + after, begin_ns, side="right"))
    last = int(np.searchsorted(sessions.opens_ns - before, end_ns, side="right"))
    minutes = history.minutes(first, last, asked.now_ns, extended=True)
    size = MINUTES[asked.resolution] * MINUTE_NS
    slots = minutes.start_ns // size * size
    bars = replace(minutes.grouped(slots), start_ns=np.unique(slots))
    return bars.at(bars.start_ns >= begin_ns)


def _long(history: History, asked: Asked) -> Bars:
    days = split_adjusted(history, asked.now_ns)
    match asked.resolution:
        case "W":
            stamps = week_labels_ns(days.label_ns)
        case "M":
            stamps = month_labels_ns(days.label_ns)
        case _:
            stamps = days.label_ns
    return replace(days.grouped(stamps), start_ns=np.unique(stamps))


def _widened(values: Float64) -> list[float]:
    # Recorded: kept as float32, written as a double: 116.32 is 116.31999969482.
    widened: list[float] = values.astype(np.float32).astype(np.float64).tolist()
    return widened


def _volumes(history: History, bars: Bars) -> list[float] | list[int]:
    if history.instrument.kind is Kind.CRYPTOCURRENCY:
        coins: list[float] = (
            bars.volume.astype(np.float64) * history.instrument.volume_unit
        ).tolist()
        return coins
    volume: list[int] = bars.volume.tolist()
    return volume
