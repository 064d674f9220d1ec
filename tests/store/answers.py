"""Answers and what lands of them, small and hand-made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarSeries, BarState
from ingestion_server.domain.instrument import AssetClass, instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import Span
from ingestion_server.domain.result import BarResult, Completeness, Missing, Source
from ingestion_server.ports.jobs import Holding
from ingestion_server.store.landing import ParquetLanding
from tests.builders import dates, span
from tests.clocks import ManualClock

ALL = span("1990-01-01", "2100-01-01")
RECEIVED_NS = 1_736_500_000 * 10**9


def holding(
    symbol: str = "AAPL",
    *,
    interval: Interval = Interval.DAY_1,
    adjustment: Adjustment = Adjustment.SPLIT,
    hours: TradingHours = TradingHours.REGULAR,
    asset_class: AssetClass | None = None,
    exchange: str = "",
) -> Holding:
    """Name a series."""
    whose = instrument(symbol, asset_class=asset_class, exchange=exchange)
    return Holding(whose, interval, adjustment, hours)


AAPL = holding()


def result(  # noqa: PLR0913 - each has its default
    series: BarSeries,
    *,
    of: Holding = AAPL,
    missing: Sequence[tuple[str, str]] = (),
    partial: Iterable[int] = (),
    provider: str = "yahoo",
    derivation: str = "",
    received_at_ns: int = RECEIVED_NS,
    sources: list[Source] | None = None,
    currency: str = "USD",
) -> BarResult:
    """Make an answer of one vendor; ``partial`` numbers the bars that are forming."""
    states = np.full(len(series), BarState.FINAL, np.uint8)
    states[list(partial)] = BarState.PARTIAL
    times = series.open_time_ns
    signed = [
        Source(
            provider,
            int(times[0]),
            int(times[-1]) + of.interval.length_ns,
            received_at_ns,
            derivation=derivation,
        )
        for _ in times[:1]
    ]
    return BarResult(
        instrument=of.instrument,
        interval=of.interval,
        adjustment=of.adjustment,
        currency=currency,
        volume_unit="",
        zone="America/New_York",
        series=series,
        states=states,
        completeness=Completeness.PARTIAL if missing else Completeness.COMPLETE,
        missing=[Missing(*_edges(hole), "nobody had it") for hole in missing],
        sources=signed if sources is None else sources,
        attempts=[],
        flags=[],
    )


def landing(folder: Path, clock: ManualClock | None = None) -> ParquetLanding:
    """Keep bars in a folder."""
    return ParquetLanding(folder, clock=clock or ManualClock())


async def kept(
    store: ParquetLanding, within: Span = ALL, *, of: Holding = AAPL
) -> dict[str, float]:
    """Return the closes that have landed, by date."""
    found = (await store.read(of, within)).series
    return dict(zip(dates(found.open_time_ns), found.close.tolist(), strict=True))


async def whole(
    store: ParquetLanding, within: Span = ALL, *, of: Holding = AAPL
) -> list[tuple[str, str]]:
    """Return what is covered, as dates."""
    spans = await store.covered(of, within)
    return [(dates([s.start_ns])[0], dates([s.end_ns])[0]) for s in spans]


def files(folder: Path) -> list[str]:
    """Name all files in a folder."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    )


def _edges(hole: tuple[str, str]) -> tuple[int, int]:
    found = span(*hole)
    return found.start_ns, found.end_ns
