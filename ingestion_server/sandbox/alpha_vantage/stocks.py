"""The TIME_SERIES functions: stocks and funds, as traded or adjusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ingestion_server.sandbox.alpha_vantage import table as tables
from ingestion_server.sandbox.alpha_vantage.refusals import invalid_call
from ingestion_server.sandbox.alpha_vantage.table import Ask, Table
from ingestion_server.sandbox.bars import Bars, Float64
from ingestion_server.sandbox.days import (
    DAY_NS,
    MINUTE_NS,
    label_ns,
    local_label_ns,
    midnights_ns,
    month_labels_ns,
)
from ingestion_server.sandbox.history import History

ZONE: Final = "America/New_York"
ZONE_NAME: Final = "US/Eastern"
_PRICE_DECIMALS: Final = 4
_FIRST_MONTH: Final = "2000-01"
_INFORMATION: Final = {
    "DAILY": "Daily Prices (open, high, low, close) and Volumes",
    "WEEKLY": "Weekly Prices (open, high, low, close) and Volumes",
    "MONTHLY": "Monthly Prices (open, high, low, close) and Volumes",
    "DAILY_ADJUSTED": "Daily Time Series with Splits and Dividend Events",
    "WEEKLY_ADJUSTED": "Weekly Adjusted Prices and Volumes",
    "MONTHLY_ADJUSTED": "Monthly Adjusted Prices and Volumes",
}
_KEYS: Final = {
    "DAILY": "Time Series (Daily)",
    "DAILY_ADJUSTED": "Time Series (Daily)",
    "WEEKLY": "Weekly Time Series",
    "WEEKLY_ADJUSTED": "Weekly Adjusted Time Series",
    "MONTHLY": "Monthly Time Series",
    "MONTHLY_ADJUSTED": "Monthly Adjusted Time Series",
}


@dataclass(frozen=True, slots=True)
class IntradayQuery:
    """Hold the checked parameters of an intraday call."""

    interval: str
    month: str
    """``YYYY-MM``, or empty for the latest rows."""
    adjusted: bool
    extended: bool


def day_table(history: History, symbol: str, what: str, ask: Ask) -> Table:
    """Return DAILY, WEEKLY, MONTHLY and their adjusted forms."""
    period = what.removesuffix("_ADJUSTED")
    bars = ask.rows(tables.by_period(history.days(ask.now_ns), period))
    columns = tables.price_columns(bars, _PRICE_DECIMALS)
    volume = [str(volume) for volume in bars.volume.tolist()]
    if period == what:
        columns["volume"] = volume
    else:
        columns |= _adjusted_columns(history, bars, ask.now_ns) | {"volume": volume}
        columns |= _event_columns(history, bars, ask.now_ns, daily=period == "DAILY")
    labels = tables.day_labels(bars)
    return Table(_meta(what, symbol, labels, ask.size), _KEYS[what], labels, columns)


def intraday_table(
    history: History, symbol: str, query: IntradayQuery, ask: Ask
) -> Table:
    """Return bars on the clock's grid, stamped in naive US/Eastern time."""
    now_ns = ask.now_ns
    minutes = _minutes(history, query, now_ns)
    if query.adjusted:
        split = history.split_factor(minutes.label_ns, now_ns)
        paid = history.dividend_factor(minutes.label_ns, now_ns)
        minutes = minutes.scaled(paid / split, split)
    size = tables.INTERVALS[query.interval]
    offset = minutes.label_ns - midnights_ns(minutes.label_ns, ZONE)
    slot = (minutes.start_ns + offset) // (size * MINUTE_NS)
    bars = minutes.grouped(slot)
    bars = replace(bars, start_ns=np.unique(slot) * (size * MINUTE_NS))
    bars = ask.rows(bars)
    labels = tables.intraday_labels(bars, size, ask.label)
    columns = tables.price_columns(bars, _PRICE_DECIMALS)
    columns["volume"] = [str(volume) for volume in bars.volume.tolist()]
    meta = {
        "1. Information": (
            f"Intraday ({query.interval}) open, high, low, close prices and volume"
        ),
        "2. Symbol": symbol,
        "3. Last Refreshed": labels[-1] if labels else "",
        "4. Interval": query.interval,
        "5. Output Size": ask.size,
        "6. Time Zone": ZONE_NAME,
    }
    return Table(meta, f"Time Series ({query.interval})", labels, columns)


def _minutes(history: History, query: IntradayQuery, now_ns: int) -> Bars:
    labels = history.sessions.labels_ns
    if query.month:
        if query.month < _FIRST_MONTH:
            raise invalid_call("TIME_SERIES_INTRADAY")
        begin = label_ns(f"{query.month}-01")
        end = int(month_labels_ns(np.array([begin + 31 * DAY_NS]))[0])
    else:
        end = local_label_ns(now_ns, history.sessions.zone) + DAY_NS
        begin = end - tables.MONTH_NS
    first, last = np.searchsorted(labels, [begin, end]).tolist()
    minutes = history.minutes(first, last, now_ns, extended=query.extended)
    if not len(minutes):
        # A month before the listing or after today.
        raise invalid_call("TIME_SERIES_INTRADAY")
    return minutes


def _adjusted_columns(
    history: History, bars: Bars, now_ns: int
) -> dict[str, list[str]]:
    factor = history.dividend_factor(bars.label_ns, now_ns)
    factor = factor / history.split_factor(bars.label_ns, now_ns)
    return {"adjusted close": tables.fixed(bars.close * factor, _PRICE_DECIMALS)}


def _event_columns(
    history: History, bars: Bars, now_ns: int, *, daily: bool
) -> dict[str, list[str]]:
    paid = history.dividends(now_ns)
    amount = _per_row(bars, paid.label_ns.tolist(), paid.amount.tolist())
    columns = {"dividend amount": tables.fixed(amount, _PRICE_DECIMALS)}
    if daily:
        splits = history.splits(now_ns)
        coefficient = np.maximum(
            _per_row(bars, [at for at, _ in splits], [float(r) for _, r in splits]), 1
        )
        columns["split coefficient"] = tables.fixed(coefficient, 1)
    return columns


def _per_row(bars: Bars, labels: list[int], values: list[float]) -> Float64:
    # A row's label is the last day it covers, so an event belongs to the first
    # row that is not older.
    sums = np.zeros(len(bars))
    for label, value in zip(labels, values, strict=True):
        row = int(np.searchsorted(bars.label_ns, label))
        if row < len(bars) and (row or label == bars.label_ns[0]):
            sums[row] += value
    return sums


def _meta(what: str, symbol: str, labels: Sequence[str], size: str) -> dict[str, str]:
    meta = {
        "1. Information": _INFORMATION[what],
        "2. Symbol": symbol,
        "3. Last Refreshed": labels[-1] if labels else "",
    }
    if what.startswith("DAILY"):
        return meta | {"4. Output Size": size, "5. Time Zone": ZONE_NAME}
    return meta | {"4. Time Zone": ZONE_NAME}
