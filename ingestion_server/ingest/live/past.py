"""The bars before the live ones."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.bars import BarState, Column
from ingestion_server.domain.errors import CapabilityMissingError, IngestionError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import BarQuery, SourcePolicy
from ingestion_server.domain.result import BarResult, Missing
from ingestion_server.domain.ticks import LiveBar
from ingestion_server.ingest.fetch import Fetcher

NO_EXTENDED_HOURS: Final = "no vendor that may be asked tells bars of extended hours"
_REGULAR_ONLY: Final = (
    f"{NO_EXTENDED_HOURS}; those before and after regular hours are missing"
)
MOST_BARS: Final = 50_000
"""As many as one ``Fetch`` answers with."""


class Past(msgspec.Struct, frozen=True):
    """Be the history of an instrument, and what is missing of it."""

    bars: list[LiveBar]
    """Ascending; their states are those of ``Fetch``."""
    holes: list[Missing]


async def history(  # noqa: PLR0913 - what a query has
    fetcher: Fetcher,
    instrument: Instrument,
    interval: Interval,
    hours: TradingHours,
    *,
    start_ns: int,
    end_ns: int,
    policy: SourcePolicy,
    budget_seconds: float,
) -> Past:
    """
    Return the bars that open in ``[start, end)``; a failure is a hole with a reason.

    Prices are adjusted for splits, so that they are those of today: live trades go on
    where they end. More than 50,000 bars are such a failure.
    """
    if start_ns >= end_ns:
        return Past([], [])

    query = BarQuery(
        instrument,
        interval,
        start_ns,
        end_ns,
        adjustment=Adjustment.SPLIT,
        hours=hours,
        policy=policy,
    )
    try:
        result, of = await told(
            fetcher, query, budget_seconds=budget_seconds, most_bars=MOST_BARS
        )
    except IngestionError as error:
        reason = f"{error.reason}: {error.message}"
        return Past([], [Missing(start_ns, end_ns, reason)])
    holes = [] if of is hours else [Missing(start_ns, end_ns, _REGULAR_ONLY)]
    return Past(list(live_bars(result)), [*holes, *result.missing])


async def told(
    fetcher: Fetcher, query: BarQuery, *, budget_seconds: float, most_bars: int
) -> tuple[BarResult, TradingHours]:
    """
    Return what vendors tell, and of which hours.

    Half of it is better than none: if nobody tells extended hours, those are regular
    ones. Raises what ``Fetcher.fetch`` does.
    """
    try:
        result = await fetcher.fetch(
            query, budget_seconds=budget_seconds, most_bars=most_bars
        )
    except CapabilityMissingError:
        if query.hours is TradingHours.REGULAR:
            raise
        query = replace(query, hours=TradingHours.REGULAR)
        result = await fetcher.fetch(
            query, budget_seconds=budget_seconds, most_bars=most_bars
        )
    return result, query.hours


def live_bars(result: BarResult) -> Iterator[LiveBar]:
    """Yield the bars of an answer, each signed by who served it."""
    series = result.series
    times = series.open_time_ns.tolist()
    count = len(times)
    volumes = [None] * count if series.volume is None else _known(series.volume)
    starts = [source.start_ns for source in result.sources]
    for row in zip(
        times,
        _known(series.open),
        _known(series.high),
        _known(series.low),
        _known(series.close),
        volumes,
        result.states.tolist(),
        strict=True,
    ):
        open_ns, first, high, low, last, volume, state = row
        source = result.sources[bisect_right(starts, open_ns) - 1]
        yield LiveBar(
            result.instrument.symbol,
            open_ns,
            first,
            high,
            low,
            last,
            interval=result.interval,
            volume=volume,
            state=BarState(state),
            derived=False,
            provider=source.provider,
        )


def _known(column: Column) -> list[float | None]:
    """Return the values; what is unknown is None."""
    return [None if value != value else value for value in column.tolist()]  # noqa: PLR0124 - only NaN is unlike itself
