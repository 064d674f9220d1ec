"""Requests for charts."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import numpy as np

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.errors import CapabilityMissingError
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import DAY_NS, SECOND_NS, label_ends, labels
from ingestion_server.domain.query import Span
from ingestion_server.domain.zones import utc_from_local
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.provider import BarAsk
from ingestion_server.providers.yahoo.declarations import (
    ACTIONS,
    CHART_URL,
    CHARTS,
    CODES,
    HISTORY_CODE,
    LONGEST_REQUEST_SECONDS,
    NAME,
    OLDEST_SECONDS,
)
from ingestion_server.providers.yahoo.symbols import spelling

_EARLIEST_SECONDS: Final = -2_208_988_800
"""1900: well before the oldest bar that was seen (IBM, 1962)."""
_ZONES: Final = {
    AssetClass.FX: "Europe/London",
    AssetClass.CRYPTO: "UTC",
    AssetClass.FUTURE: "America/New_York",
}
_AGE_MARGIN_NS: Final = 60 * SECOND_NS
"""The vendor judges the age a moment later than we do."""


def bar_requests(ask: BarAsk) -> tuple[HttpRequest, ...]:
    """Return the requests whose pages cover the span, as far back as they reach."""
    span = _stamps(ask)
    oldest = OLDEST_SECONDS.get(ask.interval)
    if oldest is not None:
        reach = ask.now_ns - int(oldest * SECOND_NS) + _AGE_MARGIN_NS
        span = Span(max(span.start_ns, reach), span.end_ns)
    # In whole seconds, or rounding would lengthen requests that are cut to measure.
    span = Span(
        max(span.start_ns // SECOND_NS, _EARLIEST_SECONDS) * SECOND_NS,
        -(-span.end_ns // SECOND_NS) * SECOND_NS,
    )
    longest = LONGEST_REQUEST_SECONDS.get(ask.interval)
    step = int(longest * SECOND_NS) if longest else span.end_ns - span.start_ns
    requests = []
    start = span.start_ns
    while start < span.end_ns:
        end = min(start + step, span.end_ns)
        requests.append(_chart(ask, Span(start, end)))
        start = end
    return tuple(requests)


def history_request(instrument: Instrument, now_ns: int) -> HttpRequest:
    """Return the one request that tells all splits, dividends and daily closes."""
    return HttpRequest(
        NAME,
        CHART_URL + _encoded(instrument),
        (
            ("period1", str(_EARLIEST_SECONDS)),
            ("period2", str(now_ns // SECOND_NS + 1)),
            ("interval", HISTORY_CODE),
            ("includePrePost", "false"),
            ("events", "div|split"),
        ),
        feature=ACTIONS,
        span=Span(_EARLIEST_SECONDS * SECOND_NS, now_ns),
    )


def _chart(ask: BarAsk, span: Span) -> HttpRequest:
    extended = ask.hours is TradingHours.EXTENDED and ask.interval.intraday
    return HttpRequest(
        NAME,
        CHART_URL + _encoded(ask.instrument),
        (
            ("period1", str(span.start_ns // SECOND_NS)),
            ("period2", str(span.end_ns // SECOND_NS)),
            ("interval", CODES[ask.interval]),
            ("includePrePost", "true" if extended else "false"),
        ),
        feature=CHARTS[ask.interval],
        span=span,
    )


def _encoded(instrument: Instrument) -> str:
    symbol = spelling(instrument)
    if symbol is None:
        raise CapabilityMissingError(
            f"yahoo has no symbol for {instrument.symbol} on {instrument.exchange}",
            provider=NAME,
        )
    return quote(symbol, safe="")


def _stamps(ask: BarAsk) -> Span:
    """
    Return the stretch in which the bars of the labels are stamped.

    Intraday bars are stamped by their open; a day by the exchange's open, a week or
    a month by local midnight of its first day [R], so local midnights enclose them.
    """
    if ask.interval.intraday:
        return ask.span
    edges = np.array([ask.span.start_ns, ask.span.end_ns - 1], np.int64)
    first, last = labels(edges, ask.interval)
    days = np.array(
        [first, label_ends(np.array([last], np.int64), ask.interval)[0]], np.int64
    )
    venue = ask.instrument.venue
    # Futures are stamped by New York wherever they trade.
    zone = _ZONES.get(ask.instrument.asset_class) or (venue.zone if venue else None)
    if zone is None:
        return Span(int(days[0]) - DAY_NS, int(days[1]) + DAY_NS)
    start, end = utc_from_local(days, zone)
    return Span(int(start), int(end))
