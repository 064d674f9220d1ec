"""Corporate actions that are known already, so that a free key is not spent twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import final

import msgspec

from ingestion_server.cache.bounded import BoundedCache
from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import DAY_NS
from ingestion_server.ports.clock import Clock


class ActionsKey(msgspec.Struct, frozen=True):
    """Name the actions of one instrument by one vendor's word."""

    provider: str
    instrument: Instrument
    with_dividends: bool
    day: int
    """Days since 1970 UTC: an action of today may not have been known yesterday."""


ActionsCache = BoundedCache[ActionsKey, CorporateActions]


@final
class ActionsShelf:
    """Keep the actions by one vendor's word."""

    def __init__(
        self, provider: str, cache: ActionsCache, clock: Clock, *, keep_seconds: float
    ) -> None:
        self._provider = provider
        self._cache = cache
        self._clock = clock
        self._keep_seconds = keep_seconds

    async def __call__(
        self,
        instrument: Instrument,
        adjustments: frozenset[Adjustment],
        load: Callable[[], Awaitable[CorporateActions]],
    ) -> CorporateActions:
        """Return what is known, loading it once for all who ask."""
        key = ActionsKey(
            self._provider,
            instrument,
            Adjustment.SPLIT_DIVIDEND in adjustments,
            self._clock.now_ns() // DAY_NS,
        )
        return await self._cache.get_or_load(key, load, ttl_seconds=self._keep_seconds)
