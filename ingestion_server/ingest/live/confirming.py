"""The vendor's own bars, once they are final, in place of those built with holes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.errors import (
    CallerError,
    CapabilityMissingError,
    CredentialsRefusedError,
    DeadlineExceededError,
    EntitlementMissingError,
    IngestionError,
    SymbolUnknownError,
)
from ingestion_server.domain.query import (
    BarQuery,
    Priority,
    SourceMode,
    SourcePolicy,
    Span,
)
from ingestion_server.domain.ticks import LiveBar
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.live.past import (
    MOST_BARS,
    NO_EXTENDED_HOURS,
    live_bars,
    told,
)
from ingestion_server.ingest.live.unfinished import Series, Unfinished, WhyNot, Word
from ingestion_server.ports.clock import Clock

_LONGEST_NAP_SECONDS: Final = 60.0
"""The wall clock may be set, and more be wanted, so it is looked again."""
_BUDGET_SECONDS: Final = 30.0
_AT_ONCE: Final = 4
_NONE: Final = "vendors have none"
_FOR_GOOD: Final = (
    CallerError,
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
    SymbolUnknownError,
)


@final
class BarConfirmer:
    """Ask vendors for bars that are over, of no more than four series at once."""

    def __init__(self, fetcher: Fetcher, clock: Clock) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def words(self, bars: Unfinished) -> Sequence[Word]:
        """
        Ask for all bars that are over, or wait for that, but no longer than a minute.

        Return those of which the last word is known by now, if any; they are waited
        for no more. Calls that cost money are not made.
        """
        left = self._left(bars)
        if left > 0:
            await self._clock.sleep(min(left, _LONGEST_NAP_SECONDS))
            return ()
        async with self._turns:
            if self._left(bars) > 0:
                # The clock was set back while others had their turns.
                return ()
            span = bars.span(self._clock.now_ns())
            found, why_not = await self._asked(bars.series, span)
        return bars.answered(span, found, why_not, self._clock.monotonic())

    async def _asked(
        self, series: Series, span: Span
    ) -> tuple[Mapping[int, LiveBar], Callable[[int], WhyNot]]:
        """Return the final bars of a span, and what says why others are not there."""
        query = BarQuery(
            series.instrument,
            series.interval,
            span.start_ns,
            span.end_ns,
            adjustment=Adjustment.SPLIT,
            hours=series.hours,
            policy=SourcePolicy(
                SourceMode.ORDERED if series.providers else SourceMode.ANY,
                series.providers,
                max_cost_usd=0.0,
            ),
            priority=Priority.BATCH,
        )
        try:
            result, hours = await told(
                self._fetcher,
                query,
                budget_seconds=_BUDGET_SECONDS,
                most_bars=MOST_BARS,
            )
        except IngestionError as error:
            late = isinstance(error, DeadlineExceededError)
            why = WhyNot(
                f"{error.reason}: {error.message}",
                for_good=isinstance(error, _FOR_GOOD) and not late,
            )
            return {}, lambda _: why
        bars = {bar.open_time_ns: bar for bar in live_bars(result)}
        final = {
            open_ns: bar
            for open_ns, bar in bars.items()
            if bar.state is not BarState.PARTIAL
        }

        def why_not(open_ns: int) -> WhyNot:
            if open_ns in bars:
                return WhyNot("its own is not final")
            for each in result.missing:
                if each.start_ns <= open_ns < each.end_ns:
                    return WhyNot(each.reason)
            # What is not missing in regular hours is none of them.
            return WhyNot(
                NO_EXTENDED_HOURS if hours is not series.hours else _NONE,
                for_good=hours is not series.hours,
            )

        return final, why_not

    def _left(self, bars: Unfinished) -> float:
        return bars.wait_seconds(self._clock.monotonic(), self._clock.now_ns())
