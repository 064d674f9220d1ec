"""How one sleeps in the queue."""

from __future__ import annotations

import asyncio

from ingestion_server.quota.waiter import Waiter
from tests.clocks import ManualClock


async def test_a_nap_ends_with_a_poke(clock: ManualClock) -> None:
    waiter = Waiter(latest_seconds=0.0)
    nap = asyncio.ensure_future(waiter.nap(clock, 10.0))
    await clock.advance(1.0)
    assert not nap.done()

    waiter.poke()
    waiter.poke()
    await clock.advance(0.0)

    assert nap.done()
    waiter.rearm()
    assert not waiter.poked.done()


async def test_nobody_sleeps_longer_than_a_minute(clock: ManualClock) -> None:
    waiter = Waiter(latest_seconds=0.0)

    nap = asyncio.ensure_future(waiter.nap(clock, float("inf")))
    await clock.advance(60.0)

    assert nap.done()


async def test_who_is_cancelled_leaves_no_timer_behind(clock: ManualClock) -> None:
    waiter = Waiter(latest_seconds=0.0)
    before = asyncio.all_tasks()
    nap = asyncio.ensure_future(waiter.nap(clock, 10.0))
    await clock.advance(1.0)

    nap.cancel()
    await asyncio.wait((nap,))

    assert nap.cancelled()
    assert asyncio.all_tasks() == before
