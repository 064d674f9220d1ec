"""Who is urgent goes first, and nobody waits longer than they said."""

from __future__ import annotations

import asyncio

from ingestion_server.domain.errors import QuotaExhaustedError
from ingestion_server.quota.rolling import RollingQuota
from tests.clocks import ManualClock
from tests.quota.vendors import SECOND


async def _reserved(
    quota: RollingQuota, name: str, order: list[str], *, wait: float, urgent: bool
) -> None:
    try:
        await quota.reserve(longest_wait_seconds=wait, urgent=urgent)
    except QuotaExhaustedError:
        order.append(f"{name} refused")
    else:
        order.append(name)


async def test_an_urgent_call_passes_those_that_may_wait() -> None:
    quota = RollingQuota("acme", [SECOND], ManualClock())
    order: list[str] = []
    await quota.reserve(longest_wait_seconds=0)

    async with asyncio.TaskGroup() as tasks:
        for name, urgent in (("batch", False), ("first", True), ("second", True)):
            tasks.create_task(_reserved(quota, name, order, wait=60, urgent=urgent))
            await asyncio.sleep(0)

    assert order == ["first", "second", "batch"]


async def test_one_that_is_passed_is_told_when_its_turn_comes_too_late() -> None:
    quota = RollingQuota("acme", [SECOND], ManualClock())
    order: list[str] = []
    await quota.reserve(longest_wait_seconds=0)

    async with asyncio.TaskGroup() as tasks:
        for name, wait, urgent in (("batch", 1.5, False), ("first", 60.0, True)):
            tasks.create_task(_reserved(quota, name, order, wait=wait, urgent=urgent))
            await asyncio.sleep(0)

    assert order == ["batch refused", "first"]
