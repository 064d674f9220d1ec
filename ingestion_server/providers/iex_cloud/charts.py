"""
Charts of days and of minutes, from bytes to columns.

A day has its prices three times: adjusted for splits, ``u…`` as they were traded, and
``f…`` adjusted for dividends too [R]. A minute has what was traded on IEX alone, which
is null where nothing was, and ``market…`` for all exchanges together [R].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarSeries, Column, ascending, empty_series
from ingestion_server.domain.errors import CapabilityMissingError
from ingestion_server.domain.interval import MINUTE_NS, Times
from ingestion_server.domain.zones import utc_from_local
from ingestion_server.ports.provider import BarAsk, Page
from ingestion_server.providers.iex_cloud.declarations import EASTERN, NAME
from ingestion_server.providers.iex_cloud.payloads import days, decoded, malformed
from ingestion_server.providers.iex_cloud.symbols import CURRENCY

_Number = float | None
_TIME_LENGTH: Final = 5


class Day(msgspec.Struct, rename="camel"):
    """Be a row of a chart of days; what is not there is not told."""

    date: str
    open: _Number = None
    high: _Number = None
    low: _Number = None
    close: _Number = None
    volume: _Number = None
    u_open: _Number = None
    u_high: _Number = None
    u_low: _Number = None
    u_close: _Number = None
    u_volume: _Number = None
    f_open: _Number = None
    f_high: _Number = None
    f_low: _Number = None
    f_close: _Number = None
    f_volume: _Number = None


class _Minute(msgspec.Struct, rename="camel"):
    date: str
    minute: str
    open: _Number = None
    high: _Number = None
    low: _Number = None
    close: _Number = None
    volume: _Number = None
    market_open: _Number = None
    market_high: _Number = None
    market_low: _Number = None
    market_close: _Number = None
    market_volume: _Number = None


_days: Final = msgspec.json.Decoder(list[Day])
_minutes: Final = msgspec.json.Decoder(list[_Minute])
_PREFIXES: Final = {
    Adjustment.SPLIT: "",
    Adjustment.RAW: "u_",
    Adjustment.SPLIT_DIVIDEND: "f_",
}
_MARKET: Final = "market_"


def read_bars(body: bytes, ask: BarAsk) -> Page:
    """
    Read one page of bars; without any if the vendor lists none.

    Raises:
        CapabilityMissingError: Its days lack the prices of that adjustment.
        MalformedPayloadError: It is no chart.

    """
    if ask.interval.intraday:
        return Page(read_minutes(body), CURRENCY)
    return Page(read_days(body, ask.adjustment), CURRENCY)


def page_of(rows: Sequence[Day], ask: BarAsk) -> Page:
    """
    Return the page that the rows of a chart of days make.

    Raises:
        CapabilityMissingError: They lack the prices of the adjustment.
        MalformedPayloadError: A date is none.

    """
    return Page(_of_days(rows, ask.adjustment), CURRENCY)


def read_days(body: bytes, adjustment: Adjustment) -> BarSeries:
    """
    Return the days of a chart in one of the three adjustments, ascending.

    Raises:
        CapabilityMissingError: They lack the prices of that adjustment.
        MalformedPayloadError: It is no chart of days.

    """
    rows = decoded(_days, body, "a chart")
    return _of_days(rows, adjustment)


def _of_days(rows: Sequence[Day], adjustment: Adjustment) -> BarSeries:
    if not rows:
        return empty_series()
    series = _series(days([row.date for row in rows]), rows, _PREFIXES[adjustment])
    if np.isnan(series.close).all() and np.isnan(series.open).all():
        # Charts of 2020 and before know nothing of dividends [R].
        raise CapabilityMissingError(
            f"{NAME} told no {adjustment} prices", provider=NAME
        )
    return ascending(series)


def read_minutes(body: bytes) -> BarSeries:
    """
    Return the minutes of a day, ascending: of all exchanges, if it tells of them.

    A minute in which nothing was traded is no bar.

    Raises:
        MalformedPayloadError: It is no chart of minutes.

    """
    rows = decoded(_minutes, body, "minutes")
    if not rows:
        return empty_series()
    own = _series(_times(rows), rows, "")
    market = _series(own.open_time_ns, rows, _MARKET)
    told = own if np.isnan(market.close).all() else market
    prices = (told.open, told.high, told.low, told.close)
    return ascending(told.take(~np.logical_and.reduce([np.isnan(x) for x in prices])))


def _times(rows: Sequence[_Minute]) -> Times:
    texts = [row.minute for row in rows]
    if any(len(text) != _TIME_LENGTH for text in texts):
        raise malformed("a minute that is none")
    labels = days([row.date for row in rows])
    try:
        clock = np.array([f"1970-01-01T{text}" for text in texts], "datetime64[m]")
    except ValueError as error:
        raise malformed("a minute that is none") from error
    return utc_from_local(labels + clock.astype(np.int64) * MINUTE_NS, EASTERN)


def _series(
    times: Times, rows: Sequence[Day] | Sequence[_Minute], prefix: str
) -> BarSeries:
    opens, highs, lows, closes, volumes = (
        _column(rows, f"{prefix}{name}")
        for name in ("open", "high", "low", "close", "volume")
    )
    silent = bool(np.isnan(volumes).all())
    return BarSeries(times, opens, highs, lows, closes, None if silent else volumes)


def _column(rows: Sequence[Day] | Sequence[_Minute], name: str) -> Column:
    # None becomes NaN.
    return np.array([getattr(row, name) for row in rows], np.float64)
