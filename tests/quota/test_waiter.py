"""How one sleeps in the queue."""

from __future__ import annotations

import asyncio

from ingestion_server.ports.quota import Lane
from ingestion_server.quota.waiter import Waiter
from tests.clocks import ManualClock


def waiter() -> Waiter:
    """Return one who waits for a single unit."""
    return Waiter(0.0, lane=Lane.BATCH, units=1)


async def test_a_nap_ends_with_a_poke(clock: ManualClock) -> None:
    one = waiter()
    nap = asyncio.ensure_future(one.nap(clock, 10.0))
    await clock.advance(1.0)
    assert not nap.done()

    one.poke()
    one.poke()
    await clock.advance(0.0)

    assert nap.done()
    one.rearm()
    assert not one.poked.done()


async def test_a_poke_before_the_nap_is_not_slept_through(clock: ManualClock) -> None:
    one = waiter()
    one.poke()

    nap = asyncio.ensure_future(one.nap(clock, 10.0))
    await clock.advance(0.0)

    assert nap.done()


async def test_a_nap_ends_at_its_time(clock: ManualClock) -> None:
    one = waiter()
    nap = asyncio.ensure_future(one.nap(clock, 10.0))

    await clock.advance(9.999)
    assert not nap.done()
    await clock.advance(0.001)

    assert nap.done()
    assert not one.poked.done()


async def test_nobody_sleeps_longer_than_a_minute(clock: ManualClock) -> None:
    nap = asyncio.ensure_future(waiter().nap(clock, float("inf")))

    await clock.advance(60.0)

    assert nap.done()


async def test_who_is_cancelled_leaves_no_timer_behind(clock: ManualClock) -> None:
    before = asyncio.all_tasks()
    nap = asyncio.ensure_future(waiter().nap(clock, 10.0))
    await clock.advance(1.0)

    nap.cancel()
    await asyncio.wait((nap,))

    assert nap.cancelled()
    assert asyncio.all_tasks() == before
