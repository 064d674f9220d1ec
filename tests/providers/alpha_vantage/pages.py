"""Small replies in Alpha Vantage's documented format; made by us, none recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.provider import BarAsk
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.alpha_vantage.declarations import IntradayLabel

NUMBERED = ("1. open", "2. high", "3. low", "4. close", "5. volume")
ROW = ("10.1", "10.5", "10.0", "10.25", "1200")


def ns(text: str) -> int:
    """Read an ISO time, UTC unless it says otherwise."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp()) * 1_000_000_000


def reply(
    series: str,
    rows: Mapping[str, Sequence[object]],
    *,
    fields: Sequence[str] = NUMBERED,
    meta: Mapping[str, str] | None = None,
) -> bytes:
    """Write a JSON reply."""
    return json.dumps(
        {
            "Meta Data": meta or {"5. Time Zone": "US/Eastern"},
            series: {
                key: dict(zip(fields, row, strict=False)) for key, row in rows.items()
            },
        },
        indent=4,
    ).encode()


def table(header: str, rows: Mapping[str, Sequence[object]]) -> bytes:
    """Write a CSV reply, with the vendor's line ends."""
    lines = [header, *(",".join(map(str, (key, *row))) for key, row in rows.items())]
    return "".join(f"{line}\r\n" for line in lines).encode()


def answer(body: bytes, *, status: int = 200, received_at: str = "") -> HttpResponse:
    """Wrap a body."""
    at_ns = ns(received_at) if received_at else 0
    return HttpResponse(status, body, received_at_ns=at_ns)


def ask(
    symbol: str = "IBM",
    interval: Interval = Interval.DAY_1,
    **more: object,
) -> BarAsk:
    """Ask for the first half of 2024, in July, unless told otherwise."""
    told = {
        "exchange": "",
        "adjustment": Adjustment.RAW,
        "start": "2024-01-01",
        "end": "2024-07-01",
        "now": "2024-07-01",
        "refused": frozenset(),
    } | more
    return BarAsk(
        instrument(symbol, exchange=str(told["exchange"])),
        interval,
        Adjustment(str(told["adjustment"])),
        Span(ns(str(told["start"])), ns(str(told["end"]))),
        ns(str(told["now"])),
        refused=frozenset(told["refused"]),  # type: ignore[call-overload]
    )


def times(body: bytes, question: BarAsk, label: IntradayLabel = "start") -> list[str]:
    """Return the labels of the bars in a body, as UTC text without seconds."""
    page = AlphaVantage(intraday_label=label).read_bars(answer(body), question)
    moments = page.series.open_time_ns.astype("datetime64[ns]").astype("datetime64[m]")
    return [str(moment) for moment in moments]
