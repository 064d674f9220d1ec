"""The vendor's own bar, once it is final, in place of one that was built with holes."""

from __future__ import annotations

from typing import Final, final

from ingestion_server.domain.adjustment import Adjustment, TradingHours
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
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import MINUTE_NS, SECOND_NS, Interval
from ingestion_server.domain.query import (
    BarQuery,
    Priority,
    SourceMode,
    SourcePolicy,
)
from ingestion_server.domain.ticks import LiveBar
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.live.past import live_bars
from ingestion_server.ingest.live.slots import Slots
from ingestion_server.ingest.scope import SETTLING_NS
from ingestion_server.ports.clock import Clock

_PAUSES: Final = (0.0, 15.0, 60.0, 180.0, 300.0)
"""Seconds before each try; together not quite ten minutes."""
_LONGEST_NAP_SECONDS: Final = 60.0
"""The wall clock may be set while we wait, so it is looked at again."""
_BUDGET_SECONDS: Final = 30.0
_AT_ONCE: Final = 4
_MOST_WAITING: Final = 1_000
_FEW: Final = 100
"""More than the bars of a minute."""
_FOR_GOOD: Final = (
    CallerError,
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
    SymbolUnknownError,
)


@final
class BarConfirmer:
    """Ask vendors for single bars that are over, no more than four at once."""

    def __init__(self, fetcher: Fetcher, clock: Clock) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._slots = Slots(at_once=_AT_ONCE, waiting=_MOST_WAITING)

    async def confirm(
        self,
        instrument: Instrument,
        interval: Interval,
        hours: TradingHours,
        open_ns: int,
        providers: tuple[str, ...],
    ) -> LiveBar | None:
        """
        Return the vendor's own bar once it is final; None if there is none.

        It waits until a vendor's last word can be expected, and after that at most
        ten minutes. ``providers`` are asked in this order; empty = any, in the usual
        one. Calls that cost money are not made. None also if 1,000 wait already.
        """
        query = BarQuery(
            instrument,
            interval,
            open_ns,
            # No other bar opens within a minute, and vendors may count in seconds.
            open_ns + MINUTE_NS,
            adjustment=Adjustment.SPLIT,
            hours=hours,
            policy=SourcePolicy(
                SourceMode.ORDERED if providers else SourceMode.ANY,
                providers,
                max_cost_usd=0.0,
            ),
            priority=Priority.BATCH,
        )
        with self._slots.place() as free:
            if not free:
                return None
            await self._until(open_ns + interval.length_ns + SETTLING_NS)
            for pause in _PAUSES:
                await self._clock.sleep(pause)
                try:
                    bar = await self._asked(query)
                except DeadlineExceededError:
                    continue
                except _FOR_GOOD:
                    return None
                except IngestionError:
                    continue
                if bar is not None:
                    return bar
        return None

    async def _until(self, time_ns: int) -> None:
        while (left_ns := time_ns - self._clock.now_ns()) > 0:
            await self._clock.sleep(min(left_ns / SECOND_NS, _LONGEST_NAP_SECONDS))

    async def _asked(self, query: BarQuery) -> LiveBar | None:
        async with self._slots.turn():
            result = await self._fetcher.fetch(
                query, budget_seconds=_BUDGET_SECONDS, most_bars=_FEW
            )
        for bar in live_bars(result):
            if bar.open_time_ns == query.start_ns and bar.state is not BarState.PARTIAL:
                return bar
        return None
