"""
Measure what it costs that callers wait while a window is closed.

Nobody's turn comes while this looks, so all of it is the price of having them. The
reference is a loop that only sleeps.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from typing import Final

import uvloop

from benchmarks.results import Results, at_most
from ingestion_server.app.clock import SystemClock
from ingestion_server.ports.budget import Budget, Window
from ingestion_server.ports.quota import Lane
from ingestion_server.quota.ledger import Ledger, Setup

ROUNDS: Final = 5
WAITERS: Final = 1000
CLOSED_SECONDS: Final = 3.0
SETTLE_SECONDS: Final = 0.5
MOST_SHARE: Final = 0.02
LIMIT: Final = 60
MINUTE: Final = Budget(windows=(Window(name="minute", limit=LIMIT, seconds=60.0),))


def measured() -> Results:
    """Measure in turn, and judge."""
    waiting, idle = [], []
    for _ in range(ROUNDS):
        idle.append(uvloop.run(_share_used()))
        waiting.append(uvloop.run(_share_used_by_waiters()))
    return {
        "waiters": at_most(
            statistics.median(waiting), "CPU s/s", statistics.median(idle), MOST_SHARE
        )
    }


async def _share_used_by_waiters() -> float:
    account = Ledger(
        [Setup("vendor", "plan", MINUTE, kept=False)], clock=SystemClock()
    ).accounts["vendor"]

    async def reserve() -> None:
        await account.reserve(
            "bars:1d", longest_wait_seconds=math.inf, lane=Lane.INTERACTIVE
        )

    for _ in range(LIMIT):
        await reserve()
    waiters = [asyncio.create_task(reserve()) for _ in range(WAITERS)]
    try:
        # All of them find their place in their first turn of the loop.
        await asyncio.sleep(SETTLE_SECONDS)
        if account.waiting()[Lane.INTERACTIVE] != WAITERS:
            raise RuntimeError("not all of them wait")
        return await _share_used()
    finally:
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)


async def _share_used() -> float:
    """Return the processor time that this process uses, of the time that passes."""
    began, used = time.monotonic(), time.process_time()
    await asyncio.sleep(CLOSED_SECONDS)
    return (time.process_time() - used) / (time.monotonic() - began)
