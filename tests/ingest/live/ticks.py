"""Trades and quotes, made by hand."""

from __future__ import annotations

from ingestion_server.domain.ticks import Quote, Trade
from tests.builders import ns

SECOND = 1_000_000_000
MILLI = 1_000_000
TEN = ns("2024-06-03 14:00")
"""10:00 in New York, on a Monday in summer."""


def trade(  # noqa: PLR0913 - each has its default
    at: float = 0.0,
    price: float = 100.0,
    size: float | None = 10.0,
    *,
    marks: int = 0,
    provider: str = "acme",
    trade_id: str = "",
    received_at: float | None = None,
) -> Trade:
    """Make a trade so many seconds after ten o'clock."""
    return Trade(
        "AAPL",
        TEN + round(at * 1000) * MILLI,
        price,
        size,
        trade_id=trade_id,
        marks=marks,
        received_at_ns=TEN + round((at if received_at is None else received_at) * 1e9),
        provider=provider,
    )


def quote(
    bid: float | None = 99.0,
    ask: float | None = 101.0,
    *,
    bid_size: float | None = 1.0,
    ask_size: float | None = None,
    at: float = 0.0,
) -> Quote:
    """Make a quote so many seconds after ten o'clock."""
    return Quote("AAPL", TEN + round(at * 1e9), bid, bid_size, ask, ask_size)
