"""One vendor asked: on behalf of all who want the same, and with what is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, final

import msgspec
from msgspec.structs import replace

from ingestion_server.cache.series import SeriesKey
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.errors import (
    DeadlineExceededError,
    IngestionError,
    ProviderError,
    ProviderUnavailableError,
    SymbolUnknownError,
)
from ingestion_server.domain.query import BarQuery, Span
from ingestion_server.domain.sessions import Sessions
from ingestion_server.domain.spans import hull, joined, subtracted
from ingestion_server.ingest.asked import Asked, Landed, by_limit
from ingestion_server.ingest.calling import Allowance
from ingestion_server.ingest.candidates import Candidate
from ingestion_server.ingest.coaches import Coaches, Passenger, Told
from ingestion_server.ingest.collected import Piece
from ingestion_server.ingest.flights import Flights
from ingestion_server.ingest.making import Task
from ingestion_server.ingest.memory import Memory, Recalled, series_key
from ingestion_server.ingest.scope import Scope
from ingestion_server.ingest.vendor import Share, VendorDesk, ask_of, requests_of
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.policy import CallTally
from ingestion_server.ports.provider import BarAsk
from ingestion_server.ports.quota import Lane

HASTE_SECONDS: Final = 0.05
"""How much later than its calls an attempt ends; whose fault it was, calls say best."""
_SHARED_WORK_SECONDS: Final = 30.0


class Question(msgspec.Struct, frozen=True, eq=False):
    """Hold what is the same for all vendors that are asked for one answer."""

    query: BarQuery
    scope: Scope
    whole: Span
    """From the first bar that can be had."""
    sessions: Sessions | None
    fresh: bool = False
    """Whether nothing that is known, or under way, is to be used."""


@final
class Asker:
    """Ask vendors, once for all who want the same at the same time."""

    def __init__(
        self,
        clock: Clock,
        flights: Flights[Landed],
        coaches: Coaches | None,
        memory: Memory | None,
    ) -> None:
        """
        Set up.

        Without ``coaches`` questions share no calls, and without ``memory`` nothing is
        known from before.
        """
        self._clock = clock
        self._coaches = coaches
        self._flights = flights
        self._memory = memory

    def boarding(
        self,
        candidate: Candidate,
        question: Question,
        gaps: Sequence[Span],
        allowance: Allowance,
    ) -> CallTally | None:
        """Return the calls of another that would be waited for; None = of nobody."""
        key = _key(candidate, question, allowance)
        overdue = partial(self._overdue, allowance.patience_seconds)
        return self._flights.boarding(key, gaps, overdue=overdue)

    async def ask(
        self,
        candidate: Candidate,
        question: Question,
        gaps: Sequence[Span],
        allowance: Allowance,
        *,
        hedge: bool = False,
    ) -> Asked:
        """Ask one vendor for the gaps, and return how it went."""
        started = self._clock.monotonic()
        begin = partial(self._flown, candidate, question, allowance)
        landings: list[Landed] = []
        shared = False
        error: IngestionError | None = None
        try:
            # A little later than the calls themselves end; what others wait for as
            # well goes on without us.
            async with asyncio.timeout(allowance.deadline - started + HASTE_SECONDS):
                if question.fresh:
                    landings.append(await begin(gaps))
                else:
                    key = _key(candidate, question, allowance)
                    arrivals = await self._flights.brought(
                        key,
                        gaps,
                        begin,
                        tally=allowance.tally,
                        overdue=partial(self._overdue, allowance.patience_seconds),
                    )
                    landings.extend(each.cargo for each in arrivals)
                    shared = any(not each.mine for each in arrivals)
        except TimeoutError:
            error = DeadlineExceededError(
                f"the deadline passed while {candidate.name} was asked",
                attempts=candidate.name,
            )
        else:
            error = landings[-1].error
        if isinstance(error, DeadlineExceededError) and not allowance.last_resort:
            error = _too_slow(candidate.name, error)
        if shared and self._memory is not None:
            self._memory.counts.shared += 1
        return Asked(
            candidate.name,
            gaps,
            landings,
            allowance.tally,
            self._clock.monotonic() - started,
            error,
            shared,
            hedge,
        )

    def _overdue(self, patience_seconds: Callable[[], float], tally: CallTally) -> bool:
        """
        Tell whether a call has been silent for so long.

        Whoever boarded it would be caught with all who did before.
        """
        calls = tally.aboard or tally
        if not calls.under_way or calls.left_at_seconds is None:
            return False
        return self._clock.monotonic() - calls.left_at_seconds > patience_seconds()

    async def _flown(
        self,
        candidate: Candidate,
        question: Question,
        allowance: Allowance,
        spans: Sequence[Span],
    ) -> Landed:
        """Bring the spans, for all who wait for them."""
        memory = None if question.fresh else self._memory
        desk = self._desk(candidate, allowance)
        if memory is None:
            return await _called(desk, _task(candidate, question, spans))
        query, name = question.query, candidate.name
        known = memory.recalled(name, query, hull(spans), candidate.now_ns)
        asked = self._widened(candidate, question, spans, known)
        landed = await _called(desk, _task(candidate, question, asked))
        if isinstance(landed.error, SymbolUnknownError):
            memory.refuse(name, query, landed.error)
        if landed.live is None:
            return landed
        kept = memory.keep(
            query, question.scope, asked, landed.live, whole=not landed.failed
        )
        if kept.rebased and known is not None and not landed.failed:
            # All that was known has other prices by now.
            rest = subtracted([question.whole, *spans], asked)
            if rest:
                everything = joined([question.whole, *spans])
                landed = await _called(desk, _task(candidate, question, everything))
                if landed.live is not None:
                    memory.keep(
                        query,
                        question.scope,
                        everything,
                        landed.live,
                        whole=not landed.failed,
                    )
            return replace(landed, changed=True)
        if known is None:
            return landed
        changed = bool(kept.revised or kept.rebased)
        landed = replace(landed, changed=changed)
        return self._with_known(landed, candidate, question, spans, known)

    def _with_known(
        self,
        landed: Landed,
        candidate: Candidate,
        question: Question,
        spans: Sequence[Span],
        before: Recalled,
    ) -> Landed:
        """Add what turned out to be good still, and mark what was corrected."""
        if self._memory is None or landed.live is None:
            return landed
        now = self._memory.recalled(
            candidate.name,
            question.query,
            hull([*spans, *landed.spans]),
            candidate.now_ns,
        )
        if now is None:
            return landed
        piece: Piece | None = None
        if not before.verified and now.verified and not landed.failed:
            piece = now.piece.within(subtracted(spans, landed.spans))
        states, times = now.piece.states, now.piece.series.open_time_ns
        revised = times[:0] if states is None else times[states == BarState.REVISED]
        live = replace(landed.live, revised_ns=revised)
        return replace(landed, live=live, recalled=piece)

    def _widened(
        self,
        candidate: Candidate,
        question: Question,
        spans: Sequence[Span],
        known: Recalled | None,
    ) -> Sequence[Span]:
        """Return what to ask for, so that what is known is seen to be good still."""
        if known is None or known.sample is None:
            return spans
        sample = known.sample
        if not known.verified:
            asked = joined([*subtracted(spans, known.covered), sample])
            if known.anchor is None:
                return asked
            # What is told late changes the first bar, and perhaps none of the last.
            more = joined([*asked, known.anchor])
            return self._if_free(candidate, question, more, asked)
        if sample.start_ns >= spans[0].start_ns:
            return spans
        wider = [Span(sample.start_ns, spans[0].end_ns), *spans[1:]]
        return self._if_free(candidate, question, wider, spans)

    def _if_free(
        self,
        candidate: Candidate,
        question: Question,
        more: Sequence[Span],
        spans: Sequence[Span],
    ) -> Sequence[Span]:
        """Return what is more than the spans if it takes no further call."""
        calls = self._calls(candidate, question, spans)
        return more if self._calls(candidate, question, more) <= calls else spans

    def _calls(
        self, candidate: Candidate, question: Question, spans: Sequence[Span]
    ) -> float:
        task = _task(candidate, question, spans)
        ask = ask_of(task, candidate.vendor.refusals.at(self._clock.monotonic()))
        try:
            return len(requests_of(candidate.vendor.provider, task, ask))
        except ProviderError:
            # It will be said when the vendor is asked.
            return float("inf")

    def _desk(self, candidate: Candidate, allowance: Allowance) -> VendorDesk:
        vendor = candidate.vendor
        # What others wait for as well outlives the caller.
        shared = replace(
            allowance, deadline=self._clock.monotonic() + _SHARED_WORK_SECONDS
        )
        return VendorDesk(
            vendor.provider,
            partial(vendor.exchange, allowance=allowance),
            partial(vendor.exchange, allowance=shared),
            vendor.actions_of,
            vendor.refusals,
            self._clock.monotonic,
            self._sharing(candidate, allowance),
        )

    def _sharing(self, candidate: Candidate, allowance: Allowance) -> Share | None:
        """Return what asks together with others; None if that is not to be."""
        coaches, vendor = self._coaches, candidate.vendor
        batching = vendor.provider.batching
        if coaches is None or batching is None or allowance.lane is not Lane.BATCH:
            return None

        async def share(
            request: HttpRequest, ask: BarAsk, read: Callable[[HttpResponse], Told]
        ) -> Told:
            passenger = Passenger(ask, request, read, allowance)
            return await coaches.told(vendor.exchange, batching, passenger)

        return share


def _key(
    candidate: Candidate, question: Question, allowance: Allowance
) -> tuple[SeriesKey, Lane]:
    return series_key(candidate.name, question.query), allowance.lane


def _task(candidate: Candidate, question: Question, spans: Sequence[Span]) -> Task:
    return Task(
        question.query, candidate.recipe, spans, question.sessions, candidate.now_ns
    )


async def _called(desk: VendorDesk, task: Task) -> Landed:
    """Make the calls; what they raise is what they brought."""
    try:
        piece, error = await desk.bars(task)
    except (ProviderError, DeadlineExceededError) as raised:
        piece, error = None, raised
    return Landed(
        task.gaps,
        piece,
        error=error,
        by_limit=error is not None and by_limit(error),
    )


def _too_slow(name: str, cause: Exception) -> ProviderError:
    error = ProviderUnavailableError(
        f"{name} did not answer in its share of the time", provider=name
    )
    error.__cause__ = cause
    return error
