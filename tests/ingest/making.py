"""Progress as it would be after some vendors were asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.errors import NoDataUnexplainedError, ProviderError
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import DAY_NS, Interval
from ingestion_server.domain.quality import QualityFlag
from ingestion_server.domain.query import BarQuery, SourceMode, SourcePolicy
from ingestion_server.ingest.collected import Piece
from ingestion_server.ingest.progress import Progress
from ingestion_server.ingest.scope import scope
from tests.builders import bars, ns, sessions

CALENDAR = sessions("2024-01-01", "2024-12-31")
NOW = ns("2024-06-29")
RECEIVED = NOW + 1_000_000_000
ACME, ZENITH = "acme", "zenith"


def progress(  # noqa: PLR0913 - each has its default
    start: str | None = "2024-06-03",
    end: str | None = "2024-06-15",
    *,
    symbol: str = "AAPL",
    exchange: str = "",
    interval: Interval = Interval.DAY_1,
    limit: int = 0,
    now_ns: int = NOW,
    allow_partial: bool = True,
    mode: SourceMode = SourceMode.ANY,
) -> Progress:
    """Begin an answer; by default ten days are due."""
    query = BarQuery(
        instrument(symbol, exchange=exchange),
        interval,
        start_ns=None if start is None else ns(start),
        end_ns=None if end is None else ns(end),
        limit=limit,
        policy=SourcePolicy(mode, allow_partial=allow_partial),
    )
    calendar = CALENDAR if query.instrument.venue else None
    return Progress(query, scope(query, calendar, now_ns=now_ns, most_bars=50_000))


def piece(  # noqa: PLR0913 - each has its default
    provider: str,
    series: BarSeries,
    *,
    currency: str = "USD",
    received_at_ns: int = RECEIVED,
    derivation: str = "",
    first_trade: str | None = None,
    flags: Sequence[QualityFlag] = (),
) -> Piece:
    """Make what one vendor gave."""
    return Piece(
        provider,
        series,
        received_at_ns,
        currency=currency,
        derivation=derivation,
        first_trade_ns=None if first_trade is None else ns(first_trade),
        flags=list(flags),
    )


def june(*days: int, close: float = 100.0) -> BarSeries:
    """Make bars of some days of June 2024."""
    return bars(ns("2024-06-01") + (np.array(days, np.int64) - 1) * DAY_NS, close)


def silent(provider: str) -> ProviderError:
    """Say that a vendor gave nothing."""
    return NoDataUnexplainedError(f"{provider} gave no bars", provider=provider)
