"""
Calls that several requests wait for.

A request that wants what another is being brought already waits for it; it neither
hurries it, nor is it hurried by it, nor is it bound by its limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Generic, NamedTuple, Protocol, Self, TypeVar, final

from ingestion_server.domain.errors import ServerStoppingError
from ingestion_server.domain.query import Span
from ingestion_server.domain.spans import subtracted
from ingestion_server.ports.policy import CallTally
from ingestion_server.ports.tracing import Origin, follow, origin, span

_MOST_LINGERING: Final = 64
"""More calls than this, whose answers nobody needs any more, are not waited for."""


class Cargo(Protocol):
    """Be what a flight brings."""

    @property
    def failed(self) -> bool:
        """Tell whether not everything came."""
        ...

    @property
    def by_limit(self) -> bool:
        """Tell whether that is only since the one who began it would wait no longer."""
        ...


C = TypeVar("C", bound=Cargo)


@dataclass(slots=True, eq=False)
class _Flight(Generic[C]):
    key: Hashable
    spans: Sequence[Span]
    tally: CallTally
    task: asyncio.Task[C]
    waiters: set[asyncio.Task[object] | None] = field(default_factory=set)
    origin: Origin | None = field(default_factory=origin)
    """What it was begun for."""


class Arrival(NamedTuple, Generic[C]):
    """Be what one flight brought."""

    spans: Sequence[Span]
    """What it was to bring."""
    cargo: C
    mine: bool
    """Whether it was begun for the one who asks."""


@final
class Flights(Generic[C]):
    """
    Own the calls under way; an async context manager, which ends them on leaving.

    A flight that nobody waits for any more is ended.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._flights: dict[Hashable, list[_Flight[C]]] = {}
        self._tasks: set[asyncio.Task[C]] = set()
        self._lingering: set[asyncio.Task[object]] = set()
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
        tasks: list[asyncio.Task[object]] = [*self._lingering]
        for task in (*tasks, *self._tasks):
            task.cancel()
        if tasks or self._tasks:
            await asyncio.wait((*tasks, *self._tasks))

    async def brought(
        self,
        key: Hashable,
        spans: Sequence[Span],
        begin: Callable[[Sequence[Span]], Awaitable[C]],
        *,
        tally: CallTally,
        overdue: Callable[[CallTally], bool],
    ) -> list[Arrival[C]]:
        """
        Return what flights brought of the spans, by flights under way or new ones.

        Args:
            key: what is the same for requests that can share; a kind of bars.
            spans: what of it is wanted.
            begin: begins a flight for spans; what it brings says how it went. After
                a failure nothing further is begun.
            tally: where the calls of new ones count.
            overdue: tells by the calls of a flight that it is not worth boarding.

        Raises:
            ServerStoppingError: The server stops.

        """
        left, arrivals = list(spans), list[Arrival[C]]()
        while left:
            flight = self._over(key, left, overdue)
            mine = flight is None
            if flight is None:
                flight = self._begun(key, left, begin, tally)
            if mine:
                cargo = await self._waited(flight)
            else:
                with span("shared call", link=flight.origin) as part:
                    follow(part, flight.origin)
                    cargo = await self._waited(flight)
            if cargo.by_limit and not mine:
                continue
            arrivals.append(Arrival(flight.spans, cargo, mine))
            if cargo.failed:
                break
            left = subtracted(left, flight.spans)
        return arrivals

    def boarding(
        self,
        key: Hashable,
        spans: Sequence[Span],
        *,
        overdue: Callable[[CallTally], bool],
    ) -> CallTally | None:
        """Return the calls of the flight that would be waited for; None = a new one."""
        flight = self._over(key, spans, overdue)
        return None if flight is None else flight.tally

    def linger(
        self, task: asyncio.Task[object], *, spare_seconds: float | None = None
    ) -> None:
        """
        Own a task whose outcome its owner needs no more, and others learn from.

        What only such tasks wait for was given up as too slow: nobody boards it, and
        its calls may take ``spare_seconds`` each; None = as long as any.
        """
        if self._closed or len(self._lingering) >= _MOST_LINGERING:
            task.cancel()
        self._lingering.add(task)
        for flights in tuple(self._flights.values()):
            for flight in flights:
                if task in flight.waiters and flight.waiters <= self._lingering:
                    self._forget(flight)
                    if spare_seconds is not None:
                        flight.tally.desert(spare_seconds)
        task.add_done_callback(self._lingered)

    def _lingered(self, task: asyncio.Task[object]) -> None:
        self._lingering.discard(task)
        _looked_at(task)

    def _over(
        self,
        key: Hashable,
        spans: Sequence[Span],
        overdue: Callable[[CallTally], bool],
    ) -> _Flight[C] | None:
        """Return a flight that will bring some of the spans, and soon."""
        for flight in self._flights.get(key, ()):
            if not overdue(flight.tally) and any(
                flown.start_ns < span.end_ns and span.start_ns < flown.end_ns
                for flown in flight.spans
                for span in spans
            ):
                return flight
        return None

    def _begun(
        self,
        key: Hashable,
        spans: Sequence[Span],
        begin: Callable[[Sequence[Span]], Awaitable[C]],
        tally: CallTally,
    ) -> _Flight[C]:
        if self._closed:
            raise ServerStoppingError("this server is stopping")

        async def fly() -> C:
            return await begin(spans)

        task = asyncio.create_task(fly(), name="flight")
        flight = _Flight(key, tuple(spans), tally, task)
        self._flights.setdefault(key, []).append(flight)
        self._tasks.add(task)
        # A callback, because a task that is cancelled early runs no `finally`.
        task.add_done_callback(lambda _: self._landed(flight))
        return flight

    def _landed(self, flight: _Flight[C]) -> None:
        self._tasks.discard(flight.task)
        self._forget(flight)
        _looked_at(flight.task)

    def _forget(self, flight: _Flight[C]) -> None:
        others = [f for f in self._flights.get(flight.key, ()) if f is not flight]
        if others:
            self._flights[flight.key] = others
        else:
            self._flights.pop(flight.key, None)

    async def _waited(self, flight: _Flight[C]) -> C:
        me: asyncio.Task[object] | None = asyncio.current_task()
        flight.waiters.add(me)
        try:
            # Unlike awaiting it, this leaves it alone when the caller is cancelled.
            await asyncio.wait((flight.task,))
        finally:
            flight.waiters.discard(me)
            if not flight.waiters and not flight.task.done():
                # At once: nobody shall board what is about to end.
                self._forget(flight)
                flight.task.cancel()
        if flight.task.cancelled():
            raise ServerStoppingError("this server is stopping")
        return flight.task.result()


def _looked_at(task: asyncio.Task[C] | asyncio.Task[object]) -> None:
    """Look at how a task ended: that nobody waits for it is no reason to complain."""
    if not task.cancelled():
        task.exception()
