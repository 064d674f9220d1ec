"""
Calls that tell bars of several instruments: questions wait a moment for each other.

Only those that are in no hurry do. A coach leaves once it is full, or nobody has come
for a moment. It is driven by a task of its own, so that whoever gets off holds up
nobody; one that nobody sits in any more is ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from functools import partial
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeAlias, final

import msgspec

from ingestion_server.domain.errors import ProviderError, ServerStoppingError
from ingestion_server.ingest.calling import Allowance, Exchange
from ingestion_server.ports.batching import BarBatching
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.policy import CallTally
from ingestion_server.ports.provider import BarAsk, Page
from ingestion_server.ports.tracing import Origin, follow, origin, span

QUIET_SECONDS: Final = 0.02
"""A coach leaves when nobody has boarded it for so long."""
LONGEST_SECONDS: Final = 0.25
"""Whoever came first waits no longer for others, however many still come."""
MOST_BARS: Final = 20_000
"""
What one call tells at most: some ten megabytes of JSON.

More would not arrive in time, and everybody would stand still while it is read.
"""
_SMALLEST_USD: Final = Decimal("0.000000001")

Told: TypeAlias = tuple[Page, int]
"""A page, and when it was received."""


def seats(batching: BarBatching, ask: BarAsk, times: int) -> int:
    """
    Return how many questions like this one a call may be about; 1 = it goes alone.

    ``times`` is what weighs the request that asks it alone: its bars.
    """
    if not batching.fits(ask):
        return 1
    return max(min(batching.most_symbols, MOST_BARS // times), 1)


class Passenger(msgspec.Struct, frozen=True, eq=False):
    """Be a question that may share a call."""

    ask: BarAsk
    request: HttpRequest
    """What asks it alone."""
    read: Callable[[HttpResponse], Told]
    """Reads the answer to that."""
    allowance: Allowance

    @property
    def left_usd(self) -> Decimal | None:
        """Return what it may still cost; None = there is no limit."""
        most = self.allowance.most_cost_usd
        return None if most is None else most - self.allowance.tally.cost_usd


class _Arrival(NamedTuple):
    told: Mapping[BarAsk, Page | ProviderError]
    received_at_ns: int


@dataclass(slots=True, eq=False)
class _Coach:
    key: Hashable
    exchange: Exchange
    batching: BarBatching
    seats: int
    boarded_at_seconds: float
    """When the last one came."""
    aboard: list[Passenger] = field(default_factory=list)
    tally: CallTally = field(default_factory=CallTally)
    task: asyncio.Task[_Arrival | None] = field(init=False)
    origin: Origin | None = field(default_factory=origin)
    """What it waits for passengers for: the first one's question."""

    @property
    def full(self) -> bool:
        return len(self.aboard) >= self.seats


@final
class Coaches:
    """
    Own the calls that several share; an async context manager, which ends them.

    What such a call costs is divided equally among those who are aboard when it ends.
    The call itself is counted for the first of them, and the others have shared it.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with none."""
        self._clock = clock
        self._waiting: dict[Hashable, _Coach] = {}
        self._tasks: set[asyncio.Task[_Arrival | None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def told(
        self, exchange: Exchange, batching: BarBatching, passenger: Passenger
    ) -> Told:
        """
        Return the page that answers a question, told together with others or alone.

        Raises:
            ProviderError: The call failed for all, or told nothing of this one.
            DeadlineExceededError: The time is over of all who share the call.
            ServerStoppingError: The server stops.

        """
        many = seats(batching, passenger.ask, passenger.request.times)
        if many > 1:
            coach = self._boarded(exchange, batching, passenger, many)
            if coach.aboard[0] is passenger:
                arrival = await self._ridden(coach, passenger)
            else:
                with span("shared call", link=coach.origin) as part:
                    follow(part, coach.origin)
                    arrival = await self._ridden(coach, passenger)
            if arrival is not None:
                page = arrival.told[passenger.ask]
                if isinstance(page, ProviderError):
                    raise page
                return page, arrival.received_at_ns
        return await exchange(
            passenger.request, passenger.read, allowance=passenger.allowance
        )

    def _boarded(
        self,
        exchange: Exchange,
        batching: BarBatching,
        passenger: Passenger,
        many: int,
    ) -> _Coach:
        if self._closed:
            raise ServerStoppingError("this server is stopping")
        now = self._clock.monotonic()
        key = exchange, _likeness(passenger)
        coach = self._waiting.get(key)
        if coach is None:
            coach = _Coach(key, exchange, batching, many, now)
            coach.task = asyncio.create_task(self._driven(coach), name="coach")
            self._waiting[key] = coach
            self._tasks.add(coach.task)
            # A callback, because a task that is cancelled early runs no `finally`.
            coach.task.add_done_callback(partial(self._ended, coach))
        coach.aboard.append(passenger)
        coach.boarded_at_seconds = now
        if coach.full:
            self._leaves(coach)
        return coach

    async def _ridden(self, coach: _Coach, passenger: Passenger) -> _Arrival | None:
        """Return what the call brought; None if everybody has to go alone."""
        try:
            # Unlike awaiting it, this leaves it alone when the caller is cancelled.
            await asyncio.wait((coach.task,))
        finally:
            passenger.allowance.tally.aboard = None
            coach.aboard.remove(passenger)
            if not coach.aboard and not coach.task.done():
                # At once: nobody shall board what is about to end.
                self._leaves(coach)
                _divide(coach.tally, [passenger])
                coach.task.cancel()
        if coach.task.cancelled():
            raise ServerStoppingError("this server is stopping")
        return coach.task.result()

    async def _driven(self, coach: _Coach) -> _Arrival | None:
        await self._filled(coach)
        self._leaves(coach)
        passengers = tuple(coach.aboard)
        request = _request(coach.batching, passengers)
        if request is None:
            return None
        for passenger in passengers:
            passenger.allowance.tally.aboard = coach.tally
        asks = [passenger.ask for passenger in passengers]
        try:
            return await coach.exchange(
                request,
                partial(_read, coach.batching, asks),
                allowance=_allowance(passengers, coach.tally),
            )
        finally:
            _divide(coach.tally, coach.aboard)

    async def _filled(self, coach: _Coach) -> None:
        """Wait for others, but not for long."""
        latest = self._clock.monotonic() + LONGEST_SECONDS
        while not coach.full:
            leaves = min(coach.boarded_at_seconds + QUIET_SECONDS, latest)
            left = leaves - self._clock.monotonic()
            if left <= 0:
                return
            await self._clock.sleep(left)

    def _leaves(self, coach: _Coach) -> None:
        """Let nobody board any more."""
        if self._waiting.get(coach.key) is coach:
            del self._waiting[coach.key]

    def _ended(self, coach: _Coach, task: asyncio.Task[_Arrival | None]) -> None:
        self._tasks.discard(task)
        self._leaves(coach)
        # That nobody waits for it is no reason to complain of how it ended.
        if not task.cancelled():
            task.exception()


def _likeness(passenger: Passenger) -> Hashable:
    """
    Return what is the same for all who share a call.

    They begin at the same time and weigh the same, so that none pays for another, and
    no limit of one is that of another.
    """
    ask, request, allowance = passenger.ask, passenger.request, passenger.allowance
    return (
        ask.interval,
        ask.adjustment,
        ask.hours,
        ask.span.start_ns,
        ask.refused,
        request.feature,
        request.times,
        allowance.kind,
        allowance.lane,
        allowance.last_resort,
        passenger.left_usd,
    )


def _request(
    batching: BarBatching, passengers: Sequence[Passenger]
) -> HttpRequest | None:
    """Return what asks for all; None if there is nothing to be gained by it."""
    if len(passengers) == 1:
        return None
    try:
        request = batching.batch_request([each.ask for each in passengers])
    except ProviderError:
        # It will be said of those of whom it is true.
        return None
    alone = sum(each.request.times for each in passengers)
    return None if request.times > alone else request


def _allowance(passengers: Sequence[Passenger], tally: CallTally) -> Allowance:
    """Return what the most patient allows; the others look to their own time."""
    each = [passenger.allowance for passenger in passengers]
    left_usd = passengers[0].left_usd
    return Allowance(
        max(one.deadline for one in each),
        max(one.longest_quota_wait_seconds for one in each),
        each[0].kind,
        last_resort=each[0].last_resort,
        lane=each[0].lane,
        most_cost_usd=None if left_usd is None else left_usd * len(each),
        tally=tally,
        longest_retry_wait_seconds=max(one.longest_retry_wait_seconds for one in each),
    )


def _read(
    batching: BarBatching, asks: Sequence[BarAsk], response: HttpResponse
) -> _Arrival:
    told = batching.read_batch(response, asks)
    failures = [each for each in told.values() if isinstance(each, ProviderError)]
    if len(failures) == len(told) and all(each.trips_breaker for each in failures):
        # Then it is no matter of one instrument, but rubbish: the call has failed.
        raise failures[0]
    return _Arrival(told, response.received_at_ns)


def _divide(spent: CallTally, aboard: Sequence[Passenger]) -> None:
    """Let all pay the same, to the last billionth; the first has made the calls."""
    if not aboard or not spent.calls:
        return
    part = (spent.cost_usd / len(aboard)).quantize(_SMALLEST_USD, ROUND_DOWN)
    first, *others = (passenger.allowance.tally for passenger in aboard)
    first.calls += spent.calls
    first.cost_usd += spent.cost_usd - part * len(others)
    for tally in others:
        tally.cost_usd += part
        tally.shared_calls += spent.calls
