"""Which symbols somebody may have meant whose symbol no vendor knows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple, final

import msgspec

from ingestion_server.cache.bounded import BoundedCache
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    DeadlineExceededError,
    EntitlementMissingError,
    IngestionError,
    MalformedPayloadError,
    ProviderUnavailableError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import DAY_NS, SECOND_NS
from ingestion_server.domain.query import Priority, SourcePolicy
from ingestion_server.ingest.calling import Allowance
from ingestion_server.ingest.candidates import SEARCH, Vendor
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.live import QuoteAnswer, QuotesQuery
from ingestion_server.ports.quota import Lane
from ingestion_server.ports.searching import Suggestion, SymbolSearch
from ingestion_server.registry.selection import order

_log: Final = logging.getLogger(__name__)
MOST_KEPT: Final = 10_000
"""Searches remembered; some hundred bytes each."""
_KEPT_SECONDS: Final = DAY_NS / SECOND_NS
_LONGEST_WAIT_SECONDS: Final = 1.0
_WAIT_SHARE: Final = 0.5
"""Of the caller's time that is left; the rest brings the error home."""
_SHORTEST_WAIT_SECONDS: Final = 0.1
"""In less, no search comes back, and its quota would be wasted."""
_SEARCH_SECONDS: Final = 3.0
"""
How long a search itself may take.

Longer than anybody waits: a late answer serves the next who asks, and silence for so
long tells the breaker of a vendor that hangs.
"""
_REST_SECONDS: Final = 30.0
_REFUSED_SECONDS: Final = DAY_NS / SECOND_NS
"""How long a vendor is not searched that failed, or that refuses it."""
_KEPT_FOR_OTHERS: Final = 0.5
"""With less than this share of its quota left, a vendor is not searched."""
_MOST_AT_ONCE: Final = 4
_MOST_UNDER_WAY: Final = 64
"""Searches at the vendors, and with those that wait for their turn there."""
_MOST_SYMBOLS: Final = 20
"""Of one question, so many are searched for: a list of rubbish is no typing error."""
_MOST_TOLD: Final = 5
_MOST_NAMED: Final = 3
"""More would be no sentence."""
_AILING: Final = (
    CapabilityMissingError,
    DeadlineExceededError,
    MalformedPayloadError,
    ProviderUnavailableError,
)
_REFUSING: Final = (CredentialsRefusedError, EntitlementMissingError)


class SearchKey(msgspec.Struct, frozen=True):
    """Name one search of one vendor."""

    provider: str
    instrument: Instrument


SearchCache = BoundedCache[SearchKey, tuple[Suggestion, ...]]


class _Searcher(NamedTuple):
    """Hold a vendor, and what it is asked."""

    vendor: Vendor
    search: SymbolSearch
    request: HttpRequest


@final
class Suggester:
    """
    Add to the error of an unknown symbol what may have been meant.

    It is a courtesy: only somebody who waits is told, only of what is there soon, and
    only from quota that nobody else needs. Whatever goes wrong, the error stays.
    """

    def __init__(
        self,
        vendors: Mapping[str, Vendor],
        ranking: Ranking,
        cache: SearchCache,
        clock: Clock,
    ) -> None:
        """
        Set up.

        Args:
            vendors: those that may be asked; may change at any time.
            ranking: knows which vendors there are, by priority.
            cache: remembers searches, and makes one for all who ask the same.
            clock: tells the time.

        """
        self._vendors = vendors
        self._ranking = ranking
        self._cache = cache
        self._clock = clock
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)
        self._under_way = 0
        self._rests_until_seconds: dict[str, float] = {}

    async def completed(
        self,
        error: SymbolUnknownError,
        instrument: Instrument,
        policy: SourcePolicy,
        priority: Priority,
        *,
        left_seconds: float,
    ) -> SymbolUnknownError:
        """
        Return the error, with what may have been meant if that is known in time.

        ``left_seconds`` is what the caller has left; never more than half of it, nor
        more than a second, goes by.
        """
        if priority is not Priority.INTERACTIVE:
            return error
        found = await self._suggestions(instrument, policy, left_seconds)
        return _completed(error, found) if found else error

    async def completed_quotes(
        self,
        query: QuotesQuery,
        answers: Sequence[QuoteAnswer],
        *,
        left_seconds: float,
    ) -> list[QuoteAnswer]:
        """Return the answers of a query, their errors completed in the same way."""
        completed = list(answers)

        async def complete(
            index: int, error: SymbolUnknownError, instrument: Instrument
        ) -> None:
            """Put the completed error into its place."""
            told = await self.completed(
                error,
                instrument,
                query.policy,
                query.priority,
                left_seconds=left_seconds,
            )
            completed[index] = msgspec.structs.replace(answers[index], snapshot=told)

        unknown = [
            (index, answer.snapshot, asked.instrument)
            for index, (asked, answer) in enumerate(
                zip(query.asked, answers, strict=True)
            )
            if isinstance(answer.snapshot, SymbolUnknownError)
            and isinstance(asked.instrument, Instrument)
        ]
        async with asyncio.TaskGroup() as group:
            for each in unknown[:_MOST_SYMBOLS]:
                group.create_task(complete(*each))
        return completed

    async def _suggestions(
        self, instrument: Instrument, policy: SourcePolicy, left_seconds: float
    ) -> Sequence[Suggestion]:
        """Return what is known, or is there in time; whatever fails, nothing."""
        patience = min(left_seconds * _WAIT_SHARE, _LONGEST_WAIT_SECONDS)
        searcher = self._searcher(instrument, policy)
        if searcher is None or patience < _SHORTEST_WAIT_SECONDS:
            return ()
        key = SearchKey(searcher.vendor.provider.name, instrument)
        load = partial(self._loaded, searcher, instrument)
        try:
            async with asyncio.timeout(patience):
                return await self._cache.get_or_load(
                    key, load, ttl_seconds=_KEPT_SECONDS
                )
        except (TimeoutError, IngestionError):
            # Whoever listens to calls has heard of it.
            return ()
        except Exception:  # noqa: BLE001 - logged; the error that it was for stays
            _log.exception("symbols like %s could not be found", instrument.symbol)
            return ()

    def _searcher(
        self, instrument: Instrument, policy: SourcePolicy
    ) -> _Searcher | None:
        """Return the first vendor that may be asked and can search, if there is one."""
        for name in order(policy, self._ranking.listing):
            vendor = self._vendors.get(name)
            if vendor is None or vendor.no_key:
                continue
            search = vendor.provider.symbol_search
            request = search.search_request(instrument) if search else None
            if search is not None and request is not None:
                return _Searcher(vendor, search, request)
        return None

    async def _loaded(
        self, searcher: _Searcher, instrument: Instrument
    ) -> tuple[Suggestion, ...]:
        """
        Search, if the vendor can spare it.

        Raises:
            IngestionError: It cannot, or the search failed.

        """
        name = searcher.vendor.provider.name
        if self._under_way >= _MOST_UNDER_WAY:
            raise CapabilityMissingError("too many searches at once", provider=name)
        self._under_way += 1
        try:
            async with self._places:
                return await self._searched(searcher, instrument)
        finally:
            self._under_way -= 1

    async def _searched(
        self, searcher: _Searcher, instrument: Instrument
    ) -> tuple[Suggestion, ...]:
        vendor, now = searcher.vendor, self._clock.monotonic()
        name = vendor.provider.name
        if now < self._rests_until_seconds.get(name, now):
            raise CapabilityMissingError("its search rests", provider=name)
        if vendor.quota.headroom() < _KEPT_FOR_OTHERS:
            raise CapabilityMissingError("its quota is kept for others", provider=name)

        def read(response: HttpResponse) -> Sequence[Suggestion]:
            return searcher.search.read_search(response, instrument)

        allowance = Allowance(
            now + _SEARCH_SECONDS,
            0.0,
            SEARCH,
            last_resort=False,
            lane=Lane.BATCH,
            most_cost_usd=Decimal(0),
        )
        try:
            found = await vendor.exchange(searcher.request, read, allowance=allowance)
        except _REFUSING:
            self._rests_until_seconds[name] = now + _REFUSED_SECONDS
            raise
        except _AILING:
            self._rests_until_seconds[name] = self._clock.monotonic() + _REST_SECONDS
            raise
        return ranked(found, instrument.symbol)


def ranked(found: Sequence[Suggestion], symbol: str) -> tuple[Suggestion, ...]:
    """
    Return those worth telling, the likeliest first.

    Symbols that begin with what was typed come first, else the vendor's order stays.
    What was typed is none: somebody asked for that, and nobody knew it.
    """
    others: dict[str, Suggestion] = {}
    for each in found:
        if each.symbol != symbol:
            others.setdefault(each.symbol, each)
    likeliest = sorted(
        others.values(), key=lambda each: not each.symbol.startswith(symbol)
    )
    return tuple(likeliest[:_MOST_TOLD])


def _completed(
    error: SymbolUnknownError, found: Sequence[Suggestion]
) -> SymbolUnknownError:
    named = [
        f"{each.symbol} ({each.name})" if each.name else each.symbol
        for each in found[:_MOST_NAMED]
    ]
    listed = " or ".join(filter(None, (", ".join(named[:-1]), named[-1])))
    return SymbolUnknownError(
        f"{error.message}; did you mean {listed}?",
        provider=error.provider,
        symbol=error.symbol,
        suggestions=[each.symbol for each in found],
    )
