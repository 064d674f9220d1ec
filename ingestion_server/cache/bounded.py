"""A bounded memory of answers, each asked for once."""

from __future__ import annotations

import asyncio
import functools
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar, final

from ingestion_server.domain.errors import ServerStoppingError
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.tracing import Origin, follow, origin, span

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Entry(NamedTuple, Generic[V]):
    value: V
    ends_at: float


@final
class BoundedCache(Generic[K, V]):
    """
    Keep the answers that were used last, each for its own time to live.

    Use it as an async context manager, which owns the loads and, on leaving, cancels
    those that are still running::

        async with BoundedCache[str, Actions](entries=1000, clock=clock) as cache:
            actions = await cache.get_or_load("NVDA", load, ttl_seconds=3600)
    """

    def __init__(self, entries: int, clock: Clock) -> None:
        """
        Start empty.

        Args:
            entries: how many answers are kept; the one used longest ago goes first.
            clock: tells when an answer is too old.

        """
        if entries < 1:
            raise ValueError(f"a cache must keep at least one entry, not {entries}")
        self._limit = entries
        self._clock = clock
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._flights: dict[K, asyncio.Future[V]] = {}
        # What each of them was begun for.
        self._origins: dict[K, Origin | None] = {}
        self._tasks: set[asyncio.Task[V]] = set()
        self._entered = False
        self._closed = False

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            # Not gather(): what they raise goes to those who asked.
            await asyncio.wait(tasks)

    def __len__(self) -> int:
        return len(self._entries)

    async def get_or_load(
        self, key: K, load: Callable[[], Awaitable[V]], *, ttl_seconds: float
    ) -> V:
        """
        Return what is known, else load it.

        However many ask at the same time, one load is made, and one that is cancelled
        does not cancel it. It runs on behalf of everybody, so it must not depend on
        the deadline of the one who happened to come first. A failure goes to all who
        waited, and is not remembered.

        Args:
            key: what is asked for.
            load: finds the answer.
            ttl_seconds: how long the answer is good, from when it came.

        Raises:
            ServerStoppingError: the cache was closed, and the answer is not known.
            RuntimeError: outside of ``async with``.

        """
        entry = self._entries.get(key)
        if entry is not None:
            if self._clock.monotonic() < entry.ends_at:
                self._entries.move_to_end(key)
                return entry.value
            del self._entries[key]
        flight = self._flights.get(key)
        # Unlike awaiting it, waiting leaves it alone when the caller is cancelled.
        if flight is None:
            flight = self._start(key, load, ttl_seconds)
            await asyncio.wait((flight,))
        else:
            leader = self._origins[key]
            with span("shared call", link=leader) as part:
                follow(part, leader)
                await asyncio.wait((flight,))
        return flight.result()

    def _start(
        self, key: K, load: Callable[[], Awaitable[V]], ttl_seconds: float
    ) -> asyncio.Future[V]:
        if not self._entered:
            raise RuntimeError("use BoundedCache within `async with`")
        if self._closed:
            raise ServerStoppingError("the server has stopped loading")
        flight: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        self._origins[key] = origin()
        task = asyncio.create_task(_awaited(load), name="cache:load")
        self._tasks.add(task)
        # A callback, because a task that is cancelled early runs no `finally`.
        task.add_done_callback(functools.partial(self._land, key, ttl_seconds))
        return flight

    def _land(self, key: K, ttl_seconds: float, task: asyncio.Task[V]) -> None:
        """Give everyone the answer, whatever has become of the load."""
        self._tasks.discard(task)
        flight = self._flights.pop(key)
        del self._origins[key]
        failure: BaseException | None
        if task.cancelled():
            # Not a cancellation, which those who wait would take for their own.
            failure = ServerStoppingError("the server stopped while it was loading")
        else:
            failure = task.exception()
        if failure is not None:
            flight.set_exception(failure)
            # Nobody may be waiting any more, which is no reason to complain.
            flight.exception()
            return
        flight.set_result(task.result())
        self._keep(key, task.result(), ttl_seconds)

    def _keep(self, key: K, value: V, ttl_seconds: float) -> None:
        if ttl_seconds <= 0:
            return
        self._entries[key] = _Entry(value, self._clock.monotonic() + ttl_seconds)
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)


async def _awaited(load: Callable[[], Awaitable[V]]) -> V:
    """Make a coroutine of any awaitable, which a task demands."""
    return await load()
