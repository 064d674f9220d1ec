"""What a stretch of time takes of the vendors that would be asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Final, NamedTuple, final

import msgspec
import numpy as np

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    ProviderError,
)
from ingestion_server.domain.grid import Grid, grid
from ingestion_server.domain.interval import Times
from ingestion_server.domain.query import BarQuery, Span
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest import pricing
from ingestion_server.ingest.candidates import Candidate, kind_of
from ingestion_server.ingest.coaches import seats
from ingestion_server.ingest.fetch import Expected, Fetcher
from ingestion_server.ingest.jobs.cutting import Scale, cut
from ingestion_server.ingest.jobs.finality import final_until_ns
from ingestion_server.ingest.making import Task, source_span, wanted_adjustment
from ingestion_server.ingest.vendor import ask_of
from ingestion_server.ports.provider import BarAsk
from ingestion_server.registry.recipe import Need, Unable, recipe

MOST_PIECE_BARS: Final = 50_000
"""What a unit holds at most, however much a vendor gives at once."""
_TURNS: Final = 32
"""After so many pieces others have their turn."""


class Load(NamedTuple):
    """Be one kind of call, as a budget weighs it."""

    endpoint: str
    times: int = 1


class Piece(msgspec.Struct, frozen=True):
    """Be a stretch of time, and what it takes of one vendor."""

    span: Span
    provider: str = ""
    """Empty if nobody can serve it."""
    loads: tuple[Load, ...] = ()
    """The calls for the bars."""
    action_loads: tuple[Load, ...] = ()
    """Those that are needed once for the instrument, whatever the stretch."""
    price_usd: Decimal = Decimal(0)
    """Of the calls for the bars."""
    kind: str = ""
    """Of data, as the vendor is judged by."""
    shared_by: int = 1
    """How many of the same stretch and vendor may share a call."""
    ask: BarAsk | None = None
    """Of an instrument that the piece holds for; None unless calls may be shared."""
    errors: tuple[ProviderError, ...] = ()
    """Why nobody can serve it."""


@final
class Cutter:
    """Cut what is wanted of instruments that are alike to all vendors."""

    def __init__(
        self, fetcher: Fetcher, query: BarQuery, monotonic: Callable[[], float]
    ) -> None:
        """
        Set up.

        Args:
            fetcher: tells whom it would ask.
            query: asks for bars of one of the instruments, with a start.
            monotonic: tells for how long refusals are still remembered.

        """
        self._fetcher = fetcher
        self._query = query
        self._monotonic = monotonic
        self._known: dict[tuple[Span, ...], Sequence[Piece]] = {}
        self._taken: dict[Span, Piece] = {}
        self._others: dict[tuple[Span, str], tuple[Piece, ...]] = {}
        self._final: dict[int, int] = {}
        self._expected: Expected | None = None

    async def final_until_ns(self, now_ns: int) -> int:
        """
        Return before when all bars open that are wanted and final at a time.

        Raises:
            InvalidQueryError: The query cannot be served, whoever is asked.

        """
        found = self._final.get(now_ns)
        if found is None:
            sessions = await self._sessions()
            found = final_until_ns(self._query, sessions, now_ns=now_ns)
            self._final[now_ns] = found
        return found

    async def may_hold(self, span: Span) -> bool:
        """Tell whether any bar can be in a stretch."""
        return self._bars(span, await self._sessions()) > 0

    async def pieces(self, gaps: Sequence[Span]) -> Sequence[Piece]:
        """
        Return pieces of some stretches, each for one call of its vendor, ascending.

        Where no bar can be, there is none. The first choice is asked for as much as
        it reaches back to, the next one for what is before that.

        Raises:
            InvalidQueryError: The query cannot be served, whoever is asked.

        """
        key = tuple(gaps)
        found = self._known.get(key)
        if found is None:
            found = [piece for gap in gaps for piece in await self._cut(gap)]
            self._known[key] = found
        return found

    async def whole(self, span: Span) -> Piece:
        """
        Return a stretch as one piece, however many calls it takes.

        Raises:
            InvalidQueryError: The query cannot be served, whoever is asked.

        """
        found = self._taken.get(span)
        if found is None:
            found = await self._uncut(span)
            self._taken[span] = found
        return found

    async def others(self, piece: Piece) -> tuple[Piece, ...]:
        """
        Return what all of its stretch takes of others, in the order they are asked in.

        Raises:
            InvalidQueryError: The query cannot be served, whoever is asked.

        """
        span, key = piece.span, (piece.span, piece.provider)
        if key in self._others:
            return self._others[key]
        expected, found = await self._fetcher.expected(self._over(span)), []
        for candidate in (place.candidate for place in expected.ranked):
            if candidate.name == piece.provider or self._lacking(candidate, span):
                continue
            with suppress(ProviderError):
                other = self._taking(candidate, span, expected.sessions)
                if other is not None:
                    self._check_price(candidate, other)
                    found.append(other)
        self._others[key] = tuple(found)
        return self._others[key]

    async def _sessions(self) -> Sessions | None:
        if self._expected is None:
            self._expected = await self._fetcher.expected(self._query)
        return self._expected.sessions

    async def _uncut(self, span: Span) -> Piece:
        expected = await self._fetcher.expected(self._over(span))
        errors = list(expected.unable)
        for place in expected.ranked:
            try:
                piece = self._taking(place.candidate, span, expected.sessions)
                if piece is not None:
                    self._check_price(place.candidate, piece)
                    return piece
            except ProviderError as error:
                errors.append(error)
        return Piece(span, errors=tuple(errors))

    async def _cut(self, span: Span) -> list[Piece]:
        expected = await self._fetcher.expected(self._over(span))
        errors = list(expected.unable)
        for place in expected.ranked:
            try:
                since_ns = self._reach_ns(place.candidate, span)
                pieces = await self._coarsest(
                    place.candidate, Span(since_ns, span.end_ns), expected.sessions
                )
            except ProviderError as error:
                errors.append(error)
                continue
            if since_ns <= span.start_ns:
                return pieces
            return [*await self._cut(Span(span.start_ns, since_ns)), *pieces]
        return [
            Piece(each, errors=tuple(errors))
            for each in self._bearable(span, expected.sessions)
        ]

    async def _coarsest(
        self, candidate: Candidate, span: Span, sessions: Sessions | None
    ) -> list[Piece]:
        """Return the longest pieces that take one call each."""
        found: list[Piece] = []
        for scale in Scale:
            found = []
            for count, each in enumerate(cut(span, scale, self._zone)):
                if count % _TURNS == _TURNS - 1:
                    await asyncio.sleep(0)
                piece = self._taking(candidate, each, sessions)
                if piece is None:
                    continue
                found.append(piece)
                small = len(piece.loads) <= 1 and self._bars(each, sessions) <= (
                    MOST_PIECE_BARS
                )
                # A day is not cut any more, whatever it takes.
                if not small and scale is not Scale.DAY:
                    break
                self._check_price(candidate, piece)
            else:
                return found
        return found

    def _bearable(self, span: Span, sessions: Sessions | None) -> list[Span]:
        """Return what nobody can serve now, in pieces that are not too long later."""
        found: list[Span] = []
        for scale in Scale:
            found = [
                each
                for each in cut(span, scale, self._zone)
                if self._bars(each, sessions)
            ]
            if all(self._bars(each, sessions) <= MOST_PIECE_BARS for each in found):
                break
        return found

    def _taking(
        self, candidate: Candidate, span: Span, sessions: Sessions | None
    ) -> Piece | None:
        """
        Return what a stretch takes of a vendor; None if no bar can be in it.

        Raises:
            ProviderError: The vendor cannot be asked for it.

        """
        if not self._bars(span, sessions):
            return None
        query, batching = self._query, candidate.vendor.provider.batching
        task, ask, loads = self._question(candidate, span, sessions)
        if len(loads) > 1:
            # Shorter bars may be asked for beyond the last one, into another month.
            trimmed = Span(span.start_ns, self._end_ns(span, sessions))
            other = self._question(candidate, trimmed, sessions)
            if len(other[-1]) < len(loads):
                span, (task, ask, loads) = trimmed, other
        shared_by = 1
        if batching is not None and len(loads) == 1:
            shared_by = seats(batching, ask, loads[0].times)
        return Piece(
            span,
            candidate.name,
            loads,
            self._action_loads(candidate, task),
            candidate.vendor.quota.price_usd(
                *(load.endpoint for load in loads for _ in range(load.times))
            ),
            kind_of(query.instrument),
            shared_by,
            ask if shared_by > 1 else None,
        )

    def _question(
        self, candidate: Candidate, span: Span, sessions: Sessions | None
    ) -> tuple[Task, BarAsk, tuple[Load, ...]]:
        """Return how a vendor is asked for a stretch."""
        vendor = candidate.vendor
        gap = Span(self._start_ns(span, sessions), span.end_ns)
        task = Task(
            self._over(span), candidate.recipe, [gap], sessions, candidate.now_ns
        )
        ask = msgspec.structs.replace(
            ask_of(task, vendor.refusals.at(self._monotonic())),
            span=source_span(gap, task),
        )
        requests = vendor.provider.bar_requests(ask)
        return task, ask, tuple(Load(each.feature, each.times) for each in requests)

    def _check_price(self, candidate: Candidate, piece: Piece) -> None:
        """Refuse what the caller would not pay for."""
        most = self._query.policy.max_cost_usd
        if most is not None and piece.price_usd > Decimal(str(most)):
            raise pricing.too_dear(candidate, piece.price_usd, Decimal(str(most)))

    def _action_loads(self, candidate: Candidate, task: Task) -> tuple[Load, ...]:
        adjustment = wanted_adjustment(task)
        if candidate.recipe.adjustment is adjustment:
            return ()
        requests = candidate.vendor.provider.action_requests(
            task.query.instrument,
            frozenset({candidate.recipe.adjustment, adjustment}),
            candidate.now_ns,
        )
        if not requests:
            raise CapabilityMissingError(
                "no corporate actions", provider=candidate.name
            )
        return tuple(Load(each.feature, each.times) for each in requests)

    def _reach_ns(self, candidate: Candidate, span: Span) -> int:
        """
        Return from when on a vendor has all of a span, at a turn of the day.

        Raises:
            CapabilityMissingError: It has not even all of the last day.

        """
        if not self._lacking(candidate, span):
            return span.start_ns
        days = cut(span, Scale.DAY, self._zone)
        lacking = self._lacking(candidate, days[-1])
        if lacking:
            raise CapabilityMissingError(lacking, provider=candidate.name)
        low, high = 0, len(days) - 1
        while low < high:
            middle = (low + high) // 2
            if self._lacking(candidate, Span(days[middle].start_ns, span.end_ns)):
                low = middle + 1
            else:
                high = middle
        return days[low].start_ns

    def _lacking(self, candidate: Candidate, span: Span) -> str:
        """Return why a vendor has no bars of the start of a span; empty if it has."""
        query = self._query
        adjustable = query.instrument.asset_class.adjustable
        need = Need(
            query.instrument.asset_class,
            query.interval,
            query.adjustment if adjustable else Adjustment.RAW,
            query.hours,
            span,
            candidate.now_ns,
            from_the_start=True,
        )
        found = recipe(candidate.vendor.provider.capabilities, need)
        if isinstance(found, Unable):
            return found.reason
        return "" if found == candidate.recipe else "its older bars are made otherwise"

    def _start_ns(self, span: Span, sessions: Sessions | None) -> int:
        """Return where a span is asked for from: its first bar, if that is known."""
        opens_ns = self._opens_ns(span, sessions)
        return max(span.start_ns, int(opens_ns[0])) if len(opens_ns) else span.start_ns

    def _end_ns(self, span: Span, sessions: Sessions | None) -> int:
        """Return where the last bar of a span ends, if that is known."""
        opens_ns = self._opens_ns(span, sessions)
        if not len(opens_ns):
            return span.end_ns
        return min(span.end_ns, int(opens_ns[-1]) + self._query.interval.length_ns)

    def _opens_ns(self, span: Span, sessions: Sessions | None) -> Times:
        """Return when the bars of a span open; none where nobody can know all."""
        bars = self._grid(span, sessions)
        regular = self._query.hours is TradingHours.REGULAR
        return bars.opens_ns if bars is not None and regular else np.empty(0, np.int64)

    def _bars(self, span: Span, sessions: Sessions | None) -> int:
        """Return how many bars a span holds, at most where nobody can know."""
        bars = self._grid(span, sessions)
        most = -(-(span.end_ns - span.start_ns) // self._query.interval.length_ns)
        regular = self._query.hours is TradingHours.REGULAR
        return most if bars is None or not regular else len(bars)

    def _grid(self, span: Span, sessions: Sessions | None) -> Grid | None:
        query = self._query
        return grid(query.instrument.asset_class, query.interval, span, sessions)

    @property
    def _zone(self) -> str:
        """Return where calendars turn: where the exchange is, for bars within days."""
        venue = self._query.instrument.venue
        intraday = self._query.interval.intraday
        return venue.zone if venue is not None and intraday else "UTC"

    def _over(self, span: Span) -> BarQuery:
        return msgspec.structs.replace(
            self._query, start_ns=span.start_ns, end_ns=span.end_ns, limit=0
        )
