"""Answers as Finnhub writes them, and questions for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.provider import BarAsk

AAPL = Instrument("AAPL", AssetClass.EQUITY, "XNYS")
LONDON = Instrument("VOD", AssetClass.EQUITY, "XLON")
EURUSD = Instrument("EUR/USD", AssetClass.FX)
BITCOIN = Instrument("BTC/USDT", AssetClass.CRYPTO)
ROW = (10.0, 11.0, 9.0, 10.5, 100.0)
NOW = "2024-02-01T12:00"


def seconds(moment: str) -> int:
    """Return the epoch seconds of a time in UTC."""
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())


def ns(moment: str) -> int:
    """Return the nanoseconds of a time in UTC."""
    return seconds(moment) * SECOND_NS


def ask(
    instrument: Instrument = AAPL,
    interval: Interval = Interval.DAY_1,
    adjustment: Adjustment | None = None,
    *,
    start: str = "2024-01-02",
    end: str = "2024-01-10",
    refused: frozenset[str] = frozenset(),
) -> BarAsk:
    """Ask for bars, in the adjustment that the vendor has."""
    listed = instrument.asset_class is AssetClass.EQUITY
    own = Adjustment.SPLIT if listed and not interval.intraday else Adjustment.RAW
    return BarAsk(
        instrument,
        interval,
        adjustment or own,
        Span(ns(start), ns(end)),
        ns(NOW),
        refused=refused,
    )


def candles(rows: dict[str, tuple[float, ...]]) -> bytes:
    """Write candles by their times, in the given order."""
    opens, highs, lows, closes, volumes = zip(*rows.values(), strict=True)
    told = {
        "c": closes,
        "h": highs,
        "l": lows,
        "o": opens,
        "s": "ok",
        "t": [seconds(moment) for moment in rows],
        "v": volumes,
    }
    return json.dumps(told).encode()


def answer(body: bytes | object, status: int = 200, **headers: str) -> HttpResponse:
    """Return an answer of now; what is no bytes is written as JSON."""
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, written, named, received_at_ns=ns(NOW))
