"""
Calls for quotes that several requests wait for, and what they brought a moment ago.

Unlike flights of bars, one call is about many instruments, and each request waits for
those that bring some of its own, all at the same time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self, final

from ingestion_server.domain.errors import (
    IngestionError,
    NoDataUnexplainedError,
    ServerStoppingError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.ticks import Snapshot
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.quota import Lane
from ingestion_server.ports.tracing import Origin, origin

_MOST_KEPT: Final = 10_000
"""Answers kept at most; some hundred bytes each."""


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Hold what a vendor told of one instrument, or why it told nothing."""

    word: Snapshot | IngestionError
    received_at_ns: int = 0
    at_seconds: float = 0.0
    """When it came, by the clock that never goes back."""


@dataclass(frozen=True, slots=True, eq=False)
class Landing:
    """Hold what one call brought."""

    told: Mapping[Instrument, Told]
    by_limit: bool = False
    """Whether it failed only by the limits of the one who began it."""


@dataclass(slots=True, eq=False)
class Flight:
    """Be one call under way."""

    provider: str
    lane: Lane
    instruments: Sequence[Instrument]
    task: asyncio.Task[Landing]
    waiters: int = 0
    origin: Origin | None = field(default_factory=origin)
    """What it was begun for."""


@final
class QuoteFlights:
    """
    Own the calls under way; an async context manager, which ends them on leaving.

    A flight that nobody waits for any more is ended.
    """

    def __init__(
        self, clock: Clock, *, fresh_seconds: float, absent_seconds: float = 0.0
    ) -> None:
        """
        Start with none.

        Args:
            clock: tells how old an answer is.
            fresh_seconds: how long a quote is as good as asking again; 0 = never.
            absent_seconds: the same of what a vendor does not know.

        """
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._absent_seconds = absent_seconds
        self._flights: dict[tuple[str, Lane, Instrument], Flight] = {}
        self._tasks: set[asyncio.Task[Landing]] = set()
        self._known: OrderedDict[tuple[str, Instrument], Told] = OrderedDict()
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

    def known(self, provider: str, instrument: Instrument) -> Told | None:
        """Return what a vendor told a moment ago; None if that is too long ago."""
        told = self._known.get((provider, instrument))
        if told is None or self._too_old(told):
            return None
        return told

    def over(self, provider: str, lane: Lane, instrument: Instrument) -> Flight | None:
        """Return the call under way that will tell of an instrument."""
        return self._flights.get((provider, lane, instrument))

    def begun(
        self,
        provider: str,
        lane: Lane,
        instruments: Sequence[Instrument],
        fly: Callable[[], Coroutine[object, object, Landing]],
    ) -> Flight:
        """
        Begin a call.

        Raises:
            ServerStoppingError: The server stops.

        """
        if self._closed:
            raise ServerStoppingError("this server is stopping")
        task = asyncio.create_task(fly(), name="quotes")
        flight = Flight(provider, lane, tuple(instruments), task)
        for instrument in flight.instruments:
            self._flights[provider, lane, instrument] = flight
        self._tasks.add(task)
        # A callback, because a task that is cancelled early runs no `finally`.
        task.add_done_callback(lambda _: self._landed(flight))
        return flight

    async def landed(self, flight: Flight) -> Landing:
        """
        Wait for a call; when the last one leaves who waits for it, it is ended.

        Raises:
            ServerStoppingError: The server stops.

        """
        flight.waiters += 1
        try:
            # Unlike awaiting it, this leaves it alone when the caller is cancelled.
            await asyncio.wait((flight.task,))
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                # At once: nobody shall board what is about to end.
                self._forget(flight)
                flight.task.cancel()
        if flight.task.cancelled():
            raise ServerStoppingError("this server is stopping")
        return flight.task.result()

    def _landed(self, flight: Flight) -> None:
        self._tasks.discard(flight.task)
        self._forget(flight)
        # That nobody waits for it is no reason to complain of how it ended.
        if flight.task.cancelled() or flight.task.exception() is not None:
            return
        for instrument, told in flight.task.result().told.items():
            if not self._too_old(told):
                self._known[flight.provider, instrument] = told
                self._known.move_to_end((flight.provider, instrument))
        while self._known and (
            len(self._known) > _MOST_KEPT
            or self._too_old(next(iter(self._known.values())))
        ):
            self._known.popitem(last=False)

    def _too_old(self, told: Told) -> bool:
        good_for_seconds = 0.0
        if isinstance(told.word, Snapshot):
            good_for_seconds = self._fresh_seconds
        elif isinstance(told.word, SymbolUnknownError | NoDataUnexplainedError):
            good_for_seconds = self._absent_seconds
        return self._clock.monotonic() - told.at_seconds >= good_for_seconds

    def _forget(self, flight: Flight) -> None:
        for instrument in flight.instruments:
            key = (flight.provider, flight.lane, instrument)
            if self._flights.get(key) is flight:
                del self._flights[key]
