"""
Charts, from bytes to columns.

``{"chart": {"result": [{"meta", "timestamp", "events", "indicators"}], "error"}}``
with stamps in seconds UTC and prices as widened float32 [R].
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Final, NamedTuple
from zoneinfo import ZoneInfoNotFoundError

import msgspec
import numpy as np

from ingestion_server.domain.bars import BarSeries, Column, ascending, empty_series
from ingestion_server.domain.errors import MalformedPayloadError
from ingestion_server.domain.interval import (
    SECOND_NS,
    Interval,
    Times,
    day_labels,
    labels,
)
from ingestion_server.domain.zones import local_from_utc
from ingestion_server.kit.decimals import shortest_of_float32
from ingestion_server.ports.provider import BarAsk, Page
from ingestion_server.providers.yahoo.declarations import NAME
from ingestion_server.providers.yahoo.symbols import same, spelling

_FARTHEST_SECONDS: Final = 9_000_000_000
"""Nanoseconds of later or earlier stamps do not fit 64 bits."""


class Trouble(msgspec.Struct):
    """Hold the vendor's own error object."""

    code: str | None = None
    description: str | None = None


class Quote(msgspec.Struct):
    """Hold the price columns; any element may be null."""

    open: list[float | None] | None = None
    high: list[float | None] | None = None
    low: list[float | None] | None = None
    close: list[float | None] | None = None
    volume: list[float | None] | None = None


class Indicators(msgspec.Struct):
    """Hold the columns by kind."""

    quote: list[Quote] = []


class Meta(msgspec.Struct, rename="camel"):
    """Hold what a chart says about itself; keys come and go."""

    symbol: str | None = None
    currency: str | None = None
    exchange_timezone_name: str | None = None
    first_trade_date: int | None = None
    regular_market_time: int | None = None
    data_granularity: str | None = None
    trading_periods: msgspec.Raw = msgspec.Raw(b"null")
    current_trading_period: msgspec.Raw = msgspec.Raw(b"null")


class Dividend(msgspec.Struct):
    """Hold a dividend, adjusted for later splits."""

    amount: float
    date: int


class Split(msgspec.Struct):
    """Hold a split: so many new shares for so many old ones."""

    date: int
    numerator: float
    denominator: float


class Events(msgspec.Struct):
    """Hold events by stamp."""

    dividends: dict[str, Dividend] = {}
    splits: dict[str, Split] = {}


class Result(msgspec.Struct):
    """Hold one instrument's chart."""

    meta: Meta
    indicators: Indicators = msgspec.field(default_factory=Indicators)
    timestamp: list[int | None] | None = None
    events: Events | None = None


class Chart(msgspec.Struct):
    """Hold the charts, or why there are none."""

    result: list[Result] | None = None
    error: Trouble | None = None


class Reply(msgspec.Struct):
    """Hold the whole body."""

    chart: Chart


class _Period(msgspec.Struct):
    start: int
    end: int


class _Regular(msgspec.Struct):
    regular: _Period | list[list[_Period]]


_decoder: Final = msgspec.json.Decoder(Reply)
_periods: Final = msgspec.json.Decoder(_Regular | list[list[_Period]])


class Rows(NamedTuple):
    """Hold a chart's rows as they stand, ascending by stamp."""

    stamps_ns: Times
    series: BarSeries
    zone: str


def decoded(body: bytes) -> Chart:
    """Return the chart object of a body, or raise ``MalformedPayloadError``."""
    try:
        return _decoder.decode(body).chart
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedPayloadError(
            f"yahoo sent a chart that cannot be read: {error}", provider=NAME
        ) from error


def single_result(chart: Chart) -> Result | None:
    """Return the one chart of a reply; None if it says that the range is empty."""
    if chart.error is not None:
        description = chart.error.description or ""
        if description.startswith("Data doesn't exist"):
            return None
        raise MalformedPayloadError(
            f"yahoo sent an error beside a success: {description[:200]}",
            provider=NAME,
        )
    if not chart.result:
        raise MalformedPayloadError("yahoo sent no chart at all", provider=NAME)
    return chart.result[0]


def read_bars(body: bytes, ask: BarAsk) -> Page:
    """Read one chart; raises ``MalformedPayloadError`` for whatever is none."""
    result = single_result(decoded(body))
    if result is None:
        return Page(empty_series())
    asked = spelling(ask.instrument) or ""
    if result.meta.symbol is not None and not same(result.meta.symbol, asked):
        raise MalformedPayloadError(
            f"yahoo answered for {result.meta.symbol[:32]} instead of {asked}",
            provider=NAME,
        )
    rows = read_rows(result, ask)
    return Page(
        _labelled(rows, ask.interval, result.meta),
        currency=result.meta.currency or "",
        first_trade_ns=_first_trade(result.meta, rows.zone),
    )


def read_rows(result: Result, ask: BarAsk | None) -> Rows:
    """Read the columns of a chart, rows without a stamp left out."""
    zone = result.meta.exchange_timezone_name or (
        ask.instrument.venue.zone if ask and ask.instrument.venue else ""
    )
    stamps = result.timestamp or []
    if not stamps:
        return Rows(np.empty(0, np.int64), empty_series(), zone)
    quotes = result.indicators.quote
    quote = quotes[0] if quotes else Quote()
    try:
        local_from_utc(np.zeros(1, np.int64), zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise MalformedPayloadError(
            f"yahoo named no time zone that exists: {zone[:40]!r}", provider=NAME
        ) from error
    seconds = np.array(stamps, np.float64)
    valid = np.isfinite(seconds) & (np.abs(seconds) < _FARTHEST_SECONDS)
    if not valid.all():
        raise MalformedPayloadError("yahoo sent a stamp that is no time", provider=NAME)
    stamps_ns = seconds.astype(np.int64) * SECOND_NS
    volume = quote.volume
    prices = [
        shortest_of_float32(_column(values, len(stamps)))
        for values in (quote.open, quote.high, quote.low, quote.close)
    ]
    series = ascending(
        BarSeries(
            stamps_ns,
            open=prices[0],
            high=prices[1],
            low=prices[2],
            close=prices[3],
            volume=None if volume is None else _column(volume, len(stamps)),
        )
    )
    return Rows(series.open_time_ns, series, zone)


def _column(values: list[float | None] | None, length: int) -> Column:
    if values is None:
        return np.full(length, np.nan)
    if len(values) != length:
        raise MalformedPayloadError(
            f"yahoo sent {length} stamps and {len(values)} values", provider=NAME
        )
    return np.array(values, np.float64)


def _labelled(rows: Rows, interval: Interval, meta: Meta) -> BarSeries:
    """
    Put the house's labels on the rows, and the live row where it belongs.

    While the market is open, or just after, one extra row stands at the end whose
    stamp is off the grid [R].
    """
    series = rows.series
    if not len(series):
        return series
    if interval.intraday:
        return _live_row_merged(series, interval, meta)
    days = labels(local_from_utc(rows.stamps_ns, rows.zone), interval)
    series = replace(series, open_time_ns=days)
    if interval is Interval.DAY_1 or len(days) < 2 or days[-1] != days[-2]:  # noqa: PLR2004 - a pair
        # Of a day that stands twice, the later row is the more recent [S].
        return ascending(series)
    # The extra row of a week or a month is the current day by itself [S].
    return ascending(_merged(series))


def _live_row_merged(series: BarSeries, interval: Interval, meta: Meta) -> BarSeries:
    if len(series) < 2:  # noqa: PLR2004 - a pair
        return series
    times = series.open_time_ns
    at_close = times[-1] in _closes_ns(meta)
    if at_close and series.volume is not None and not series.volume[-1] > 0:
        return series.take(slice(0, -1))
    if times[-1] - times[-2] < interval.length_ns and not at_close:
        return _merged(replace(series, open_time_ns=np.append(times[:-1], times[-2])))
    return series


def _merged(series: BarSeries) -> BarSeries:
    """Fold the last row into the one before it."""
    body, last = series.take(slice(0, -1)), series.take(slice(-1, None))
    high, low, close = body.high.copy(), body.low.copy(), body.close.copy()
    high[-1] = np.fmax(high[-1], last.high[0])
    low[-1] = np.fmin(low[-1], last.low[0])
    if np.isfinite(last.close[0]):
        close[-1] = last.close[0]
    volume = body.volume
    if volume is not None and last.volume is not None:
        volume = volume.copy()
        volume[-1] = np.nansum([volume[-1], last.volume[0]])
    return replace(body, high=high, low=low, close=close, volume=volume)


def _closes_ns(meta: Meta) -> set[int]:
    """Return the regular closes that a chart names; the forms of the field vary."""
    periods: list[_Period] = []
    for raw in (meta.trading_periods, meta.current_trading_period):
        try:
            found = _periods.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            continue
        days = found.regular if isinstance(found, _Regular) else found
        if isinstance(days, _Period):
            periods.append(days)
        else:
            periods.extend(chain.from_iterable(days))
    return {period.end * SECOND_NS for period in periods}


def _first_trade(meta: Meta, zone: str) -> int | None:
    seconds = meta.first_trade_date
    if seconds is None or abs(seconds) >= _FARTHEST_SECONDS or not zone:
        return None
    stamp = np.array([seconds * SECOND_NS], np.int64)
    try:
        return int(day_labels(local_from_utc(stamp, zone))[0])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
