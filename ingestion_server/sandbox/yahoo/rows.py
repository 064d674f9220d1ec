"""The rows of a chart: which bars, split-adjusted to now, under which stamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ingestion_server.sandbox.bars import Bars, Float64, joined
from ingestion_server.sandbox.damage import damaged_rows
from ingestion_server.sandbox.days import (
    MINUTE_NS,
    SECOND_NS,
    Int64,
    midnights_ns,
    month_labels_ns,
    week_labels_ns,
)
from ingestion_server.sandbox.faults import Fault, named
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Kind
from ingestion_server.sandbox.minutes import POST_MARKET_NS, PRE_MARKET_NS
from ingestion_server.sandbox.yahoo.window import INTERVALS, Window

_JUST_AFTER_NS = 2 * SECOND_NS
"""Recorded live rows are stamped some seconds after the close."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold what a chart call asks for."""

    interval: str
    window: Window
    extended: bool
    now_ns: int

    @property
    def intraday(self) -> bool:
        """Tell whether bars are shorter than a day."""
        return INTERVALS[self.interval].minutes > 0


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Hold rows as they are written; ``bars.start_ns`` are the stamps."""

    bars: Bars
    adjusted_close: Float64 | None
    """Close without splits and dividends; None for intraday."""

    @property
    def stamps_s(self) -> list[int]:
        """Return the stamps in epoch seconds."""
        stamps: list[int] = (self.bars.start_ns // SECOND_NS).tolist()
        return stamps


def rows_of(history: History, asked: Asked, faults: Sequence[Fault]) -> Rows:
    """Return the rows of a call, with the faults that rows can have."""
    live = named(faults, "live_row") is not None
    if asked.intraday:
        bars = _volumes(history, _intraday(history, asked))
        bars = damaged_rows(bars.at(_inside(bars, asked.window)), faults, ranged=True)
        if live and len(bars):
            bars = joined([bars, _still_row(history, bars)])
        return Rows(bars, None)
    bars, adjusted = _long(history, asked, live=live)
    bars, inside = _volumes(history, bars), _inside(bars, asked.window)
    bars = damaged_rows(bars.at(inside), faults, ranged=True)
    adjusted = adjusted[inside][: len(bars)]
    if live and len(bars) and asked.interval == "1d":
        bars = joined([bars, _day_again(history, bars)])
        adjusted = np.append(adjusted, adjusted[-1])
    return Rows(bars, adjusted)


def split_adjusted(history: History, now_ns: int) -> Bars:
    """Return all daily bars as the vendor counts shares today."""
    days = history.days(now_ns)
    split = history.split_factor(days.label_ns, now_ns)
    return days.scaled(1 / split, split)


def period_stamps(history: History, labels_ns: Int64, interval: str) -> Int64:
    """Return the stamps of the bars that hold sessions: open, or local midnight."""
    zone = history.sessions.zone
    match interval:
        case "1wk":
            return midnights_ns(week_labels_ns(labels_ns), zone)
        case "1mo":
            return midnights_ns(month_labels_ns(labels_ns), zone)
        case "3mo":
            return midnights_ns(month_labels_ns(labels_ns, 3), zone)
        case "5d":
            number = np.searchsorted(history.sessions.labels_ns, labels_ns)
            return history.sessions.opens_ns[number // 5 * 5]
        case _:
            return history.opens_ns(labels_ns)


def _long(history: History, asked: Asked, *, live: bool) -> tuple[Bars, Float64]:
    days = split_adjusted(history, asked.now_ns)
    adjusted = days.close * history.dividend_factor(days.label_ns, asked.now_ns)
    running = history.running(asked.now_ns)
    if asked.interval == "1d":
        if not running:
            return days, adjusted
        stamps = days.start_ns.copy()
        stamps[-1] = asked.now_ns
        return replace(days, start_ns=stamps), adjusted
    # While an exchange is open its current day is a row of its own, left out of
    # its week; currencies and coins have no such row.
    separate = live or (running and not history.instrument.continuous)
    if not separate or not len(days):
        return _merged(history, days, adjusted, asked.interval)
    today = days.at(slice(-1, None))
    close = history.sessions.closes_ns[history.session_count(asked.now_ns) - 1]
    stamp = asked.now_ns if running else int(close) + _JUST_AFTER_NS
    today = replace(today, start_ns=np.array([stamp], dtype=np.int64))
    past, past_adjusted = _merged(
        history, days.at(slice(-1)), adjusted[:-1], asked.interval
    )
    return joined([past, today]), np.append(past_adjusted, adjusted[-1])


def _merged(
    history: History, days: Bars, adjusted: Float64, interval: str
) -> tuple[Bars, Float64]:
    stamps = period_stamps(history, days.label_ns, interval)
    bars = replace(days.grouped(stamps), start_ns=np.unique(stamps))
    last = np.flatnonzero(np.diff(stamps, append=stamps[-1:] + 1))
    return bars, adjusted[last]


def _intraday(history: History, asked: Asked) -> Bars:
    size = INTERVALS[asked.interval].minutes * MINUTE_NS
    sessions, window = history.sessions, asked.window
    wide = asked.extended and history.instrument.extended
    before, after = (PRE_MARKET_NS, POST_MARKET_NS) if wide else (0, 0)
    first = int(np.searchsorted(sessions.closes_ns + after, window.begin_ns, "right"))
    last = int(np.searchsorted(sessions.opens_ns - before, window.end_ns, "left"))
    minutes = history.minutes(first, last, asked.now_ns, extended=asked.extended)
    split = history.split_factor(minutes.label_ns, asked.now_ns)
    minutes = minutes.scaled(1 / split, split)
    # Every stretch of trading has its own grid: the first hour begins at the open.
    passed = (minutes.start_ns - minutes.anchor_ns) // size
    stamps = minutes.anchor_ns + passed * size
    return replace(minutes.grouped(stamps), start_ns=np.unique(stamps))


def _inside(bars: Bars, window: Window) -> npt.NDArray[np.bool_]:
    return (bars.start_ns >= window.begin_ns) & (bars.start_ns < window.end_ns)


def _volumes(history: History, bars: Bars) -> Bars:
    instrument = history.instrument
    volume = np.where(bars.regular, bars.volume, 0)
    if instrument.kind is Kind.CRYPTOCURRENCY:
        # Coins are counted in the quote currency there.
        worth = volume * instrument.volume_unit * bars.close
        volume = np.rint(worth).astype(np.int64)
    return replace(bars, volume=volume)


def _still_row(history: History, bars: Bars) -> Bars:
    # Recorded for hours: the stamp of the close, one price, no volume.
    last = bars.at(slice(-1, None))
    stamp = max(_close_ns(history, last), int(last.start_ns[0]) + SECOND_NS)
    return replace(
        last,
        start_ns=np.array([stamp], dtype=np.int64),
        open=last.close,
        high=last.close,
        low=last.close,
        volume=np.zeros(1, dtype=np.int64),
    )


def _day_again(history: History, bars: Bars) -> Bars:
    # Recorded for days: the whole day once more, stamped just after the close.
    last = bars.at(slice(-1, None))
    stamp = _close_ns(history, last) + _JUST_AFTER_NS
    return replace(last, start_ns=np.array([stamp], dtype=np.int64))


def _close_ns(history: History, bar: Bars) -> int:
    index = int(np.searchsorted(history.sessions.labels_ns, bar.label_ns[0]))
    return int(history.sessions.closes_ns[index])
