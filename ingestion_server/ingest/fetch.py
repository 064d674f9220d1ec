"""
From a query to an answer.

Vendors are asked in order; each later one only for what is still missing, and each
stretch is signed by who served it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Final

import msgspec

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    DeadlineExceededError,
    IngestionError,
    NoDataUnexplainedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.domain.query import BarQuery, Priority, SourceMode, Span
from ingestion_server.domain.result import Attempt, BarResult, Outcome
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest import pricing
from ingestion_server.ingest.answer import answer, failure
from ingestion_server.ingest.calling import Allowance
from ingestion_server.ingest.candidates import (
    Candidate,
    Vendor,
    candidates,
    kind_of,
    unit_namers_first,
)
from ingestion_server.ingest.explaining import explained
from ingestion_server.ingest.making import Task
from ingestion_server.ingest.progress import Progress, reason_of
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ingest.scope import scope
from ingestion_server.ingest.vendor import VendorDesk
from ingestion_server.ports.calendars import Calendars
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import Transport
from ingestion_server.ports.quota import Lane
from ingestion_server.ports.routing import RouteCandidate
from ingestion_server.registry.selection import order

_SHORT_WAIT_SECONDS: Final = 0.25
"""Quota is not waited for longer while another vendor is free."""
_SHARED_WORK_SECONDS: Final = 30.0
_EXPLAINED_SECONDS: Final = 8.0
_MOST_EXPLAINED_BARS: Final = 50_000
"""What is thought through at most when a route is only explained."""
_HASTE_SECONDS: Final = 0.05
_MOST_HASTE: Final = 0.2
"""
How long before their caller calls end, and which share of the time that may be: only
an error that comes from the call itself says whose fault it was.
"""
_LANES: Final = {
    Priority.INTERACTIVE: Lane.INTERACTIVE,
    Priority.BATCH: Lane.BATCH,
}
_CALENDAR_SHARE: Final = 0.5
_CALENDAR_SECONDS: Final = 8.0
_LATE_CALENDAR_SECONDS: Final = 0.05
"""
Part of the caller's time that a calendar may take, the most of it, and how long one
is waited for that was late the last time.
"""


class Fetcher:
    """Answer bar queries from vendors."""

    def __init__(
        self,
        vendors: Mapping[str, Vendor],
        ranking: Ranking,
        *,
        calendars: Calendars,
        transport: Transport,
        clock: Clock,
    ) -> None:
        self._vendors = vendors
        self._ranking = ranking
        self._calendars = calendars
        self._transport = transport
        self._clock = clock
        # Bounded: there are no more names than there are venues.
        self._late_calendars: set[str] = set()

    async def fetch(
        self, query: BarQuery, *, budget_seconds: float, most_bars: int
    ) -> BarResult:
        """
        Return the bars of a query and the truth about them.

        Raises:
            IngestionError: There is no answer; the error says why.

        """
        names = self._names(query)
        deadline = self._clock.monotonic() + budget_seconds
        sessions = await self._sessions(query, budget_seconds)
        now_ns = self._clock.now_ns()
        progress = Progress(
            query, scope(query, sessions, now_ns=now_ns, most_bars=most_bars)
        )
        if progress.scope.surely_empty:
            return answer(progress)
        left = deadline - self._clock.monotonic()
        hasty = deadline - min(_HASTE_SECONDS, left * _MOST_HASTE)
        try:
            async with asyncio.timeout(left):
                able = self._able(names, progress, now_ns)
                await self._gather(able, progress, sessions, hasty)
                self._ranking.learn(progress)
                if progress.may_begin_later():
                    # The first bars were asked for, and there are none so early.
                    whole = scope(
                        msgspec.structs.replace(query, limit=0),
                        sessions,
                        now_ns=now_ns,
                        most_bars=most_bars,
                    )
                    progress = progress.anew(replace(whole, first=query.limit))
                    able = self._able(names, progress, now_ns)
                    await self._gather(able, progress, sessions, hasty)
                    self._ranking.learn(progress)
        except (TimeoutError, DeadlineExceededError) as error:
            if not (progress.collected.pieces and query.policy.allow_partial):
                raise DeadlineExceededError(
                    "the deadline passed while asking: " + progress.summary(),
                    attempts=progress.summary(),
                ) from error
            if progress.pending:
                progress.given_up("DEADLINE_EXCEEDED: no time was left for an answer")
        no_answer = failure(progress)
        if no_answer is not None:
            raise no_answer
        return answer(progress)

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

    def _names(self, query: BarQuery) -> Sequence[str]:
        """Return the vendors that may be asked, by priority alone."""
        if query.policy.mode is SourceMode.CONSENSUS:
            raise CapabilityMissingError(
                "MODE_CONSENSUS is not served; use MODE_ANY, MODE_ORDERED or "
                "MODE_PINNED",
                provider="",
            )
        names = order(query.policy, self._ranking.listing)
        if query.policy.mode is SourceMode.ANY:
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

    def _able(
        self, names: Sequence[str], progress: Progress, now_ns: int
    ) -> list[Candidate]:
        able = []
        for found in self._candidates(names, progress, now_ns):
            if isinstance(found, ProviderError):
                progress.skipped(found)
            else:
                able.append(found)
        return self._ranking.ordered(able, progress)

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

    def _price_usd(
        self, candidate: Candidate, progress: Progress, gaps: Sequence[Span]
    ) -> Decimal:
        task = Task(progress.query, candidate.recipe, gaps, None, candidate.now_ns)
        return pricing.price_usd(candidate, task, self._clock.monotonic())

    async def _gather(
        self,
        able: Sequence[Candidate],
        progress: Progress,
        sessions: Sessions | None,
        deadline: float,
    ) -> None:
        """Ask in order; who had no quota at once is asked again if nobody else had."""
        postponed: list[tuple[Candidate, QuotaExhaustedError]] = []
        for index, candidate in enumerate(able):
            gaps = progress.gaps()
            if not gaps:
                return
            unmixable = progress.unmixable()
            if unmixable:
                progress.skipped(
                    CapabilityMissingError(unmixable, provider=candidate.name)
                )
                continue
            left_usd = pricing.left_usd(progress)
            if left_usd is not None:
                price = self._price_usd(candidate, progress, gaps)
                if price > max(left_usd, Decimal(0)):
                    progress.skipped(pricing.too_dear(candidate, price, left_usd))
                    continue
            others = index + 1 < len(able)
            allowance = self._allowance(progress.query, deadline, len(able) - index)
            error = await self._attempt(candidate, progress, gaps, sessions, allowance)
            if others and isinstance(error, QuotaExhaustedError):
                postponed.append((candidate, error))
        for candidate, error in postponed:
            gaps = progress.gaps()
            left = deadline - self._clock.monotonic()
            if not gaps:
                return
            if error.retry_after_seconds is None or error.retry_after_seconds >= left:
                continue
            progress.errors.remove(error)
            allowance = self._allowance(progress.query, deadline, 1)
            await self._attempt(candidate, progress, gaps, sessions, allowance)

    def _allowance(
        self, query: BarQuery, deadline: float, vendors_left: int
    ) -> Allowance:
        """Return an equal share of the time: who hangs must not take it all."""
        now = self._clock.monotonic()
        left = deadline - now
        last = vendors_left == 1
        return Allowance(
            deadline if last else now + left / vendors_left,
            left if last else min(_SHORT_WAIT_SECONDS, left),
            last_resort=last,
            kind=kind_of(query.instrument),
            lane=_LANES[query.priority],
        )

    def _shared(self, allowance: Allowance) -> Allowance:
        """Return an allowance for work that outlives the caller."""
        return replace(
            allowance, deadline=self._clock.monotonic() + _SHARED_WORK_SECONDS
        )

    async def _attempt(
        self,
        candidate: Candidate,
        progress: Progress,
        gaps: Sequence[Span],
        sessions: Sessions | None,
        allowance: Allowance,
    ) -> ProviderError | None:
        """Ask one vendor for the gaps, note how it went, and return its error."""
        vendor = candidate.vendor
        allowance = replace(
            allowance,
            most_cost_usd=pricing.left_usd(progress),
            tally=progress.begun(candidate.name),
        )
        desk = VendorDesk(
            vendor.provider,
            partial(vendor.exchange, allowance=allowance),
            partial(vendor.exchange, allowance=self._shared(allowance)),
            vendor.actions_of,
            vendor.refusals,
            self._clock.monotonic,
        )
        task = Task(progress.query, candidate.recipe, gaps, sessions, candidate.now_ns)
        started = self._clock.monotonic()
        new = 0
        error: IngestionError | None
        try:
            # A little later than the calls themselves end; what others wait for as
            # well, such as corporate actions, goes on without us.
            async with asyncio.timeout(allowance.deadline - started + _HASTE_SECONDS):
                piece, error = await desk.bars(task)
        except ProviderError as raised:
            piece, error = None, raised
        except (TimeoutError, DeadlineExceededError) as raised:
            if allowance.last_resort:
                raise
            piece, error = None, _too_slow(candidate.name, raised)
        if isinstance(error, DeadlineExceededError) and not allowance.last_resort:
            error = _too_slow(candidate.name, error)
        progress.heard(candidate.name, gaps, piece, error)
        if piece is not None:
            piece = progress.fitted(piece)
            unlike = progress.unlike(piece)
            if unlike:
                error = CapabilityMissingError(unlike, provider=candidate.name)
            else:
                new = progress.collected.add(piece)
        progress.pending = ""
        if error is None and not new:
            error = NoDataUnexplainedError(
                f"{candidate.name} gave no bars and did not say why",
                provider=candidate.name,
            )
        if isinstance(error, ProviderError):
            progress.errors.append(error)
        progress.attempts.append(
            Attempt(
                candidate.name,
                _outcome(new, error, allowance),
                reason_of(error) if error else _lacking(progress),
                latency_seconds=self._clock.monotonic() - started,
                cost_usd=allowance.tally.cost_usd,
                calls=allowance.tally.calls,
            )
        )
        if isinstance(error, ProviderError | None):
            return error
        raise error


def _outcome(new: int, error: IngestionError | None, allowance: Allowance) -> Outcome:
    if new:
        return Outcome.SERVED
    if isinstance(error, NoDataUnexplainedError | CapabilityMissingError):
        return Outcome.NO_DATA
    return Outcome.FAILED if allowance.tally.calls else Outcome.SKIPPED


def _too_slow(name: str, cause: Exception) -> ProviderError:
    error = ProviderUnavailableError(
        f"{name} did not answer in its share of the time", provider=name
    )
    error.__cause__ = cause
    return error


def _lacking(progress: Progress) -> str:
    lacking = progress.lacking()
    return f"PARTIAL: {lacking} bars are still missing" if lacking else ""
