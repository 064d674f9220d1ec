"""A machine, a vendor and what happens between them, by a clock that tests move."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ingestion_server.domain.errors import QuotaExhaustedError
from ingestion_server.ports.budget import Budget, Counts, Window, WindowKind
from ingestion_server.ports.quota import Debit, Lane
from ingestion_server.quota.account import Account
from ingestion_server.quota.ledger import Ledger, Place, Setup, Terms
from tests.clocks import NOW_NS, SECOND_NS, ManualClock
from tests.quota import judge

PROVIDER = "acme"
_LAST_PACKETS_NS = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Say what one call does."""

    lane: Lane = Lane.INTERACTIVE
    endpoint: str = "quote"
    patience_seconds: float = 60.0
    travel_seconds: float = 0.003
    answer_seconds: float = 0.05
    """After how long it is answered, or given up; never less than it travels."""
    leaves: bool = True


@dataclass(slots=True)
class Vendor:
    """Be told of each call that arrives, by the true time."""

    arrivals: list[tuple[int, int]] = field(default_factory=list)
    """True nanoseconds, and units; in the order in which they left."""

    def arrive(self, at_ns: int, units: int) -> None:
        """Hear of one."""
        self.arrivals.append((at_ns, units))


class World:
    """
    Hold a machine whose wall clock anybody may set, and a vendor whom nobody fools.

    The vendor's time goes on evenly, whatever happens here. A kill leaves the file as
    it is; a reboot also starts the steady clock anew, and sets the wall clock right.
    """

    def __init__(
        self,
        folder: Path,
        budget: Budget,
        *,
        now_ns: int = NOW_NS,
        boots: bool = True,
        connections: int = sys.maxsize,
    ) -> None:
        """
        Start the machine; the server starts with ``start``.

        Calls that have their turn leave over so many connections, and wait for one if
        they must; the server knows how many there are.
        """
        self._connections = asyncio.Semaphore(connections)
        self.terms = Terms(most_under_way=connections)
        self.folder = folder
        self.budget = budget
        self.vendor = Vendor()
        self.refused: list[QuotaExhaustedError] = []
        self.failed: list[BaseException] = []
        """What went wrong otherwise."""
        self.granted: list[tuple[int, Plan, Debit]] = []
        """In the order in which they were let go: number, plan and proof."""
        self._boots = boots
        self._boot = 0
        self._asked = 0
        self._running: set[asyncio.Task[None]] = set()
        self.waiting: list[asyncio.Task[None]] = []
        self.clock = ManualClock(now_ns, runs=False)
        self._true_at_zero_ns = now_ns - round(self.clock.monotonic() * SECOND_NS)
        self.ledger: Ledger

    @property
    def true_ns(self) -> int:
        """Return the vendor's time."""
        return self._true_at_zero_ns + round(self.clock.monotonic() * SECOND_NS)

    @property
    def account(self) -> Account:
        """Return the vendor's account in the present run."""
        return self.ledger.accounts[PROVIDER]

    async def start(self) -> None:
        """Start the server."""
        place = Place(self.folder, boot=f"boot {self._boot}" if self._boots else "")
        # In a thread, as the server does, since it waits for the disk.
        self.ledger = await asyncio.to_thread(
            Ledger,
            [Setup(PROVIDER, "plan", self.budget, "key")],
            clock=self.clock,
            terms=self.terms,
            place=place,
        )

    async def kill(self) -> None:
        """
        End the server at once: nothing is saved, and nobody hears of answers.

        What was to arrive later has left with the last packets, or never will.
        """
        last_ns = self.true_ns + _LAST_PACKETS_NS
        self.vendor.arrivals = [
            (min(at_ns, last_ns), units) for at_ns, units in self.vendor.arrivals
        ]
        running = [*self._running]
        for task in running:
            task.cancel()
        self.ledger.close()
        await asyncio.gather(*running, return_exceptions=True)
        self.waiting.clear()

    async def restart(self, down_seconds: float) -> None:
        """Kill the server, and start it again."""
        await self.kill()
        self.clock.pass_by(down_seconds)
        await self.start()

    async def reboot(self, down_seconds: float) -> None:
        """Switch the machine off and on, and start the server again."""
        await self.kill()
        true_ns = self.true_ns + round(down_seconds * SECOND_NS)
        self.clock = ManualClock(true_ns, monotonic=5.0, runs=False)
        self._true_at_zero_ns = true_ns - round(self.clock.monotonic() * SECOND_NS)
        self._boot += 1
        await self.start()

    async def stop(self) -> None:
        """End the test."""
        await self.kill()
        if self.failed:
            raise self.failed[0]

    def call(self, plan: Plan) -> asyncio.Task[None]:
        """Let somebody call."""
        self._asked += 1
        task = asyncio.get_running_loop().create_task(self._call(self._asked, plan))
        self._running.add(task)
        self.waiting.append(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task in self.waiting:
            self.waiting.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed.append(error)

    async def _call(self, number: int, plan: Plan) -> None:
        account, clock = self.account, self.clock
        me = asyncio.current_task()
        assert me is not None
        try:
            debit = await account.reserve(
                plan.endpoint,
                longest_wait_seconds=plan.patience_seconds,
                lane=plan.lane,
            )
        except QuotaExhaustedError as error:
            self.refused.append(error)
            return
        self.waiting.remove(me)
        self.granted.append((number, plan, debit))
        async with self._connections:
            if plan.leaves:
                self.vendor.arrive(
                    self.true_ns + round(plan.travel_seconds * SECOND_NS), debit.units
                )
            await clock.sleep(max(plan.answer_seconds, plan.travel_seconds))
        if plan.leaves:
            account.arrived(debit, {})
        else:
            account.refund(debit)


def judged(world: World) -> judge.Judge:
    """Return a judge who knows what arrived."""
    strict = judge.Judge(limit_of(window) for window in world.budget.windows)
    for at_ns, units in world.vendor.arrivals:
        strict.arrive(at_ns, 1, units)
    return strict


def limit_of(window: Window) -> judge.Limit:
    """Return what a window means to a vendor who grants no margin."""
    counts: judge.Counts = "units" if window.counts is Counts.UNITS else "calls"
    if window.kind is WindowKind.FIXED:
        assert window.period is not None
        periods: dict[str, judge.Period] = {
            "minute": "minute",
            "hour": "hour",
            "day": "day",
            "month": "month",
        }
        return judge.Fixed(
            name=window.name,
            limit=window.limit,
            period=periods[window.period],
            zone=window.reset_zone,
            counts=counts,
        )
    span_ns = round(window.seconds * SECOND_NS)
    if window.kind is WindowKind.BUCKET:
        return judge.Bucket(
            name=window.name, limit=window.limit, refill_ns=span_ns, counts=counts
        )
    return judge.Rolling(
        name=window.name, limit=window.limit, span_ns=span_ns, counts=counts
    )
