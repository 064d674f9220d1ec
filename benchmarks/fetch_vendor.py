"""
Be two vendors without latency, whose answers are rendered before they are asked for.

They are Alpha Vantage's daily bars and Yahoo's daily chart, as both vendors write them.
A symbol says how many bars it has: ``B1000S7`` has a thousand, as has every other that
begins with ``B1000S``. So there is no end of symbols, and nothing of what is asked for
can be shared or known.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

import numpy as np
import uvloop
from typing_extensions import override

from ingestion_server.calendars import ComputedCalendars
from ingestion_server.domain.bars import Column
from ingestion_server.domain.interval import DAY_NS, SECOND_NS, Times

CHART: Final = "/v8/finance/chart/"
DAILY: Final = "/query"
CALLS: Final = "/calls"
_NAME: Final = b"%SYMBOL%"
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
_END: Final = b"\r\n\r\n"


def symbol(bars: int, number: int) -> str:
    """Return a symbol whose chart has so many bars."""
    return f"B{bars}S{number}"


async def sessions_before_today(folder: Path, count: int) -> tuple[Times, Times]:
    """Return the labels and the opens of New York's last sessions, oldest first."""
    async with ComputedCalendars(folder) as calendars:
        known = await calendars.sessions("XNYS")
    if known is None:
        raise RuntimeError("no calendar is known")
    # Yesterday's may not have settled.
    settled = datetime.now(UTC) - timedelta(days=3)
    last = int(np.searchsorted(known.labels_ns, int(settled.timestamp()) * SECOND_NS))
    if last < count:
        raise RuntimeError(f"the calendar has {last} sessions and not {count}")
    return known.labels_ns[last - count : last], known.opens_ns[last - count : last]


def daily(labels_ns: Times) -> bytes:
    """Return the daily bars of such sessions, as Alpha Vantage writes them."""
    prices, volume = _bars(len(labels_ns))
    days = labels_ns.astype("M8[ns]").astype("M8[D]").astype(str).tolist()
    rows = zip(*(column.tolist() for column in prices.values()), volume, strict=True)
    names = [f"{number}. {name}" for number, name in enumerate(prices, start=1)]
    series = {
        day: {
            **{name: f"{price:.4f}" for name, price in zip(names, row, strict=True)},
            "5. volume": str(traded),
        }
        for day, (*row, traded) in zip(days, rows, strict=True)
    }
    document = {
        "Meta Data": {
            "1. Information": "Daily Prices (open, high, low, close) and Volumes",
            "2. Symbol": _NAME.decode(),
            "3. Last Refreshed": days[-1],
            "4. Output Size": "Full size",
            "5. Time Zone": "US/Eastern",
        },
        "Time Series (Daily)": dict(reversed(series.items())),
    }
    return json.dumps(document, indent=4).encode()


def chart(opens_ns: Times) -> bytes:
    """Return the daily chart of such sessions, as Yahoo writes it."""
    prices, volume = _bars(len(opens_ns))
    # They are sent as float32 that were widened.
    columns = {
        name: column.astype("f4").astype("f8").tolist()
        for name, column in prices.items()
    }
    stamps = (opens_ns // SECOND_NS).tolist()
    result: dict[str, Any] = {
        "meta": {
            "currency": "USD",
            "symbol": _NAME.decode(),
            "exchangeName": "NMS",
            "fullExchangeName": "NasdaqGS",
            "instrumentType": "EQUITY",
            "firstTradeDate": stamps[0],
            "regularMarketTime": stamps[-1] + 23_400,
            "hasPrePostMarketData": True,
            "gmtoffset": -18000,
            "timezone": "EST",
            "exchangeTimezoneName": "America/New_York",
            "regularMarketPrice": columns["close"][-1],
            "priceHint": 2,
            "dataGranularity": "1d",
            "range": "",
            "validRanges": ["1d", "5d", "1mo", "1y", "max"],
        },
        "timestamp": stamps,
        "indicators": {
            "quote": [{**columns, "volume": volume}],
            "adjclose": [{"adjclose": columns["close"]}],
        },
    }
    document = {"chart": {"result": [result], "error": None}}
    return json.dumps(document, separators=(",", ":")).encode()


def _bars(count: int) -> tuple[dict[str, Column], list[int]]:
    """Return prices of whole cents, and volumes."""
    random = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    factors = {"open": 0.999, "high": 1.01, "low": 0.99, "close": 1.0}
    prices = {
        name: np.maximum(np.round(close * factor, 2), 0.01)
        for name, factor in factors.items()
    }
    return prices, random.integers(1_000_000, 100_000_000, count).tolist()


class _Connection(asyncio.Protocol):
    """Answer one request after the other."""

    calls = 0

    def __init__(self, bodies: Mapping[tuple[str, str], tuple[bytes, bytes]]) -> None:
        self._bodies = bodies
        self._heard = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._heard += data
        while _END in self._heard:
            head, _, self._heard = self._heard.partition(_END)
            target = head.split(b" ", 2)[1].decode()
            self._transport.write(self._answer(urlsplit(target)))

    def _answer(self, asked: SplitResult) -> bytes:
        if asked.path == CALLS:
            body = str(_Connection.calls).encode()
        else:
            _Connection.calls += 1
            form, name = DAILY, dict(parse_qsl(asked.query)).get("symbol", "")
            if asked.path != DAILY:
                form, name = CHART, asked.path.removeprefix(CHART)
            before, after = self._bodies[form, name.partition("S")[0]]
            body = b"".join((before, name.encode(), after))
        return b"".join((_HEAD, str(len(body)).encode(), _END, body))


async def _serve(folder: Path, counts: list[int]) -> None:
    bodies = {}
    for count in counts:
        labels_ns, opens_ns = await sessions_before_today(folder, count)
        for form, body in ((DAILY, daily(labels_ns)), (CHART, chart(opens_ns))):
            before, _, after = body.partition(_NAME)
            bodies[form, f"B{count}"] = (before, after)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(bodies), "127.0.0.1", 0
    )
    host, port = server.sockets[0].getsockname()
    print(f"READY http://{host}:{port}", flush=True)
    await server.serve_forever()


def span(labels_ns: Times) -> tuple[int, int]:
    """Return the range that holds these days, in nanoseconds."""
    return int(labels_ns[0]), int(labels_ns[-1]) + DAY_NS


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1]), [int(count) for count in sys.argv[2:]]))
