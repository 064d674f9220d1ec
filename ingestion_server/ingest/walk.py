"""Asking vendors in order, each for what is missing, until nothing is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial
from random import random as chance
from typing import Final, final

import msgspec
from msgspec.structs import replace

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
from ingestion_server.ingest import mixing, pricing
from ingestion_server.ingest.asked import Asked, Landed
from ingestion_server.ingest.asking import Asker, Question
from ingestion_server.ingest.calling import Allowance
from ingestion_server.ingest.candidates import Candidate, kind_of
from ingestion_server.ingest.coaches import Coaches
from ingestion_server.ingest.flights import Flights
from ingestion_server.ingest.hedging import Hedges
from ingestion_server.ingest.making import Task
from ingestion_server.ingest.memory import Memory, series_key
from ingestion_server.ingest.progress import Progress
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ingest.recalling import recall
from ingestion_server.ingest.way import Begun, Postponed, Way
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import Lane

SHORT_WAIT_SECONDS: Final = 0.25
"""Quota is not waited for longer while another vendor is free."""
_LONGEST_HELD_SECONDS: Final = 2.0
"""Who waits for quota for longer is taken for silent."""
_LANES: Final = {
    Priority.INTERACTIVE: Lane.INTERACTIVE,
    Priority.BATCH: Lane.BATCH,
}


@final
class Walker:
    """Ask vendors in order, and the next one beside one that is slow."""

    def __init__(  # noqa: PLR0913 - what the way takes
        self,
        clock: Clock,
        flights: Flights[Landed],
        memory: Memory | None,
        hedges: Hedges,
        ranking: Ranking,
        *,
        most_calls: int,
        coaches: Coaches | None = None,
    ) -> None:
        """
        Set up.

        Args:
            clock: tells how much time is left.
            flights: own the calls under way.
            memory: what is known from before; None = nothing is kept.
            hedges: bound the calls that are made only since another is slow.
            ranking: puts vendors in order, and learns what they gave.
            most_calls: how often a vendor is called that fails, until it is not gone
                back to for the same answer.
            coaches: own the calls that questions share which are in no hurry; None =
                they share none.

        """
        self.memory = memory
        self.ranking = ranking
        self._clock = clock
        self._flights = flights
        self._hedges = hedges
        self._most_calls = most_calls
        self._asker = Asker(clock, flights, coaches, memory)
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
        way = Way(progress, question, deadline, route, several=len(route) > 1)
        try:
            await self._walked(way)
        finally:
            self.ranking.learn(progress)

    async def _walked(self, way: Way) -> None:
        progress = way.progress
        while True:
            while (gaps := progress.gaps()) and (candidate := self._next(way, gaps)):
                await self._asked(candidate, way)
            if progress.gaps() and self._resumed(way):
                continue
            if not progress.gaps() or not self._back(way):
                return
            await self._clock.sleep(way.pause_seconds(chance()))  # noqa: S311 - no secret

    def _resumed(self, way: Way) -> bool:
        """Put one ahead again that had no quota at once; tell whether there is one."""
        left = way.deadline - self._clock.monotonic()
        return way.resume(most_calls=self._most_calls, within_seconds=left)

    def _back(self, way: Way) -> bool:
        """Go back to vendors that failed, if there are any that may do better now."""
        if way.question.fresh or self._clock.monotonic() >= way.deadline:
            return False
        left = way.deadline - self._clock.monotonic()
        return way.back(
            most_calls=self._most_calls,
            affordable=lambda candidate: self._hedges.affordable(
                candidate, way.progress, within_seconds=left
            ),
            doubtful=lambda candidate: self.ranking.doubtful(candidate, way.progress),
        )

    def _next(self, way: Way, gaps: Sequence[Span]) -> Candidate | None:
        """Return the next vendor that may have some of the gaps, noting the others."""
        while way.ahead:
            candidate = way.ahead.popleft()
            if not way.question.fresh:
                # Another request may have been brought it while this one waited.
                way.progress.consulted.discard(candidate.name)
                recall(self.memory, (candidate.name,), way.progress, candidate.now_ns)
                gaps = way.progress.gaps()
                if not gaps:
                    return None
            error = self._hindrance(candidate, way, gaps)
            if error is None:
                return candidate
            way.progress.skipped(error)
        return None

    def _hindrance(
        self, candidate: Candidate, way: Way, gaps: Sequence[Span]
    ) -> ProviderError | None:
        """Return why a vendor need not be asked; None if it is."""
        progress, name = way.progress, candidate.name
        unmixable = mixing.unmixable(progress.query, progress.collected, name)
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
        self, candidate: Candidate, way: Way, gaps: Sequence[Span]
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

    async def _asked(self, candidate: Candidate, way: Way) -> None:
        """Ask a vendor, and others beside it once it is silent."""
        self._hedges.asked()
        urgent = way.progress.query.priority is Priority.INTERACTIVE
        if way.question.fresh or not urgent or not way.others:
            gaps, allowance = self._errand(candidate, way, others=len(way.ahead))
            asked = await self._asker.ask(candidate, way.question, gaps, allowance)
            self._noted(asked, candidate, way)
            return
        way.begin_anew()
        try:
            self._begin(candidate, way, hedge=False)
            may_hedge = True
            while way.under_way and way.progress.gaps():
                since = way.silent_since_seconds
                seconds, hedge = self._bearable(way, may_hedge=may_hedge)
                done, _ = await asyncio.wait(
                    way.under_way, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    self._noted(task.result(), way.under_way.pop(task).candidate, way)
                if done or seconds is None or since != way.silent_since_seconds:
                    continue
                if hedge and way.held:
                    continue
                may_hedge = self._joined(way, hedge=hedge)
        except BaseException:
            await _ended(way.under_way)
            raise
        finally:
            self._hedges.given_back(way.needless)
        self._overtaken(way)

    def _bearable(self, way: Way, *, may_hedge: bool) -> tuple[float | None, bool]:
        """
        Return how long to bear silence, and whether what follows is a hedge.

        Each of those under way is given its time. Who was asked for want of another
        and has failed is no reason to wait anew for the one that is silent.
        """
        if not way.others:
            return None, False
        now = self._clock.monotonic()
        early = (way.hedges_at_seconds or now) - now
        late = way.rests_until_seconds - now
        for begun in way.under_way.values():
            asked, silent = begun.candidate, now - begun.silent_since_seconds
            chosen = self.ranking.listing.hard(asked.name)
            delay = self._hedges.delay_seconds(asked, way.progress, chosen=chosen)
            may_hedge = may_hedge and delay is not None
            held = begun.held_seconds
            early = max(early, (delay or 0.0) + (held or -silent))
            late = max(late, self._patience_seconds(asked, way.progress) - silent)
        if may_hedge and (way.ahead or way.postponed) and early < late:
            return max(early, 0.0), True
        return max(late, 0.0), False

    def _joined(self, way: Way, *, hedge: bool) -> bool:
        """Ask another vendor as well; tell whether still others may be, early."""
        if not way.ahead:
            # Who has failed is not gone back to in haste.
            if not hedge and self._back(way):
                pause = way.pause_seconds(chance())  # noqa: S311 - no secret
                way.rests_until_seconds = self._clock.monotonic() + pause
                return False
            self._resumed(way)
        if hedge:
            way.favour(lambda each: self._hedges.affordable(each, way.progress))
        candidate = self._next(way, way.progress.gaps())
        if candidate is None:
            return False
        key = series_key(candidate.name, way.progress.query)
        # Who waits for what another is being brought costs nothing.
        paid = hedge and key not in self._hedged_now
        if paid and not self._hedges.spent(candidate, way.progress):
            way.ahead.appendleft(candidate)
            return way.look_again(self._clock.monotonic())
        task = self._begin(candidate, way, hedge=hedge)
        if paid:
            way.paid += 1
            self._hedged_now.add(key)
            task.add_done_callback(lambda _: self._hedged_now.discard(key))
        return True

    def _begin(
        self, candidate: Candidate, way: Way, *, hedge: bool
    ) -> asyncio.Task[Asked]:
        gaps, allowance = self._errand(candidate, way, others=len(way.ahead))
        boarded = self._asker.boarding(candidate, way.question, gaps, allowance)
        attempt = self._asker.ask(candidate, way.question, gaps, allowance, hedge=hedge)
        task = asyncio.create_task(attempt, name="attempt")
        now, tally = self._clock.monotonic(), allowance.tally
        due = now + min(candidate.vendor.quota.available_in(), _LONGEST_HELD_SECONDS)
        way.begins(task, Begun(candidate, now, due, hedge, tally, boarded))
        way.called.append(tally)
        return task

    def _errand(
        self, candidate: Candidate, way: Way, *, others: int
    ) -> tuple[Sequence[Span], Allowance]:
        """
        Return what to ask one vendor for; ``others`` is how many are left to ask.

        What the gaps are is found out at once: what another request is brought until
        the asking begins will be known then, and still not be in this answer.
        """
        progress = way.progress
        gaps = progress.gaps()
        gaps = [*self._wanting(candidate, way, gaps)] or gaps
        return gaps, replace(
            self._allowance(candidate, way, others),
            most_cost_usd=pricing.left_usd(progress),
            tally=progress.begun(candidate.name),
            patience_seconds=partial(self._patience_seconds, candidate, progress),
        )

    def _patience_seconds(self, candidate: Candidate, progress: Progress) -> float:
        """Return which silence of a vendor is borne while another is left."""
        chosen = self.ranking.listing.hard(candidate.name)
        return self._hedges.patience_seconds(candidate, progress, chosen=chosen)

    def _allowance(self, candidate: Candidate, way: Way, others: int) -> Allowance:
        """Return an equal share of the time: who hangs must not take it all."""
        now = self._clock.monotonic()
        left = longest = retry = way.deadline - now
        if others:
            longest = min(SHORT_WAIT_SECONDS, left)
        elif way.postponed:
            # If it takes longer than is foreseen, another may have quota sooner.
            foreseen = candidate.vendor.quota.available_in()
            longest = min(foreseen + SHORT_WAIT_SECONDS, left)
            retry = SHORT_WAIT_SECONDS
        query = way.progress.query
        return Allowance(
            now + left / (others + 1) if others else way.deadline,
            longest,
            last_resort=not others,
            kind=kind_of(query.instrument),
            lane=_LANES[query.priority],
            longest_retry_wait_seconds=retry,
        )

    def _noted(self, asked: Asked, candidate: Candidate, way: Way) -> None:
        """
        Note how it went.

        Raises:
            IngestionError: It is the end of the walk, such as that of its time.

        """
        progress = way.progress
        if isinstance(asked.error, DeadlineExceededError) and not asked.pieces(
            asked.gaps
        ):
            # It has not failed: nobody waits for it any longer.
            raise asked.error
        if asked.changed and progress.recalled:
            # What was taken as known is no longer so.
            progress.forget(candidate.name)
        error: IngestionError | None = progress.note(asked)
        if asked.changed:
            names, now_ns = (candidate.name,), candidate.now_ns
            recall(self.memory, names, progress, now_ns, again=True)
        if isinstance(error, QuotaExhaustedError):
            if way.several:
                way.postpones(Postponed(candidate, error))
        elif isinstance(error, ProviderError):
            way.fails(candidate, error)
        if not isinstance(error, ProviderError | None):
            raise error

    def _overtaken(self, way: Way) -> None:
        """Leave those who are still asked to themselves; what they tell is learnt."""
        now, attempts = self._clock.monotonic(), way.progress.attempts
        pieces = way.progress.collected.pieces
        # There may be none, if another request has learnt that there are none.
        first = pieces[-1].provider if pieces else "another request"
        reason = f"OVERTAKEN: {first} answered first"
        for task, begun in way.under_way.items():
            if not way.progress.pending[begun.candidate.name].calls:
                # It waits for quota still, or for another's call: nothing is learnt.
                task.cancel()
            spare = self._hedges.spare_seconds(begun.candidate, way.progress)
            self._flights.linger(task, spare_seconds=spare)
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
