"""Asking vendors in order, each for what is missing, until nothing is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import inf
from typing import Final, NamedTuple, final

import msgspec

from ingestion_server.cache.series import SeriesKey
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    DeadlineExceededError,
    IngestionError,
    NoDataUnexplainedError,
    ProviderError,
    QuotaExhaustedError,
)
from ingestion_server.domain.query import Priority, Span
from ingestion_server.domain.result import Outcome
from ingestion_server.domain.spans import subtracted
from ingestion_server.ingest import pricing
from ingestion_server.ingest.asked import Asked, Landed
from ingestion_server.ingest.asking import Asker, Question
from ingestion_server.ingest.calling import Allowance
from ingestion_server.ingest.candidates import Candidate, kind_of
from ingestion_server.ingest.flights import Flights
from ingestion_server.ingest.hedging import Hedges
from ingestion_server.ingest.making import Task
from ingestion_server.ingest.memory import Memory, series_key
from ingestion_server.ingest.progress import Progress
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import Lane

_SHORT_WAIT_SECONDS: Final = 0.25
"""Quota is not waited for longer while another vendor is free."""
_LANES: Final = {
    Priority.INTERACTIVE: Lane.INTERACTIVE,
    Priority.BATCH: Lane.BATCH,
}


class _Postponed(NamedTuple):
    candidate: Candidate
    error: QuotaExhaustedError


class _Begun(NamedTuple):
    candidate: Candidate
    at_seconds: float
    hedge: bool


@dataclass(slots=True)
class _Way:
    """Keep where the walk for one answer is."""

    progress: Progress
    question: Question
    deadline: float
    ahead: deque[Candidate]
    postponed: list[_Postponed] = field(default_factory=list)
    under_way: dict[asyncio.Task[Asked], _Begun] = field(default_factory=dict)
    heard: int = 0
    """How many calls of those under way were answered when it was looked last."""


@final
class Walker:
    """Ask vendors in order, and the next one beside one that is slow."""

    def __init__(
        self,
        clock: Clock,
        flights: Flights[Landed],
        memory: Memory | None,
        hedges: Hedges,
        ranking: Ranking,
    ) -> None:
        """
        Set up.

        Args:
            clock: tells how much time is left.
            flights: own the calls under way.
            memory: what is known from before; None = nothing is kept.
            hedges: bound the calls that are made only since another is slow.
            ranking: puts vendors in order, and learns what they gave.

        """
        self.memory = memory
        self.ranking = ranking
        self._clock = clock
        self._flights = flights
        self._hedges = hedges
        self._asker = Asker(clock, flights, memory)
        self._hedged_now: set[SeriesKey] = set()

    async def gather(
        self,
        able: Sequence[Candidate],
        progress: Progress,
        question: Question,
        deadline: float,
    ) -> None:
        """
        Ask the best first; who had no quota at once is asked again if nobody else had.

        Raises:
            DeadlineExceededError: The caller's time is over.

        """
        route = deque(self.ranking.ordered(able, progress))
        way = _Way(progress, question, deadline, route)
        try:
            await self._walked(way)
        finally:
            self.ranking.learn(progress)

    async def _walked(self, way: _Way) -> None:
        progress = way.progress
        while (gaps := progress.gaps()) and (candidate := self._next(way, gaps)):
            await self._asked(candidate, way)
        for candidate, error in way.postponed:
            left = way.deadline - self._clock.monotonic()
            if not progress.gaps():
                return
            if error.retry_after_seconds is None or error.retry_after_seconds >= left:
                continue
            progress.errors.remove(error)
            asked = await self._attempt(candidate, way, others=0)
            self._noted(asked, candidate, way)

    def recall(self, names: Iterable[str], progress: Progress, now_ns: int) -> None:
        """Take what is known of vendors' bars."""
        if self.memory is None:
            return
        for name in names:
            if name in progress.consulted or not progress.gaps():
                continue
            progress.consulted.add(name)
            query, span = progress.query, progress.scope.span
            known = self.memory.recalled(name, query, span, now_ns)
            if known is None or not known.verified or not known.covered:
                continue
            told = progress.collected.flags
            flags = [flag for flag in known.piece.flags if flag not in told]
            progress.recall(replace(known.piece, flags=flags), known.covered)
            note = f"{name}: had no such bar when asked lately"
            if known.absent and note not in progress.notes:
                progress.notes.append(note)

    def recall_stale(self, candidates: Iterable[Candidate], progress: Progress) -> None:
        """Take what is older than usual, if the caller takes it in need."""
        if self.memory is None or progress.answered:
            return
        for candidate in candidates:
            if not progress.gaps():
                return
            known = self.memory.stale(
                candidate.name, progress.query, progress.scope.span, candidate.now_ns
            )
            if known is not None:
                progress.recall(known.piece, known.covered)
        if progress.collected.stale:
            self.memory.counts.stale += 1

    def _next(self, way: _Way, gaps: Sequence[Span]) -> Candidate | None:
        """Return the next vendor that may have some of the gaps, noting the others."""
        while way.ahead:
            candidate = way.ahead.popleft()
            if not way.question.fresh:
                # Another request may have been brought it while this one waited.
                way.progress.consulted.discard(candidate.name)
                self.recall((candidate.name,), way.progress, candidate.now_ns)
                gaps = way.progress.gaps()
                if not gaps:
                    return None
            error = self._hindrance(candidate, way, gaps)
            if error is None:
                return candidate
            way.progress.skipped(error)
        return None

    def _hindrance(
        self, candidate: Candidate, way: _Way, gaps: Sequence[Span]
    ) -> ProviderError | None:
        """Return why a vendor need not be asked; None if it is."""
        progress, name = way.progress, candidate.name
        unmixable = progress.unmixable(name)
        if unmixable:
            return CapabilityMissingError(unmixable, provider=name)
        if self.memory is not None and not way.question.fresh:
            refusal = self.memory.refusal(name, progress.query)
            if refusal is not None:
                return refusal
            if not self._wanting(candidate, way, gaps):
                return NoDataUnexplainedError(
                    "had no such bar when asked lately", provider=name
                )
        left_usd = pricing.left_usd(progress)
        if left_usd is not None:
            task = Task(progress.query, candidate.recipe, gaps, None, candidate.now_ns)
            price = pricing.price_usd(candidate, task, self._clock.monotonic())
            if price > max(left_usd, Decimal(0)):
                return pricing.too_dear(candidate, price, left_usd)
        return None

    def _wanting(
        self, candidate: Candidate, way: _Way, gaps: Sequence[Span]
    ) -> Sequence[Span]:
        """Return what of the gaps a vendor is worth asking for."""
        progress = way.progress
        if self.memory is None or way.question.fresh:
            return gaps
        known = self.memory.recalled(
            candidate.name, progress.query, progress.scope.span, candidate.now_ns
        )
        if known is None or not known.verified:
            return gaps
        return subtracted(gaps, known.covered)

    async def _asked(self, candidate: Candidate, way: _Way) -> None:
        """Ask a vendor, and others beside it as long as it is slow."""
        self._hedges.asked()
        delay = self._delay_seconds(candidate, way)
        if delay is None:
            asked = await self._attempt(candidate, way, others=len(way.ahead))
            self._noted(asked, candidate, way)
            return
        way.heard = 0
        try:
            self._begin(candidate, way, hedge=False)
            while way.under_way and way.progress.gaps():
                done, _ = await asyncio.wait(
                    way.under_way, timeout=delay, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    self._noted(task.result(), way.under_way.pop(task).candidate, way)
                if not done and self._silent(way):
                    delay = self._hedged(way)
        except BaseException:
            await _ended(way.under_way)
            raise
        self._overtaken(way)

    def _delay_seconds(self, candidate: Candidate, way: _Way) -> float | None:
        if not way.ahead or way.question.fresh:
            return None
        chosen = self.ranking.listing.hard(candidate.name)
        return self._hedges.delay_seconds(candidate, way.progress, chosen=chosen)

    def _silent(self, way: _Way) -> bool:
        """Tell whether nothing was heard since this was asked last."""
        before = way.heard
        way.heard = sum(tally.heard for tally in way.progress.pending.values())
        return way.heard == before

    def _hedged(self, way: _Way) -> float | None:
        """Ask another vendor as well; return when to look again, None = never."""
        candidate = self._next(way, way.progress.gaps())
        if candidate is None:
            return None
        key = series_key(candidate.name, way.progress.query)
        # Who waits for what another is being brought costs nothing.
        if key not in self._hedged_now:
            if not self._hedges.spent(candidate, way.progress):
                way.ahead.appendleft(candidate)
                return None
            self._hedged_now.add(key)
        task = self._begin(candidate, way, hedge=True)
        task.add_done_callback(lambda _: self._hedged_now.discard(key))
        return self._delay_seconds(candidate, way)

    def _begin(
        self, candidate: Candidate, way: _Way, *, hedge: bool
    ) -> asyncio.Task[Asked]:
        attempt = self._attempt(candidate, way, others=len(way.ahead), hedge=hedge)
        task = asyncio.create_task(attempt, name="attempt")
        way.under_way[task] = _Begun(candidate, self._clock.monotonic(), hedge)
        return task

    async def _attempt(
        self, candidate: Candidate, way: _Way, *, others: int, hedge: bool = False
    ) -> Asked:
        """Ask one vendor for the gaps; ``others`` is how many are left to ask."""
        progress = way.progress
        gaps = progress.gaps()
        gaps = [*self._wanting(candidate, way, gaps)] or gaps
        allowance = replace(
            self._allowance(candidate, way, others),
            most_cost_usd=pricing.left_usd(progress),
            tally=progress.begun(candidate.name),
        )
        return await self._asker.ask(
            candidate, way.question, gaps, allowance, hedge=hedge
        )

    def _allowance(self, candidate: Candidate, way: _Way, others: int) -> Allowance:
        """Return an equal share of the time: who hangs must not take it all."""
        now = self._clock.monotonic()
        left = way.deadline - now
        query = way.progress.query
        patience = inf
        if others:
            patience = self._hedges.patience_seconds(candidate, way.progress)
        return Allowance(
            now + left / (others + 1) if others else way.deadline,
            min(_SHORT_WAIT_SECONDS, left) if others else left,
            last_resort=not others,
            patience_seconds=patience,
            kind=kind_of(query.instrument),
            lane=_LANES[query.priority],
        )

    def _noted(self, asked: Asked, candidate: Candidate, way: _Way) -> None:
        """
        Note how it went.

        Raises:
            IngestionError: It is the end of the walk, such as that of its time.

        """
        progress = way.progress
        if isinstance(asked.error, DeadlineExceededError) and not asked.pieces:
            # It has not failed: nobody waits for it any longer.
            raise asked.error
        if asked.changed and progress.recalled:
            # What was taken as known is no longer so.
            progress.forget(candidate.name)
        error: IngestionError | None = progress.note(asked)
        if asked.changed:
            progress.consulted.discard(candidate.name)
            self.recall((candidate.name,), progress, candidate.now_ns)
        if way.ahead and isinstance(error, QuotaExhaustedError):
            way.postponed.append(_Postponed(candidate, error))
        if not isinstance(error, ProviderError | None):
            raise error

    def _overtaken(self, way: _Way) -> None:
        """Leave those who are still asked to themselves; what they tell is learnt."""
        now, attempts = self._clock.monotonic(), way.progress.attempts
        pieces = way.progress.collected.pieces
        # There may be none, if another request has learnt that there are none.
        first = pieces[-1].provider if pieces else "another request"
        reason = f"OVERTAKEN: {first} answered first"
        for task, begun in way.under_way.items():
            self._flights.linger(task)
            way.progress.given_up(
                begun.candidate.name,
                Outcome.OVERTAKEN,
                reason,
                now - begun.at_seconds,
            )
            attempts[-1] = msgspec.structs.replace(attempts[-1], hedge=begun.hedge)
        way.under_way.clear()


async def _ended(tasks: Iterable[asyncio.Task[Asked]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    # What they raise is nobody's business any more, but must have been looked at.
    await asyncio.gather(*tasks, return_exceptions=True)
