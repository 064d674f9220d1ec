"""Answers as IEX Cloud wrote them, and questions for them."""

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
MSFT = Instrument("MSFT", AssetClass.EQUITY, "XNAS")
BERKSHIRE = Instrument("BRK.B", AssetClass.EQUITY, "XNYS")
LONDON = Instrument("VOD", AssetClass.EQUITY, "XLON")
EURUSD = Instrument("EUR/USD", AssetClass.FX)
NOW = "2024-06-12T12:00"
"""A Wednesday, before New York opens."""


def ns(moment: str) -> int:
    """Return the nanoseconds of a time in UTC."""
    told = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return int(told.timestamp()) * SECOND_NS


def ask(  # noqa: PLR0913 - all that a question is made of
    instrument: Instrument = AAPL,
    interval: Interval = Interval.DAY_1,
    adjustment: Adjustment = Adjustment.RAW,
    *,
    start: str = "2024-06-10",
    end: str = "2024-06-12",
    now: str = NOW,
    refused: frozenset[str] = frozenset(),
) -> BarAsk:
    """Ask for bars."""
    span = Span(ns(start), ns(end))
    return BarAsk(instrument, interval, adjustment, span, ns(now), refused=refused)


def day(date: str, close: float = 100.0, **more: object) -> dict[str, object]:
    """Write a row of a chart of days: split in four, and with a dividend since."""
    told: dict[str, object] = {"date": date}
    for prefix, factor in (("", 0.25), ("u", 1.0), ("f", 0.2)):
        for name, price in (
            ("open", close),
            ("high", close + 4),
            ("low", close - 4),
            ("close", close),
        ):
            told[prefix + (name.title() if prefix else name)] = price * factor
        told[f"{prefix}Volume" if prefix else "volume"] = 1000 / factor
    return told | more


def minute(clock: str, own: float | None, market: float | None) -> dict[str, object]:
    """Write a row of a chart of minutes."""
    names = ("open", "high", "low", "close")
    return {
        "date": "2024-06-11",
        "minute": clock,
        **dict.fromkeys(names, own),
        "volume": 0 if own is None else 10,
        **{f"market{name.title()}": market for name in names},
        "marketVolume": 500,
    }


def answer(body: bytes | object, status: int = 200, **headers: str) -> HttpResponse:
    """Return an answer of now; what is no bytes is written as JSON."""
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, written, named, received_at_ns=ns(NOW))
