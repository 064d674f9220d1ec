"""
What a chart looks like on the wire.

``{"chart": {"result": [{"meta", "timestamp", "events", "indicators"}], "error"}}``
with stamps in seconds UTC and prices as widened float32 [R]. Keys come and go, so
what is not needed for every bar is decoded apart.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

import msgspec

from ingestion_server.domain.errors import MalformedPayloadError
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.providers.yahoo.declarations import NAME

FARTHEST_SECONDS: Final = 9_000_000_000
"""Nanoseconds of later or earlier stamps do not fit 64 bits."""
_NULL: Final = msgspec.Raw(b"null")


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
    trading_periods: msgspec.Raw = _NULL
    current_trading_period: msgspec.Raw = _NULL


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
    events: msgspec.Raw = _NULL


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


class _Hours(msgspec.Struct):
    """One day's hours, or a list of days."""

    regular: _Period | list[list[_Period]]
    pre: _Period | list[list[_Period]] = []
    post: _Period | list[list[_Period]] = []


_decoder: Final = msgspec.json.Decoder(Reply)
_events: Final = msgspec.json.Decoder(Events | None)
_hours: Final = msgspec.json.Decoder(_Hours | list[list[_Period]])
# A deep nesting ends in RecursionError.
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def decoded(body: bytes) -> Chart:
    """Return the chart object of a body, or raise ``MalformedPayloadError``."""
    try:
        return _decoder.decode(body).chart
    except _UNREADABLE as error:
        raise malformed(f"a chart that cannot be read: {error}") from error


def single_result(chart: Chart) -> Result | None:
    """Return the one chart of a reply; None if it says that the range is empty."""
    if chart.error is not None:
        description = chart.error.description or ""
        if description.startswith("Data doesn't exist"):
            return None
        raise malformed(f"an error beside a success: {description[:200]}")
    if not chart.result:
        raise malformed("no chart at all")
    return chart.result[0]


def events_of(result: Result) -> Events:
    """Return the events of a chart, or raise ``MalformedPayloadError``."""
    try:
        return _events.decode(result.events) or Events()
    except _UNREADABLE as error:
        raise malformed(f"events that cannot be read: {error}") from error


def regular_closes_ns(meta: Meta) -> frozenset[int]:
    """Return the regular closes that a chart names, as far as they can be read."""
    return frozenset(
        period.end * SECOND_NS
        for hours in _readable_hours(meta)
        for period in _flat(hours.regular)
    )


def boundaries_ns(meta: Meta) -> frozenset[int]:
    """Return when the regular, early and late hours that it names begin and end."""
    return frozenset(
        edge * SECOND_NS
        for hours in _readable_hours(meta)
        for periods in (hours.pre, hours.regular, hours.post)
        for period in _flat(periods)
        for edge in (period.start, period.end)
    )


def malformed(what: str) -> MalformedPayloadError:
    """Return the error that says what Yahoo sent instead."""
    return MalformedPayloadError(f"yahoo sent {what}", provider=NAME)


def _readable_hours(meta: Meta) -> list[_Hours]:
    """Return the hours of all forms of both fields; they vary [R]."""
    readable = []
    for raw in (meta.trading_periods, meta.current_trading_period):
        try:
            found = _hours.decode(raw)
        except _UNREADABLE:
            continue
        readable.append(found if isinstance(found, _Hours) else _Hours(found))
    return readable


def _flat(periods: _Period | list[list[_Period]]) -> list[_Period]:
    if isinstance(periods, _Period):
        return [periods]
    return list(chain.from_iterable(periods))
