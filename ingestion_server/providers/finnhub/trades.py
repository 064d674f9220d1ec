"""
The trades of a day, from ``/stock/tick``, at most 25,000 at once [D].

Their order is not documented; in the examples they ascend by time [D].
Whether its days are those of UTC or of the exchange is not documented; where the two
differ both are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import msgspec
import numpy as np

from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.interval import DAY_NS
from ingestion_server.domain.query import Span
from ingestion_server.domain.ticks import Trade
from ingestion_server.domain.zones import local_from_utc
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.stream import TradePage
from ingestion_server.providers.finnhub.declarations import API_URL, NAME, TICKS
from ingestion_server.providers.finnhub.payloads import (
    FARTHEST_SECONDS,
    date_of,
    decoded,
    malformed,
)
from ingestion_server.providers.finnhub.symbols import feature, spelling

PAGE_ROWS: Final = 25_000
_MILLISECOND_NS: Final = 1_000_000
_FARTHEST_MILLISECONDS: Final = FARTHEST_SECONDS * 1000


class _Ticks(msgspec.Struct):
    skip: int = 0
    count: int = 0
    total: int = 0
    t: list[int] = []
    p: list[float] = []
    v: list[float | None] | None = None
    c: list[list[str] | None] | None = None


_decoder: Final = msgspec.json.Decoder(_Ticks)


@final
class FinnhubTrades:
    """Tell the trades of the past, with a premium plan."""

    @property
    def page_trades(self) -> int:
        """Return how many trades one request may be about."""
        return PAGE_ROWS

    def trade_requests(
        self, instrument: Instrument, start_ns: int, end_ns: int
    ) -> Sequence[HttpRequest]:
        """Return a request for each day of ``[start, end)``; of pairs none."""
        symbol = spelling(instrument)
        if instrument.asset_class is not AssetClass.EQUITY or symbol is None:
            return ()
        return [
            HttpRequest(
                NAME,
                API_URL + TICKS,
                (
                    ("symbol", symbol),
                    ("date", date),
                    ("limit", str(PAGE_ROWS)),
                    ("skip", "0"),
                ),
                feature=feature(TICKS, instrument),
                span=Span(start_ns, end_ns),
            )
            for date in _dates(instrument, start_ns, end_ns)
        ]

    def part_request(self, request: HttpRequest, first: int, count: int) -> HttpRequest:
        """Return the request about other trades of the same day."""
        part = {"limit": str(count), "skip": str(first)}
        params = tuple((name, part.get(name, value)) for name, value in request.params)
        return msgspec.structs.replace(request, params=params)

    def read_trades(self, response: HttpResponse, request: HttpRequest) -> TradePage:
        """
        Read some trades of a day, in the vendor's order.

        Raises:
            MalformedPayloadError: It holds no trades.

        """
        ticks = decoded(_decoder, response.body, "trades")
        trades = _trades(ticks, dict(request.params)["symbol"])
        return TradePage(trades, ticks.skip, ticks.count, ticks.total)


def _dates(instrument: Instrument, start_ns: int, end_ns: int) -> list[str]:
    if end_ns <= start_ns:
        return []
    edges = np.array([start_ns, end_ns - 1], np.int64)
    venue = instrument.venue
    both = [edges] if venue is None else [edges, local_from_utc(edges, venue.zone)]
    days = {
        day
        for first, last in (each // DAY_NS for each in both)
        for day in range(int(first), int(last) + 1)
    }
    return [date_of(day * DAY_NS) for day in sorted(days)]


def _trades(ticks: _Ticks, symbol: str) -> list[Trade]:
    length = len(ticks.t)
    for column in (ticks.p, ticks.v, ticks.c):
        if column is not None and len(column) != length:
            raise malformed(f"{length} times and {len(column)} values")
    if not all(0 < time < _FARTHEST_MILLISECONDS for time in ticks.t):
        raise malformed("a trade that was at no time")
    sizes = ticks.v if ticks.v is not None else [None] * length
    conditions = ticks.c if ticks.c is not None else [None] * length
    return [
        Trade(symbol, time * _MILLISECOND_NS, price, size, tuple(codes or ()))
        for time, price, size, codes in zip(
            ticks.t, ticks.p, sizes, conditions, strict=True
        )
    ]
