"""
From a query to an answer.

What is known is used, vendors are asked in order, each for what is still missing, and
each stretch is signed by who served it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from ingestion_server.domain.errors import (
    DeadlineExceededError,
    IngestionError,
    ProviderError,
    SymbolUnknownError,
)
from ingestion_server.domain.query import BarQuery, SourceMode
from ingestion_server.domain.result import Attempt, BarResult, Outcome
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest.answer import answer, failure
from ingestion_server.ingest.asking import HASTE_SECONDS, Question
from ingestion_server.ingest.candidates import (
    Candidate,
    Vendor,
    candidates,
    unit_namers_first,
)
from ingestion_server.ingest.consensus import agreed, pair
from ingestion_server.ingest.explaining import explained
from ingestion_server.ingest.progress import Progress
from ingestion_server.ingest.ranking import Ranked
from ingestion_server.ingest.recalling import recall_stale
from ingestion_server.ingest.scope import scope
from ingestion_server.ingest.suggesting import Suggester
from ingestion_server.ingest.telling import looked_up, routed
from ingestion_server.ingest.walk import Walker
from ingestion_server.ports.calendars import Calendars
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import Transport
from ingestion_server.ports.routing import RouteCandidate
from ingestion_server.registry.selection import order

_EXPLAINED_SECONDS: Final = 8.0
_MOST_EXPLAINED_BARS: Final = 50_000
"""What is thought through at most when a route is only explained."""
_MOST_HASTE: Final = 0.2
"""Which share of the time calls may end before their caller's is over."""
_CALENDAR_SHARE: Final = 0.5
_CALENDAR_SECONDS: Final = 8.0
_LATE_CALENDAR_SECONDS: Final = 0.05
"""
Part of the caller's time that a calendar may take, the most of it, and how long one
is waited for that was late the last time.
"""


class Expected(NamedTuple):
    """Be whom a query would be asked of, as far as that can be told before."""

    ranked: Sequence[Ranked]
    """Whoever can serve it, the likeliest order."""
    unable: Sequence[ProviderError]
    """Why the others cannot."""
    sessions: Sessions | None
    """Of its exchange; None if nobody knows them."""


class Fetcher:
    """Answer bar queries from vendors."""

    def __init__(
        self,
        vendors: Mapping[str, Vendor],
        walker: Walker,
        *,
        calendars: Calendars,
        transport: Transport | None,
        clock: Clock,
        suggester: Suggester | None = None,
    ) -> None:
        """
        Set up.

        Args:
            vendors: those that may be asked; may change at any time.
            walker: asks them.
            calendars: tell when there should be bars.
            transport: tells, for recordings, when they were made; None = there are
                none.
            clock: tells how much time is left.
            suggester: tells what an unknown symbol may mean; None = nobody does.

        """
        self._vendors = vendors
        self._walker = walker
        self._ranking = walker.ranking
        self._memory = walker.memory
        self._calendars = calendars
        self._transport = transport
        self._clock = clock
        self._suggester = suggester
        # Bounded: there are no more names than there are venues.
        self._late_calendars: set[str] = set()

    @property
    def generation(self) -> int:
        """Return a number that is another once equal questions may be answered so."""
        known = 0 if self._memory is None else self._memory.segments.generation
        # Both only grow, and so does their sum.
        return known + self._ranking.revision

    async def fetch(
        self,
        query: BarQuery,
        *,
        budget_seconds: float,
        most_bars: int,
        fresh: bool = False,
    ) -> BarResult:
        """
        Return the bars of a query and the truth about them.

        With ``fresh``, vendors are asked for what is known already, too.

        Raises:
            IngestionError: There is no answer; the error says why.

        """
        deadline = self._clock.monotonic() + budget_seconds
        try:
            return await self._answered(
                query, budget_seconds=budget_seconds, most_bars=most_bars, fresh=fresh
            )
        except SymbolUnknownError as error:
            if self._suggester is None:
                raise
            raise await self._suggester.completed(
                error,
                query.instrument,
                query.policy,
                query.priority,
                left_seconds=deadline - self._clock.monotonic(),
            ) from None

    async def _answered(
        self, query: BarQuery, *, budget_seconds: float, most_bars: int, fresh: bool
    ) -> BarResult:
        if query.policy.mode is SourceMode.CONSENSUS:
            deadline = self._clock.monotonic() + budget_seconds

            async def fetch(
                each: BarQuery, share: float, attempts: list[Attempt]
            ) -> BarResult:
                return await self._fetch(
                    each,
                    attempts,
                    budget_seconds=max(deadline - self._clock.monotonic(), 0.0) * share,
                    most_bars=most_bars,
                    fresh=fresh,
                )

            names = await self._pair(query, budget_seconds, most_bars)
            return await agreed(query, names, fetch)
        return await self._fetch(
            query, [], budget_seconds=budget_seconds, most_bars=most_bars, fresh=fresh
        )

    async def _pair(
        self, query: BarQuery, budget_seconds: float, most_bars: int
    ) -> tuple[str, str]:
        """Return the two vendors that are compared."""
        names = self._names(query)
        sessions = await self._sessions(query, budget_seconds)
        now_ns = self._clock.now_ns()
        progress = Progress(
            query, scope(query, sessions, now_ns=now_ns, most_bars=most_bars)
        )
        return pair(self._candidates(names, progress, now_ns))

    async def _fetch(
        self,
        query: BarQuery,
        attempts: list[Attempt],
        *,
        budget_seconds: float,
        most_bars: int,
        fresh: bool,
    ) -> BarResult:
        names = self._names(query)
        deadline = self._clock.monotonic() + budget_seconds
        sessions = await self._sessions(query, budget_seconds)
        now_ns = self._clock.now_ns()
        progress = Progress(
            query,
            scope(query, sessions, now_ns=now_ns, most_bars=most_bars),
            attempts=attempts,
        )
        if progress.scope.surely_empty:
            return answer(progress, now_ns=now_ns)
        able = await self._able(names, progress, now_ns, fresh=fresh)
        if progress.gaps() or progress.may_begin_later():
            left = deadline - self._clock.monotonic()
            hasty = deadline - min(HASTE_SECONDS, left * _MOST_HASTE)
            try:
                async with asyncio.timeout(left):
                    await self._gather(able, progress, sessions, hasty, fresh=fresh)
                    if progress.may_begin_later():
                        # The first bars were asked for, and there are none so early.
                        whole = scope(
                            msgspec.structs.replace(query, limit=0),
                            sessions,
                            now_ns=now_ns,
                            most_bars=most_bars,
                        )
                        progress = progress.anew(replace(whole, first=query.limit))
                        able = await self._able(names, progress, now_ns, fresh=fresh)
                        await self._gather(able, progress, sessions, hasty, fresh=fresh)
            except (TimeoutError, DeadlineExceededError) as error:
                self._late(able, progress, error)
            else:
                recall_stale(self._memory, able, progress)
        self._count(progress, fresh=fresh)
        no_answer = failure(progress)
        if no_answer is not None:
            raise _charged(no_answer, progress)
        return answer(progress, now_ns=self._clock.now_ns())

    def _late(
        self, able: Sequence[Candidate], progress: Progress, error: Exception
    ) -> None:
        """
        Make do with what there is when the time is over.

        Raises:
            DeadlineExceededError: That is nothing, or not enough for the caller.

        """
        tried = progress.summary()
        for name in tuple(progress.pending):
            reason = "DEADLINE_EXCEEDED: no time was left for an answer"
            progress.given_up(name, Outcome.FAILED, reason)
        recall_stale(self._memory, able, progress)
        if not (progress.collected.pieces and progress.query.policy.allow_partial):
            late = DeadlineExceededError(
                "the deadline passed while asking: " + tried, attempts=tried
            )
            raise _charged(late, progress) from error

    def _count(self, progress: Progress, *, fresh: bool) -> None:
        """Count what the memory was worth."""
        if self._memory is None or fresh:
            return
        counts = self._memory.counts
        pieces = progress.collected.pieces
        known = bool(progress.recalled) or any(piece.from_cache for piece in pieces)
        if not progress.tallies:
            counts.hits += known
        elif known:
            counts.partial_hits += 1
        else:
            counts.misses += 1

    async def _gather(
        self,
        able: Sequence[Candidate],
        progress: Progress,
        sessions: Sessions | None,
        deadline: float,
        *,
        fresh: bool,
    ) -> None:
        if not progress.gaps():
            return
        question = Question(
            progress.query, progress.scope, progress.whole(), sessions, fresh
        )
        await routed(self._walker, able, progress, question, deadline)

    async def explain(
        self, query: BarQuery, *, most_bars: int = _MOST_EXPLAINED_BARS
    ) -> list[RouteCandidate]:
        """
        Return whom a query would be asked of, the likeliest order, and who is left out.

        No vendor is asked, and the next route is not changed by it.

        Raises:
            IngestionError: The query cannot be served; the error says why.

        """
        names = self._names(query)
        sessions = await self._sessions(query, _EXPLAINED_SECONDS)
        now_ns = self._clock.now_ns()
        progress = Progress(
            query, scope(query, sessions, now_ns=now_ns, most_bars=most_bars)
        )
        found = self._candidates(names, progress, now_ns)
        return explained(found, progress, self._ranking, self._vendors, self._clock)

    async def expected(self, query: BarQuery) -> Expected:
        """
        Return whom a query of any length would be asked of, however they do now.

        No vendor is asked, and the next route is not changed by it.

        Raises:
            InvalidQueryError: The query cannot be served, whoever is asked.

        """
        names = self._names(query)
        sessions = await self._sessions(query, _EXPLAINED_SECONDS)
        now_ns = self._clock.now_ns()
        progress = Progress(
            query, scope(query, sessions, now_ns=now_ns, most_bars=sys.maxsize)
        )
        able: list[Candidate] = []
        unable: list[ProviderError] = []
        for found in self._candidates(names, progress, now_ns):
            if isinstance(found, ProviderError):
                unable.append(found)
            else:
                able.append(found)
        return Expected(self._ranking.expected(able, progress), unable, sessions)

    def _names(self, query: BarQuery) -> Sequence[str]:
        """Return the vendors that may be asked, by priority alone."""
        names = order(query.policy, self._ranking.listing)
        free = {SourceMode.ANY, SourceMode.CONSENSUS}
        if query.policy.mode in free and not query.policy.providers:
            return unit_namers_first(names, self._vendors, query.instrument)
        return names

    async def _sessions(
        self, query: BarQuery, budget_seconds: float
    ) -> Sessions | None:
        """Return the sessions, or None if they take too long; then without them."""
        venue = query.instrument.venue
        if venue is None:
            return None
        patience = min(budget_seconds * _CALENDAR_SHARE, _CALENDAR_SECONDS)
        if venue.calendar in self._late_calendars:
            patience = min(patience, _LATE_CALENDAR_SECONDS)
        try:
            async with asyncio.timeout(patience):
                sessions = await self._calendars.sessions(venue.calendar)
        except TimeoutError:
            self._late_calendars.add(venue.calendar)
            return None
        self._late_calendars.discard(venue.calendar)
        return sessions

    async def _able(
        self, names: Sequence[str], progress: Progress, now_ns: int, *, fresh: bool
    ) -> list[Candidate]:
        """Return who can be asked, having taken what is known already."""
        able = []
        for found in self._candidates(names, progress, now_ns):
            if isinstance(found, ProviderError):
                progress.skipped(found)
            else:
                able.append(found)
        if self._memory is not None and not fresh:
            # Where somebody has chosen who comes first, the others' bars are not
            # taken before it was asked.
            free = progress.query.policy.mode is SourceMode.ANY and not any(
                self._ranking.listing.hard(each.name) for each in able
            )
            first = able if free else able[:1]
            await looked_up(self._memory, able, first, progress, now_ns)
        return able

    def _candidates(
        self, names: Sequence[str], progress: Progress, now_ns: int
    ) -> list[Candidate | ProviderError]:
        return candidates(
            names,
            self._vendors,
            progress.query,
            progress.scope,
            transport=self._transport,
            now_ns=now_ns,
        )


def _charged(error: IngestionError, progress: Progress) -> IngestionError:
    """Return an error that tells what it took to find out."""
    error.tried = tuple(progress.attempts)
    return error
