"""Answers are kept for a while, and asked for once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ingestion_server.cache.bounded import BoundedCache
from ingestion_server.domain.errors import (
    ProviderUnavailableError,
    ServerStoppingError,
)
from tests.clocks import ManualClock

Cache = BoundedCache[str, int]


class Source:
    """Count how often it is asked, and answer when told so."""

    def __init__(self, *, waits: bool = False) -> None:
        """Begin with 1."""
        self.asked = 0
        self.failure: Exception | None = None
        self.go = asyncio.Event()
        if not waits:
            self.go.set()

    async def __call__(self) -> int:
        """Return how often it was asked."""
        self.asked += 1
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return self.asked


@pytest.fixture
async def cache(clock: ManualClock) -> AsyncIterator[Cache]:
    """Make a cache of two entries."""
    async with Cache(entries=2, clock=clock) as cache:
        yield cache


async def test_an_answer_is_kept_for_its_time_and_not_longer(
    cache: Cache, clock: ManualClock
) -> None:
    source = Source()

    first = await cache.get_or_load("NVDA", source, ttl_seconds=60.0)
    clock.pass_by(59.9)
    second = await cache.get_or_load("NVDA", source, ttl_seconds=60.0)
    clock.pass_by(0.1)
    third = await cache.get_or_load("NVDA", source, ttl_seconds=60.0)

    assert (first, second, third) == (1, 1, 2)


async def test_the_time_to_live_begins_when_the_answer_came(
    cache: Cache, clock: ManualClock
) -> None:
    source = Source(waits=True)
    task = asyncio.ensure_future(cache.get_or_load("NVDA", source, ttl_seconds=60.0))
    await clock.advance(100.0)

    source.go.set()
    await task
    await cache.get_or_load("NVDA", source, ttl_seconds=60.0)

    assert source.asked == 1


async def test_what_was_used_longest_ago_makes_room(cache: Cache) -> None:
    source = Source()
    for key in ("a", "b", "a", "c", "a", "b"):
        await cache.get_or_load(key, source, ttl_seconds=60.0)

    assert source.asked == 4
    assert len(cache) == 2


async def test_a_hundred_equal_questions_are_one(
    cache: Cache, clock: ManualClock
) -> None:
    source = Source(waits=True)
    tasks = [
        asyncio.ensure_future(cache.get_or_load("NVDA", source, ttl_seconds=0.0))
        for _ in range(100)
    ]
    await clock.advance(0.0)

    source.go.set()
    answers = await asyncio.gather(*tasks)

    assert answers == [1] * 100
    assert len(cache) == 0


async def test_a_cancelled_leader_does_not_cancel_its_followers(
    cache: Cache, clock: ManualClock
) -> None:
    source = Source(waits=True)
    leader, follower = (
        asyncio.ensure_future(cache.get_or_load("NVDA", source, ttl_seconds=60.0))
        for _ in range(2)
    )
    await clock.advance(0.0)

    leader.cancel()
    await clock.advance(0.0)
    source.go.set()

    assert await follower == 1
    assert leader.cancelled()


async def test_a_failure_goes_to_all_who_waited_and_is_not_kept(
    cache: Cache, clock: ManualClock
) -> None:
    source = Source(waits=True)
    source.failure = ProviderUnavailableError("HTTP 503", provider="acme")
    tasks = [
        asyncio.ensure_future(cache.get_or_load("NVDA", source, ttl_seconds=60.0))
        for _ in range(3)
    ]
    await clock.advance(0.0)

    source.go.set()
    await asyncio.wait(tasks)

    assert {task.exception() for task in tasks} == {source.failure}
    source.failure = None
    assert await cache.get_or_load("NVDA", source, ttl_seconds=60.0) == 2


async def test_a_failure_that_nobody_waits_for_is_no_warning(
    cache: Cache, clock: ManualClock
) -> None:
    source = Source(waits=True)
    source.failure = ProviderUnavailableError("HTTP 503", provider="acme")
    task = asyncio.ensure_future(cache.get_or_load("NVDA", source, ttl_seconds=60.0))
    await clock.advance(0.0)

    task.cancel()
    source.go.set()
    await clock.advance(0.0)

    assert task.cancelled()


async def test_closing_ends_the_loads_and_tells_who_waited(clock: ManualClock) -> None:
    source, known = Source(waits=True), Source()
    async with Cache(entries=2, clock=clock) as cache:
        await cache.get_or_load("known", known, ttl_seconds=60.0)
        task = asyncio.ensure_future(cache.get_or_load("a", source, ttl_seconds=60.0))
        await clock.advance(0.0)

    with pytest.raises(ServerStoppingError):
        await task
    with pytest.raises(ServerStoppingError):
        await cache.get_or_load("b", source, ttl_seconds=60.0)
    assert await cache.get_or_load("known", known, ttl_seconds=60.0) == 1


async def test_it_works_only_within_async_with(clock: ManualClock) -> None:
    cache = Cache(entries=1, clock=clock)

    with pytest.raises(RuntimeError, match="async with"):
        await cache.get_or_load("a", Source(), ttl_seconds=60.0)


def test_it_keeps_at_least_one(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Cache(entries=0, clock=clock)
