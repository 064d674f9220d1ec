"""Time that passes when a test says so."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import math
from collections.abc import AsyncIterator, Callable

SECOND_NS = 1_000_000_000
NOW_NS = 1_736_519_400 * SECOND_NS
"""2025-01-10 14:30 UTC, when New York opens."""

_TURNS = 10


class ManualClock:
    """
    Be a ``Clock`` without waiting; the same calls always end in the same order.

    By default time runs by itself: when somebody sleeps, everyone else gets a few
    turns of the loop, and then the clock jumps to the first who is due. With
    ``runs=False`` it stands still until ``await clock.advance(seconds)``; use that
    where something sleeps again and again.
    """

    def __init__(
        self, now_ns: int = NOW_NS, *, monotonic: float = 1000.0, runs: bool = True
    ) -> None:
        """Start both clocks."""
        self.slept: list[float] = []
        self._wall_ns = now_ns
        self._monotonic_ns = round(monotonic * SECOND_NS)
        self._runs = runs
        self._order = itertools.count()
        # Ends at, order of arrival, whether anybody still cares, and what happens.
        self._due: list[tuple[int, int, Callable[[], bool], Callable[[], None]]] = []
        self._pump: asyncio.Handle | None = None

    def now_ns(self) -> int:
        """Return the wall clock."""
        return self._wall_ns

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._monotonic_ns / SECOND_NS

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has come so far; at least let others run once."""
        self.slept.append(seconds)
        woken = asyncio.get_running_loop().create_future()

        self._at(seconds, lambda: not woken.done(), lambda: woken.set_result(None))
        await woken

    @contextlib.asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
        """Do what ``asyncio.timeout`` does, by this clock."""
        inside = True
        async with asyncio.timeout(None) as scope:
            if seconds is not None:
                past = asyncio.get_running_loop().time()
                self._at(seconds, lambda: inside, lambda: scope.reschedule(past))
            try:
                yield scope
            finally:
                inside = False

    def jump(self, seconds: float) -> None:
        """Set the wall clock, as an administrator would; nobody wakes."""
        self._wall_ns += round(seconds * SECOND_NS)

    def pass_by(self, seconds: float) -> None:
        """Let time pass while nothing runs; those who are due wake afterwards."""
        self._move(self._monotonic_ns + round(seconds * SECOND_NS))

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking everyone at their moment."""
        end_ns = self._monotonic_ns + round(seconds * SECOND_NS)
        await self._settle()
        while self._next_due_ns() <= end_ns:
            self._wake_first()
            await self._settle()
        self._move(end_ns)
        await self._settle()

    def _at(
        self, seconds: float, alive: Callable[[], bool], act: Callable[[], None]
    ) -> None:
        # Rounded up, so that a sleeper never finds that it is still too early.
        due_ns = self._monotonic_ns + math.ceil(max(seconds, 0.0) * SECOND_NS)
        heapq.heappush(self._due, (due_ns, next(self._order), alive, act))
        if self._runs and self._pump is None:
            self._run_after(_TURNS)

    def _run_after(self, turns: int) -> None:
        self._pump = asyncio.get_running_loop().call_soon(self._run, turns)

    def _run(self, turns: int) -> None:
        self._pump = None
        if turns > 1:
            self._run_after(turns - 1)
            return
        if self._next_due_ns() < math.inf:
            self._wake_first()
        if self._due:
            self._run_after(_TURNS)

    def _next_due_ns(self) -> float:
        while self._due and not self._due[0][2]():
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else math.inf

    def _wake_first(self) -> None:
        due_ns, _, _, act = heapq.heappop(self._due)
        self._move(due_ns)
        act()

    def _move(self, to_ns: int) -> None:
        passed_ns = max(to_ns - self._monotonic_ns, 0)
        self._monotonic_ns += passed_ns
        self._wall_ns += passed_ns

    @staticmethod
    async def _settle() -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
