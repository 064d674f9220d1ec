"""
From symbols to their latest quotes.

What is live comes from there. Of the rest, each kind of instruments goes from vendor
to vendor, each asked for those that none before could tell.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from math import inf
from operator import attrgetter
from typing import Final, final

from typing_extensions import override

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    InvalidQueryError,
    QuotaExhaustedError,
    Violation,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.query import Priority, SourceMode
from ingestion_server.domain.ticks import Snapshot
from ingestion_server.ingest.asking import HASTE_SECONDS
from ingestion_server.ingest.candidates import quotes_kind_of
from ingestion_server.ingest.describing import describe_route
from ingestion_server.ingest.quote_asking import QuoteAsker
from ingestion_server.ingest.quote_case import Case
from ingestion_server.ingest.quote_route import Candidate, QuoteRoute
from ingestion_server.ingest.quote_turn import Purse, Turn
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ingest.suggesting import Suggester
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.live import Asked, QuoteAnswer, Quotes, QuotesQuery
from ingestion_server.ports.policy import LONGEST_QUOTA_WAIT_SECONDS
from ingestion_server.ports.quota import Lane
from ingestion_server.ports.tracing import span
from ingestion_server.registry.selection import order

_PATIENCE_SECONDS: Final = 5.0
"""One call is not waited for longer while another vendor is left."""
_MOST_HASTE: Final = 0.2
"""Which share of the time calls may end before their caller's is over."""
_LANES: Final = {
    Priority.INTERACTIVE: Lane.INTERACTIVE,
    Priority.BATCH: Lane.BATCH,
}

Latest = Callable[[Instrument, Sequence[str]], tuple[Snapshot, str, int] | None]
"""
Tell what is live of an instrument, by one of some vendors: the snapshot, the vendor,
and when it arrived in nanoseconds since 1970; None if nothing is.
"""


def nothing_live(instrument: Instrument, names: Sequence[str]) -> None:
    """Tell that nothing is live."""
    del instrument, names


@final
class Quoter(Quotes):
    """Tell the latest quotes, from live data or from vendors."""

    def __init__(
        self,
        route: QuoteRoute,
        asker: QuoteAsker,
        ranking: Ranking,
        clock: Clock,
        *,
        live: Latest = nothing_live,
        suggester: Suggester | None = None,
    ) -> None:
        """
        Set up.

        Args:
            route: says whom to ask.
            asker: asks them.
            ranking: knows which vendors there are.
            clock: tells how much time is left.
            live: tells what is live.
            suggester: tells what an unknown symbol may mean; None = nobody does.

        """
        self._route = route
        self._asker = asker
        self._ranking = ranking
        self._clock = clock
        self._live = live
        self._suggester = suggester

    @override
    async def quotes(
        self, query: QuotesQuery, *, budget_seconds: float
    ) -> Sequence[QuoteAnswer]:
        """
        Return an answer for each symbol, in the order of the query.

        Raises:
            InvalidQueryError: The source policy cannot be followed.

        """
        left = max(budget_seconds, 0.0)
        deadline = self._clock.monotonic() + left
        names = self._names(query)
        cases: dict[Instrument, Case] = {}
        for asked in query.asked:
            if isinstance(asked.instrument, Instrument):
                cases.setdefault(asked.instrument, Case(asked.instrument))
        for case in cases.values():
            self._look(case, names)
        most = query.policy.max_cost_usd
        purse = Purse(None if most is None else Decimal(str(most)))
        hasty = deadline - min(HASTE_SECONDS, left * _MOST_HASTE)
        open_ = sorted(
            (case for case in cases.values() if case.open),
            key=attrgetter("instrument.asset_class"),
        )
        async with asyncio.TaskGroup() as group:
            for kind, same in groupby(open_, attrgetter("instrument.asset_class")):
                walk = _Walk(query, kind, list(same), purse, hasty)
                group.create_task(self._routed(walk, names))
        pinned = query.policy.mode is SourceMode.PINNED
        answers = [_answer(asked, cases, pinned=pinned) for asked in query.asked]
        if self._suggester is None:
            return answers
        return await self._suggester.completed_quotes(
            query, answers, left_seconds=deadline - self._clock.monotonic()
        )

    def _names(self, query: QuotesQuery) -> Sequence[str]:
        if query.policy.mode is SourceMode.CONSENSUS:
            raise InvalidQueryError(
                [
                    Violation(
                        "source_policy.mode",
                        "MODE_CONSENSUS compares bars; quotes differ from moment to "
                        "moment",
                    )
                ]
            )
        return order(query.policy, self._ranking.listing)

    def _look(self, case: Case, names: Sequence[str]) -> None:
        """Take what is live."""
        found = self._live(case.instrument, names)
        if found is not None:
            case.word, case.provider, case.received_at_ns = found
            case.live = True

    async def _routed(self, walk: _Walk, names: Sequence[str]) -> None:
        """Have vendors asked, and the trace told of it."""
        with span("route") as part:
            await self._walked(walk, names)
            if part.is_recorded:
                describe_route(
                    part,
                    walk.query.policy.mode,
                    (case.provider for case in walk.cases if case.provider),
                    (attempt for case in walk.cases for attempt in case.attempts),
                )

    async def _walked(self, walk: _Walk, names: Sequence[str]) -> None:
        """Ask vendors in order; who had no quota at once is asked again at the end."""
        ahead = deque(self._ahead(walk, names))
        several = len(ahead) > 1
        refused: list[Candidate] = []
        while ahead:
            candidate = ahead.popleft()
            todo = walk.open_for(candidate)
            if not todo:
                continue
            heard = await self._asker.ask(
                self._turn(walk, candidate, list(ahead), len(todo), several=several),
                [case.instrument for case in todo],
            )
            for case in todo:
                case.note(candidate.name, heard[case.instrument])
            if several and any(
                isinstance(case.errors.get(candidate.name), QuotaExhaustedError)
                for case in todo
                if case.open
            ):
                refused.append(candidate)
        await self._resumed(walk, refused)

    async def _resumed(self, walk: _Walk, refused: Sequence[Candidate]) -> None:
        """Ask those again that had no quota at once, if they have some in time."""
        for candidate in sorted(refused, key=_wait_seconds):
            left = walk.deadline - self._clock.monotonic()
            todo = [
                case
                for case in walk.open_for(candidate)
                if isinstance(
                    error := case.errors.get(candidate.name), QuotaExhaustedError
                )
                and (error.retry_after_seconds or inf) < left
            ]
            if not todo:
                continue
            heard = await self._asker.ask(
                self._turn(walk, candidate, [], len(todo), several=True),
                [case.instrument for case in todo],
            )
            for case in todo:
                case.note(candidate.name, heard[case.instrument])

    def _ahead(self, walk: _Walk, names: Sequence[str]) -> list[Candidate]:
        """Return whom to ask, having noted who cannot, and taken what is known."""
        able: list[Candidate] = []
        wanted = [case.instrument for case in walk.cases]
        for found in self._route.able(names, walk.kind, wanted):
            if isinstance(found, Candidate):
                able.append(found)
                spelt = set(found.instruments)
                missing = [c for c in walk.cases if c.instrument not in spelt]
                for case in missing:
                    place = case.instrument.exchange
                    case.skip(
                        CapabilityMissingError(
                            f"has no {walk.kind} {case.instrument.symbol}"
                            + (f" on {place}" if place else ""),
                            provider=found.name,
                        )
                    )
            else:
                for case in walk.cases:
                    case.skip(found)
        ordered = self._route.ordered(able, walk.kind, walk.query.policy)
        # Where somebody has chosen who comes first, others' words are not taken
        # before it was asked.
        chosen = self._route.chosen(able, walk.query.policy)
        for candidate in ordered[:1] if chosen else ordered:
            for case in walk.open_for(candidate):
                known = self._asker.known(candidate.name, case.instrument)
                if known is not None and isinstance(known.word, Snapshot):
                    case.note(candidate.name, known)
        return ordered

    def _turn(
        self,
        walk: _Walk,
        candidate: Candidate,
        others: Sequence[Candidate],
        instruments: int,
        *,
        several: bool,
    ) -> Turn:
        """Return an equal share of the time: who hangs must not take it all."""
        now = self._clock.monotonic()
        left = max(walk.deadline - now, 0.0)
        share = longest = left
        if others:
            share = left / (len(others) + 1)
            if candidate.calls(instruments) == 1:
                share = min(share, _PATIENCE_SECONDS)
            # Waiting is better than what costs others' quota many calls, or tells less.
            better = any(not each.worse_than(candidate, instruments) for each in others)
            longest = min(LONGEST_QUOTA_WAIT_SECONDS, share) if better else share
        policy = walk.query.policy
        return Turn(
            candidate.vendor,
            candidate.quoting,
            quotes_kind_of(walk.kind),
            now + share if others else walk.deadline,
            longest,
            last_resort=not others,
            lane=_LANES[walk.query.priority],
            purse=walk.purse,
            thrifty=several and policy.mode is SourceMode.ANY,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Walk:
    """Hold one kind of instruments on its way from vendor to vendor."""

    query: QuotesQuery
    kind: AssetClass
    cases: Sequence[Case]
    purse: Purse
    deadline: float

    def open_for(self, candidate: Candidate) -> list[Case]:
        """Return what a vendor can be asked for that nobody told."""
        spelt = set(candidate.instruments)
        return [c for c in self.cases if c.open and c.instrument in spelt]


def _wait_seconds(candidate: Candidate) -> float:
    return candidate.vendor.quota.available_in()


def _answer(
    asked: Asked, cases: Mapping[Instrument, Case], *, pinned: bool
) -> QuoteAnswer:
    if isinstance(asked.instrument, InvalidQueryError):
        return QuoteAnswer(symbol=asked.symbol, snapshot=asked.instrument)
    case = cases[asked.instrument]
    return QuoteAnswer(
        symbol=asked.symbol,
        snapshot=case.result(pinned=pinned),
        provider=case.provider,
        live=case.live,
        received_at_ns=case.received_at_ns,
        attempts=() if case.live else tuple(case.attempts),
    )
