"""Whatever vendors and callers do, the promises of a breaker hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import pairwise
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.domain.errors import (
    BreakerOpenError,
    IngestionError,
    SymbolUnknownError,
)
from ingestion_server.policies.breaker import Breakers
from ingestion_server.policies.limits import BreakerLimits
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import BreakerPosition, Call
from ingestion_server.ports.routing import BreakerChange
from tests.clocks import ManualClock
from tests.policies.fakes import RESPONSE, asked, busy, unavailable

CLOSED, OPEN, HALF_OPEN = BreakerPosition
LIMITS = BreakerLimits(failures=3, rest_seconds=30.0, longest_rest_seconds=200.0)
RESTS = (30.0, 60.0, 120.0, 200.0)
"""What the rests of these limits are, one after the other."""
MOVES = {
    (CLOSED, OPEN),
    (OPEN, HALF_OPEN),
    (HALF_OPEN, OPEN),
    (HALF_OPEN, CLOSED),
}


class End(Enum):
    """Say how a call ends."""

    GOOD = auto()
    BROKEN = auto()
    BUSY = auto()
    UNKNOWN = auto()
    DEFECT = auto()
    CANCELLED = auto()


@dataclass(frozen=True, slots=True)
class Begin:
    """Some call at once."""

    calls: int


@dataclass(frozen=True, slots=True)
class Finish:
    """One call that is under way ends."""

    which: int
    end: End


@dataclass(frozen=True, slots=True)
class Idle:
    """Time passes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Outage:
    """The vendor fails as many new calls in a row as it takes."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The longest rest passes, and one call ends."""

    end: End


Step: TypeAlias = Begin | Finish | Idle | Outage | Probe

STEPS = st.lists(
    st.one_of(
        st.builds(Begin, st.integers(1, 8)),
        st.builds(Finish, st.integers(0, 20), st.sampled_from(End)),
        # What single steps seldom lead to, and what makes a journey interesting.
        st.builds(Outage),
        st.builds(Probe, st.sampled_from((*End, End.BROKEN, End.BROKEN))),
        st.builds(Idle, st.sampled_from((0.0, 1.0, 29.9, 30.0, 60.0, 200.0))),
    ),
    max_size=60,
)

_ANSWERS: dict[End, Callable[[], Exception]] = {
    End.BROKEN: unavailable,
    End.BUSY: busy,
    End.UNKNOWN: lambda: SymbolUnknownError("no such symbol", provider="acme"),
    End.DEFECT: lambda: ValueError("a bug of ours"),
}


@dataclass
class World:
    """Hold a vendor, its breaker, and all who call; check what was promised."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(runs=False))
    under_way: list[tuple[asyncio.Task[HttpResponse], asyncio.Future[HttpResponse]]] = (
        field(default_factory=list)
    )
    heard: list[BreakerChange] = field(default_factory=list)
    arrived: int = 0
    may_arrive_at: float = 0.0
    """Before this moment nothing may reach the vendor."""

    def __post_init__(self) -> None:
        """Build the breaker."""
        self.breakers = Breakers(lambda _: LIMITS, self.clock, [self.hear])
        self.breaker = self.breakers.for_key("acme", "bars:fx")

    def hear(self, change: BreakerChange) -> None:
        """Note a move, and how long nothing may arrive."""
        self.heard.append(change)
        if change.position is OPEN:
            self.may_arrive_at = self.clock.monotonic() + change.rest_seconds

    async def vendor(self, call: Call) -> HttpResponse:
        """Answer when told so; nobody may come while the breaker is open."""
        del call
        assert self.clock.monotonic() >= self.may_arrive_at
        assert self.breaker.state().position is not OPEN
        self.arrived += 1
        end = asyncio.get_running_loop().create_future()
        task = asyncio.current_task()
        assert task is not None
        self.under_way.append((task, end))
        return await end

    async def take(self, step: Step) -> None:
        """Let one thing happen."""
        match step:
            case Begin(calls):
                await self.begin(calls)
            case Finish(which, end):
                await self.finish(which, end)
            case Idle(seconds):
                await self.clock.advance(seconds)
            case Outage():
                for _ in range(LIMITS.failures):
                    await self.begin(1)
                    await self.finish(-1, End.BROKEN)
            case Probe(end):
                await self.clock.advance(max(RESTS))
                await self.begin(2)
                await self.finish(-1, end)
        await self.clock.advance(0.0)
        view = self.breaker.view()
        assert view.rest_seconds in RESTS
        assert view.position is (self.heard[-1].position if self.heard else CLOSED)

    async def begin(self, calls: int) -> None:
        """Call, and check who is let through."""
        before, arrived = self.breaker.state(), self.arrived
        tasks = [
            asyncio.ensure_future(asked(self.breaker, self.vendor))
            for _ in range(calls)
        ]
        await self.clock.advance(0.0)
        if before.position is CLOSED:
            assert self.arrived == arrived + calls
            return
        assert self.arrived == arrived + (1 if before.admits else 0)
        refused = [task.exception() for task in tasks if task.done()]
        assert {type(error) for error in refused} <= {BreakerOpenError}
        assert len(refused) == calls - (self.arrived - arrived)

    async def finish(self, which: int, end: End) -> None:
        """End one of the calls, and check that it gives up its place."""
        if not self.under_way:
            return
        task, answer = self.under_way.pop(which % len(self.under_way))
        if end is End.CANCELLED:
            task.cancel()
        elif end is End.GOOD:
            answer.set_result(RESPONSE)
        else:
            answer.set_exception(_ANSWERS[end]())
        ended = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(
            ended[0],
            HttpResponse | IngestionError | ValueError | asyncio.CancelledError,
        )


def check_moves(heard: Sequence[BreakerChange]) -> None:
    """Check that moves follow each other, and that rests grow as they should."""
    positions = [CLOSED, *(change.position for change in heard)]
    assert set(pairwise(positions)) <= MOVES
    failed = 0
    for change in heard:
        if change.position is CLOSED:
            failed = 0
        if change.position is OPEN and change.rest_seconds:
            assert change.rest_seconds == RESTS[min(failed, len(RESTS) - 1)]
            failed += 1


@settings(deadline=None)
@given(STEPS)
def test_one_probe_at_a_time_nobody_passes_an_open_breaker_and_rests_are_bounded(
    steps: list[Step],
) -> None:
    async def journey() -> None:
        world = World()
        for step in steps:
            await world.take(step)
        check_moves(world.heard)
        while world.under_way:
            await world.finish(0, End.CANCELLED)
        # No place is lost, whatever became of the probes.
        assert world.breaker.state().position is not HALF_OPEN
        await world.clock.advance(max(RESTS))
        assert await asked(world.breaker, _well) is RESPONSE
        assert world.breaker.state().position is CLOSED

    asyncio.run(journey())


async def _well(call: Call) -> HttpResponse:
    del call
    return RESPONSE
