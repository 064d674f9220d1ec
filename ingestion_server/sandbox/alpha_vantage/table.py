"""A time series as Alpha Vantage writes it: newest first, numbers as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np

from ingestion_server.sandbox.bars import Bars, Float64
from ingestion_server.sandbox.damage import damaged_rows
from ingestion_server.sandbox.days import (
    DAY_NS,
    MINUTE_NS,
    date_texts,
    month_labels_ns,
    time_texts,
    week_labels_ns,
)
from ingestion_server.sandbox.faults import Fault
from ingestion_server.sandbox.wire import JSON, Reply

COMPACT: Final = 100
"""Rows of ``outputsize=compact``."""
CSV: Final = "application/x-download"
INTERVALS: Final = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "60min": 60}
"""Spelling and minutes of the intraday intervals."""
MONTH_NS: Final = 30 * DAY_NS
"""What ``outputsize=full`` gives of intraday data without ``month``."""


@dataclass(frozen=True, slots=True)
class Table:
    """Hold a series ready to be written, oldest row first."""

    meta: Mapping[str, str]
    key: str
    """Top-level key of the rows."""
    labels: Sequence[str]
    columns: Mapping[str, Sequence[str]]
    """Texts by field name without its number, for example ``adjusted close``."""

    def json(self) -> Reply:
        """Write the series as indented JSON."""
        names = [f"{place}. {name}" for place, name in enumerate(self.columns, 1)]
        rows = zip(*self.columns.values(), strict=True)
        series = {
            label: dict(zip(names, row, strict=True))
            for label, row in zip(self.labels, rows, strict=True)
        }
        newest_first = dict(reversed(series.items()))
        return indented({"Meta Data": dict(self.meta), self.key: newest_first})

    def csv(self) -> Reply:
        """Write the series as CSV."""
        names = [name.replace(" ", "_") for name in self.columns]
        rows = list(zip(self.labels, *self.columns.values(), strict=True))
        return csv_reply(["timestamp", *names], rows[::-1])


@dataclass(frozen=True, slots=True)
class Ask:
    """Hold what all questions for rows have in common."""

    now_ns: int
    full: bool
    """All rows, or the latest hundred."""
    label: str
    """Which end of an intraday bar its stamp names."""
    faults: Sequence[Fault]

    @property
    def size(self) -> str:
        """Return the vendor's words for the number of rows."""
        return "Full size" if self.full else "Compact"

    def rows(self, bars: Bars) -> Bars:
        """Return the bars to write, damaged where a fault says so."""
        wanted = bars if self.full else bars.at(slice(-COMPACT, None))
        return damaged_rows(wanted, self.faults, ranged=False)


def indented(document: object) -> Reply:
    """Write JSON the way the vendor does, with four spaces."""
    return Reply(
        msgspec.json.format(msgspec.json.encode(document), indent=4), 200, JSON
    )


def csv_reply(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Reply:
    """Write a header and rows."""
    lines = [",".join(header), *(",".join(row) for row in rows), ""]
    return Reply("\r\n".join(lines).encode(), 200, CSV)


def fixed(values: Float64, decimals: int) -> list[str]:
    """Write numbers with so many decimals."""
    return [f"{value:.{decimals}f}" for value in values.tolist()]


def price_columns(bars: Bars, decimals: int) -> dict[str, list[str]]:
    """Write the four prices."""
    return {
        "open": fixed(bars.open, decimals),
        "high": fixed(bars.high, decimals),
        "low": fixed(bars.low, decimals),
        "close": fixed(bars.close, decimals),
    }


def by_period(days: Bars, period: str) -> Bars:
    """Merge days into weeks or months; each keeps the label of its last day."""
    if period == "DAILY":
        return days
    keys = (
        week_labels_ns(days.label_ns)
        if period == "WEEKLY"
        else month_labels_ns(days.label_ns)
    )
    # The vendor's key is the last trading day; grouping keeps the first.
    last = np.flatnonzero(np.diff(keys, append=keys[-1:] + 1))
    return replace(days.grouped(keys), label_ns=days.label_ns[last])


def day_labels(bars: Bars) -> list[str]:
    """Write the dates of bars."""
    return date_texts(bars.label_ns)


def intraday_labels(bars: Bars, minutes: int, end: str) -> list[str]:
    """Write the times of bars, naming their start or their end."""
    shift = minutes * MINUTE_NS if end == "end" else 0
    return time_texts(bars.start_ns + shift)
