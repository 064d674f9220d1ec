"""The bodies of ``/chart`` and ``/intraday-prices``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ingestion_server.sandbox.bars import Bars, Float64
from ingestion_server.sandbox.damage import damaged_rows
from ingestion_server.sandbox.days import (
    DAY_NS,
    MINUTE_NS,
    date_texts,
    label_ns,
    local_label_ns,
    midnights_ns,
)
from ingestion_server.sandbox.faults import Fault
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.seeding import generator

Rows = list[dict[str, object]]

MONTHS: Final = {"1m": 1, "3m": 3, "6m": 6, "1y": 12, "2y": 24, "5y": 60, "max": 180}
"""The ranges that are so many months long."""
RANGES: Final = frozenset({*MONTHS, "5d", "ytd"})
PER_DAY: Final = 10
"""Messages of each bar of a day, as recorded."""
PER_MINUTES: Final = 50
"""Messages of a day of minutes."""
_FEW: Final = 5
_DIGITS: Final = 4
_QUIET: Final = 0.2
"""Part of the minutes in which nothing trades on IEX itself."""
_SHARE: Final = 0.025
"""What IEX itself has of all that is traded."""
_TRADE: Final = 100
_NOON: Final = 12 * 60


@dataclass(frozen=True, slots=True)
class Asked:
    """Hold what a call asks of a chart of days."""

    range: str
    last: int | None
    """Only so many of the latest; None = all."""
    today: bool
    """Whether the present day is among them."""
    descending: bool
    now_ns: int


def day_rows(history: History, asked: Asked, faults: Sequence[Fault]) -> Rows:
    """Return a chart of days."""
    today_ns = local_label_ns(asked.now_ns, history.sessions.zone)
    days = history.days(asked.now_ns)
    past = days.label_ns < today_ns
    inside = past & (days.label_ns >= begin_ns(asked.range, today_ns))
    if asked.range == "5d":
        inside = past & (np.cumsum(past[::-1])[::-1] <= _FEW)
    if asked.today:
        inside |= days.label_ns == today_ns
    chosen = days.at(inside)
    if asked.last is not None:
        chosen = chosen.at(slice(max(len(chosen) - asked.last, 0), None))
    rows = _rows(history, damaged_rows(chosen, faults, ranged=True), asked.now_ns)
    return rows[::-1] if asked.descending else rows


def one_day(
    history: History, day_ns: int, now_ns: int, faults: Sequence[Fault]
) -> Rows:
    """Return the bar of a day, if it is over."""
    today_ns = local_label_ns(now_ns, history.sessions.zone)
    days = history.days(now_ns)
    inside = (days.label_ns == day_ns) & (days.label_ns < today_ns)
    return _rows(history, damaged_rows(days.at(inside), faults, ranged=True), now_ns)


def minute_rows(
    history: History, day_ns: int | None, now_ns: int, faults: Sequence[Fault]
) -> Rows:
    """Return the minutes of a day in regular hours, of the latest if none is named."""
    count = history.session_count(now_ns)
    number = count - 1
    if day_ns is not None:
        number = int(np.searchsorted(history.sessions.labels_ns, day_ns))
    if not 0 <= number < count or (
        day_ns is not None and int(history.sessions.labels_ns[number]) != day_ns
    ):
        return []
    minutes = history.minutes(number, number + 1, now_ns, extended=False)
    return _minutes(history, damaged_rows(minutes, faults, ranged=True))


def begin_ns(name: str, today_ns: int) -> int:
    """Return the first date of a range, at 00:00 UTC."""
    today = np.datetime64(today_ns // DAY_NS, "D")
    if name == "ytd":
        begin = today.astype("datetime64[Y]").astype("datetime64[D]")
    else:
        month = today.astype("datetime64[M]") - np.timedelta64(MONTHS.get(name, 1), "M")
        into = today - today.astype("datetime64[M]").astype("datetime64[D]")
        end = (month + np.timedelta64(1, "M")).astype("datetime64[D]")
        begin = min(month.astype("datetime64[D]") + into, end - np.timedelta64(1, "D"))
    return label_ns(str(begin))


def _rows(history: History, days: Bars, now_ns: int) -> Rows:
    shares = history.split_factor(days.label_ns, now_ns)
    kept = history.dividend_factor(days.label_ns, now_ns)
    split = days.scaled(1 / shares, shares)
    full = days.scaled(kept / shares, shares)
    symbol = history.instrument.symbol
    closes = [round(x, _DIGITS) for x in split.close.tolist()]
    rows: Rows = []
    for row, text in enumerate(date_texts(days.label_ns)):
        before = closes[row - 1] if row else closes[row]
        change = closes[row] - before
        since = closes[row] / closes[0] - 1
        rows.append(
            _prices("", split, row)
            | {
                "symbol": symbol,
                "id": "HISTORICAL_PRICES",
                "key": symbol,
                "subkey": "",
                "date": text,
                "updated": (int(days.label_ns[row]) + DAY_NS) // 1_000_000,
                "changeOverTime": since,
                "marketChangeOverTime": since,
            }
            | _prices("u", days, row)
            | _prices("f", full, row)
            | {
                "label": text,
                "change": round(change, _DIGITS),
                "changePercent": round(change / before, _DIGITS),
            }
        )
    return rows


def _prices(prefix: str, bars: Bars, row: int) -> dict[str, object]:
    columns = {
        "open": bars.open,
        "close": bars.close,
        "high": bars.high,
        "low": bars.low,
    }
    told: dict[str, object] = {
        _named(prefix, name): round(float(column[row]), _DIGITS)
        for name, column in columns.items()
    }
    return told | {_named(prefix, "volume"): int(bars.volume[row])}


def _minutes(history: History, minutes: Bars) -> Rows:
    if not len(minutes):
        return []
    label = int(minutes.label_ns[0])
    dice = generator("iex", history.instrument.symbol, label)
    quiet = dice.random(len(minutes)) < _QUIET
    (midnight,) = midnights_ns(minutes.label_ns[:1], history.sessions.zone).tolist()
    (date,) = date_texts(minutes.label_ns[:1])
    first = float(minutes.open[0])
    rows: Rows = []
    for row, start_ns in enumerate(minutes.start_ns.tolist()):
        of_day = (start_ns - midnight) // MINUTE_NS
        own = _traded("", minutes, row, _SHARE)
        if quiet[row]:
            own = dict.fromkeys(own) | dict.fromkeys(
                ("volume", "notional", "numberOfTrades"), 0
            )
        since = float(minutes.close[row]) / first - 1
        rows.append(
            {
                "date": date,
                "minute": f"{of_day // 60:02}:{of_day % 60:02}",
                "label": _clock(of_day),
            }
            | own
            | _traded("market", minutes, row, 1.0)
            | {
                "changeOverTime": None if quiet[row] else since,
                "marketChangeOverTime": since,
            }
        )
    return rows


def _traded(prefix: str, minutes: Bars, row: int, share: float) -> dict[str, object]:
    volume = int(minutes.volume[row] * share)
    average = _average(minutes.high, minutes.low, row)
    return {
        _named(prefix, name): value
        for name, value in (
            ("high", float(minutes.high[row])),
            ("low", float(minutes.low[row])),
            ("open", float(minutes.open[row])),
            ("close", float(minutes.close[row])),
            ("average", average),
            ("volume", volume),
            ("notional", round(average * volume, _DIGITS)),
            ("numberOfTrades", volume // _TRADE),
        )
    }


def _average(high: Float64, low: Float64, row: int) -> float:
    return round(float(high[row] + low[row]) / 2, 3)


def _named(prefix: str, name: str) -> str:
    return f"{prefix}{name[0].upper()}{name[1:]}" if prefix else name


def _clock(minute_of_day: int) -> str:
    half = "AM" if minute_of_day < _NOON else "PM"
    hour = minute_of_day // 60 % 12 or 12
    return f"{hour:02}:{minute_of_day % 60:02} {half}"
