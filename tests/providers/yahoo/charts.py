"""Small replies in the format Yahoo's charts are known to have; made by us."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.instrument import AssetClass, instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.provider import BarAsk, Page
from ingestion_server.providers.yahoo import Yahoo

NEW_YORK = "America/New_York"
PRICES = ("open", "high", "low", "close")
Row = Sequence[float | None]


def seconds(text: str) -> int:
    """Read an ISO time, UTC unless it says otherwise."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp())


def ns(text: str) -> int:
    """Read an ISO time as nanoseconds."""
    return seconds(text) * 1_000_000_000


def chart(
    rows: Mapping[str, Row] | Sequence[tuple[str, Row]],
    *,
    zone: str = NEW_YORK,
    events: object = None,
    **meta: object,
) -> dict[str, object]:
    """Compose a chart of rows (open, high, low, close, volume) by ISO stamp."""
    pairs = list(rows.items()) if isinstance(rows, Mapping) else list(rows)
    columns = zip(*(row for _, row in pairs), strict=True)
    quote = dict(zip((*PRICES, "volume"), map(list, columns), strict=False))
    result = {
        "meta": {"exchangeTimezoneName": zone, **meta},
        "timestamp": [seconds(stamp) for stamp, _ in pairs],
        "indicators": {"quote": [quote]},
    }
    if events is not None:
        result["events"] = events
    return {"chart": {"result": [result], "error": None}}


def answer(
    body: object,
    *,
    status: int = 200,
    received_at: str = "",
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Wrap a body; what is no bytes is written as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    at_ns = ns(received_at) if received_at else 0
    return HttpResponse(status, raw, headers or {}, received_at_ns=at_ns)


def complaint(code: str, description: str, root: str = "chart") -> dict[str, object]:
    """Compose an error object."""
    error = {"code": code, "description": description}
    return {root: {"result": None, "error": error}}


def ask(  # noqa: PLR0913 - what a question has
    symbol: str = "AAPL",
    interval: Interval = Interval.DAY_1,
    *,
    exchange: str = "",
    kind: AssetClass | None = None,
    span: tuple[str, str] = ("2024-01-02", "2024-01-03"),
    now: str = "2024-07-01T12:00",
    hours: TradingHours = TradingHours.REGULAR,
) -> BarAsk:
    """Ask for bars."""
    asked = instrument(symbol, asset_class=kind, exchange=exchange)
    return BarAsk(
        asked,
        interval,
        Adjustment.SPLIT if asked.asset_class.adjustable else Adjustment.RAW,
        Span(ns(span[0]), ns(span[1])),
        ns(now),
        hours,
    )


def read(body: object, asked: BarAsk | None = None) -> Page:
    """Read a chart."""
    return Yahoo().read_bars(answer(body), asked or ask())


def times(series: BarSeries) -> list[str]:
    """Show the labels: a day's without its midnight."""
    return [
        datetime.fromtimestamp(int(time) // 10**9, UTC)
        .strftime("%Y-%m-%dT%H:%M:%S")
        .removesuffix("T00:00:00")
        for time in series.open_time_ns
    ]
