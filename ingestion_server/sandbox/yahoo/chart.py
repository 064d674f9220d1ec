"""The body of ``/v8/finance/chart/{symbol}``, in the keys of the 2025 recordings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from ingestion_server.sandbox.bars import Bars, Float64
from ingestion_server.sandbox.days import SECOND_NS, zone_name, zone_offset_s
from ingestion_server.sandbox.faults import Fault, named
from ingestion_server.sandbox.history import History
from ingestion_server.sandbox.instrument import Kind
from ingestion_server.sandbox.yahoo.rows import (
    Asked,
    Rows,
    period_stamps,
    rows_of,
    split_adjusted,
)
from ingestion_server.sandbox.yahoo.summary import (
    price_hint,
    session_periods,
    summary_of,
    trading_periods,
    yahoo_volume,
)
from ingestion_server.sandbox.yahoo.window import (
    RANGES,
    check_reach,
    interval_of,
    window_of,
)

_NULL_EVERY: Final = 5
_NULL_AT: Final = 2
"""Place in each block of five that ``nulls`` empties."""


def chart_document(
    history: History,
    symbol: str,
    query: Mapping[str, str],
    now_ns: int,
    faults: Sequence[Fault],
) -> dict[str, object]:
    """Return the whole body, or raise the complaint the parameters deserve."""
    interval = interval_of(query)
    window = window_of(query, history, now_ns)
    check_reach(interval, window, now_ns)
    extended = query.get("includePrePost", "false").lower() in ("true", "1")
    asked = Asked(interval, window, extended, now_ns)
    rows = rows_of(history, asked, faults)
    if named(faults, "empty") is not None:
        rows = Rows(rows.bars.at(slice(0)), rows.adjusted_close)
    result: dict[str, object] = {"meta": _meta(history, symbol, asked, rows)}
    if len(rows.bars):
        result["timestamp"] = rows.stamps_s
        if events := _events(history, asked, query.get("events", "")):
            result["events"] = events
    nulls = named(faults, "nulls") is not None
    result["indicators"] = _indicators(rows, asked, nulls=nulls)
    return {"chart": {"result": [result], "error": None}}


def _indicators(rows: Rows, asked: Asked, *, nulls: bool) -> dict[str, object]:
    bars = rows.bars
    if not len(bars):
        empty: dict[str, object] = {"quote": [{}]}
        return empty if asked.intraday else empty | {"adjclose": [{}]}
    volume: list[int | None] = bars.volume.tolist()
    quote: dict[str, list[float | None] | list[int | None]] = {
        "open": _widened(bars.open),
        "high": _widened(bars.high),
        "low": _widened(bars.low),
        "close": _widened(bars.close),
        "volume": volume,
    }
    indicators: dict[str, object] = {"quote": [quote]}
    adjusted = None
    if rows.adjusted_close is not None:
        adjusted = _widened(rows.adjusted_close)
        indicators["adjclose"] = [{"adjclose": adjusted}]
    if nulls:
        for index in range(_NULL_AT, len(bars), _NULL_EVERY):
            for column in quote.values():
                column[index] = None
            if adjusted is not None:
                adjusted[index] = None
    return indicators


def _widened(values: Float64) -> list[float | None]:
    # The vendor keeps float32 and writes it as a double: 34.45 is 34.45000076293945.
    widened: list[float | None] = values.astype(np.float32).astype(np.float64).tolist()
    return widened


def _meta(history: History, symbol: str, asked: Asked, rows: Rows) -> dict[str, object]:
    instrument, now_ns = history.instrument, asked.now_ns
    venue, zone = instrument.venue, history.sessions.zone
    days = split_adjusted(history, now_ns)
    summary = summary_of(history, days, now_ns)
    early, regular, late = trading_periods(history, now_ns)
    meta: dict[str, object] = {
        "currency": venue.currency,
        "symbol": symbol,
        "exchangeName": venue.code,
        "fullExchangeName": venue.name,
        "instrumentType": instrument.kind.value,
        "firstTradeDate": int(history.sessions.opens_ns[0]) // SECOND_NS,
        "regularMarketTime": summary.time_s,
        "hasPrePostMarketData": instrument.extended,
        "gmtoffset": zone_offset_s(now_ns, zone),
        "timezone": zone_name(now_ns, zone),
        "exchangeTimezoneName": zone,
        "regularMarketPrice": summary.price,
        "fiftyTwoWeekHigh": summary.year_high,
        "fiftyTwoWeekLow": summary.year_low,
        "regularMarketDayHigh": summary.rounded(days.high[-1]),
        "regularMarketDayLow": summary.rounded(days.low[-1]),
        "regularMarketVolume": yahoo_volume(instrument, days),
    }
    if instrument.kind is not Kind.FUTURE:
        meta["longName"] = instrument.name
    before = _close_before(days, asked, rows)
    meta |= {
        "shortName": instrument.name,
        "chartPreviousClose": summary.rounded(before),
    }
    if asked.intraday:
        meta |= {"previousClose": summary.rounded(before), "scale": 3}
    meta |= {
        "priceHint": price_hint(instrument),
        "currentTradingPeriod": {
            "pre": early.document(),
            "regular": regular.document(),
            "post": late.document(),
        },
    }
    if asked.intraday:
        meta["tradingPeriods"] = _trading_periods(history, asked, rows)
    return meta | {
        "dataGranularity": asked.interval,
        "range": asked.window.asked,
        "validRanges": RANGES,
    }


def _close_before(days: Bars, asked: Asked, rows: Rows) -> float:
    if len(rows.bars):
        before = int(np.searchsorted(days.label_ns, rows.bars.label_ns[0]))
    else:
        before = int(np.searchsorted(days.start_ns, asked.window.begin_ns))
    # The very first day has no day before; its open has to do.
    return float(days.close[before - 1] if before else days.open[0])


def _trading_periods(history: History, asked: Asked, rows: Rows) -> object:
    labels = np.unique(rows.bars.label_ns)
    numbers = np.searchsorted(history.sessions.labels_ns, labels).tolist()
    periods = [session_periods(history, number) for number in numbers]
    regular = [[regular.document()] for _, regular, _ in periods]
    if not asked.extended:
        return regular
    return {
        "pre": [[early.document()] for early, _, _ in periods],
        "post": [[late.document()] for _, _, late in periods],
        "regular": regular,
    }


def _events(history: History, asked: Asked, wanted: str) -> dict[str, object]:
    names = set(re.split(r"[|,]", wanted))
    events: dict[str, object] = {}
    paid = history.dividends(asked.now_ns)
    # Dividends count in today's shares, as prices do.
    amount = paid.amount / history.split_factor(paid.label_ns, asked.now_ns)
    if "div" in names and (
        dividends := {
            key: {"amount": round(float(amount[index]), 6), "date": date}
            for index, key, date in _dated(history, asked, paid.label_ns.tolist())
        }
    ):
        events["dividends"] = dividends
    splits = history.splits(asked.now_ns)
    if names & {"split", "splits"} and (
        parts := {
            key: {
                "date": date,
                "numerator": splits[index][1],
                "denominator": 1,
                "splitRatio": f"{splits[index][1]}:1",
            }
            for index, key, date in _dated(history, asked, [at for at, _ in splits])
        }
    ):
        events["splits"] = parts
    return events


def _dated(
    history: History, asked: Asked, labels: Sequence[int]
) -> list[tuple[int, str, int]]:
    # Index, key and date of the events inside the window; the key is the stamp of
    # the row, the date always the true day.
    label_ns = np.array(labels, dtype=np.int64)
    dates = (history.opens_ns(label_ns) // SECOND_NS).tolist()
    stamps = period_stamps(history, label_ns, asked.interval)
    keys = (stamps // SECOND_NS).tolist()
    window = asked.window
    return [
        (index, str(key), date)
        for index, (key, date) in enumerate(zip(keys, dates, strict=True))
        if window.begin_s <= date < window.end_s
    ]
