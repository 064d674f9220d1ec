"""Accounts without a file, and the things that one does with them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from zoneinfo import ZoneInfo

import pytest

from ingestion_server.domain.errors import QuotaExhaustedError
from ingestion_server.ports.budget import Budget, Counts, Period, Window, WindowKind
from ingestion_server.ports.quota import Debit, Lane
from ingestion_server.quota.account import Account, Cooldown
from ingestion_server.quota.ledger import Ledger, Setup, Terms
from tests.clocks import ManualClock

# The server reads them when it starts, in a thread; tests begin within the loop.
ZONES_READ = [
    ZoneInfo(name)
    for name in ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
]
FOREVER = float("inf")
MINUTE = Window(name="minute", limit=5, seconds=60.0)
SECOND = Window(name="second", limit=1, seconds=1.0)
DAY = Window(
    name="day",
    limit=25,
    kind=WindowKind.FIXED,
    period=Period.DAY,
    reset_zone="America/New_York",
)


def rolling(
    name: str,
    limit: int,
    seconds: float,
    *,
    counts: Counts = Counts.CALLS,
    margin: float | None = None,
) -> Window:
    """Return a rolling window."""
    return Window(
        name=name, limit=limit, seconds=seconds, counts=counts, margin_seconds=margin
    )


def account(
    clock: ManualClock,
    *windows: Window,
    share: float = 0.1,
    cooldown: Cooldown = Cooldown(),  # noqa: B008 -- frozen
    weights: dict[str, int] | None = None,
    most_under_way: int = sys.maxsize,
) -> Account:
    """Return the account of a vendor that is written down nowhere."""
    return ledger(
        clock,
        Budget(windows=windows, weights=weights or {}),
        Terms(
            interactive_share=share, cooldown=cooldown, most_under_way=most_under_way
        ),
    ).accounts["acme"]


def ledger(
    clock: ManualClock,
    budget: Budget,
    terms: Terms = Terms(),  # noqa: B008 -- frozen
) -> Ledger:
    """Return a ledger of one vendor that is written down nowhere."""
    return Ledger([Setup("acme", "free", budget)], clock=clock, terms=terms)


async def take(
    acme: Account,
    calls: int = 1,
    *,
    lane: Lane = Lane.INTERACTIVE,
    endpoint: str = "quote",
    wait: float = 0.0,
) -> list[Debit]:
    """Reserve calls that must have their turn in time."""
    return [
        await acme.reserve(endpoint, longest_wait_seconds=wait, lane=lane)
        for _ in range(calls)
    ]


async def refused(reservation: Awaitable[object]) -> QuotaExhaustedError:
    """Return the refusal, which must come."""
    with pytest.raises(QuotaExhaustedError) as caught:
        await reservation
    return caught.value


async def most(acme: Account, lane: Lane) -> int:
    """Take all that a lane can have now, and return how much that was."""
    taken = 0
    while True:
        try:
            await take(acme, lane=lane)
        except QuotaExhaustedError:
            return taken
        taken += 1


class Crowd:
    """Let callers wait, and remember who left when."""

    def __init__(self, acme: Account, clock: ManualClock) -> None:
        """Nobody has come yet."""
        self.left: list[tuple[str, float]] = []
        self.refused: list[tuple[str, QuotaExhaustedError]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._acme = acme
        self._clock = clock

    def come(
        self,
        name: str,
        *,
        lane: Lane = Lane.INTERACTIVE,
        wait: float = FOREVER,
        endpoint: str = "quote",
        then: Callable[[Debit], None] | None = None,
    ) -> None:
        """Let one come, who waits from the next turn of the loop on."""

        async def one() -> None:
            try:
                debit = await self._acme.reserve(
                    endpoint, longest_wait_seconds=wait, lane=lane
                )
            except QuotaExhaustedError as error:
                self.refused.append((name, error))
                return
            self.left.append((name, debit.at_seconds))
            if then is not None:
                then(debit)

        self.tasks[name] = asyncio.get_running_loop().create_task(one())

    @property
    def names(self) -> list[str]:
        """Return who left, in order."""
        return [name for name, _ in self.left]

    @property
    def times(self) -> list[float]:
        """Return when they left."""
        return [at for _, at in self.left]

    async def home(self) -> None:
        """Send away who still waits."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
