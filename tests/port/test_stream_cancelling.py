"""Leaving a stream is free: nothing is kept for who has gone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack

import pytest

from tests.port.house import Build, House, until
from tests.port.streaming import BUSY, FINNHUB, Listener, listening

SYMBOLS = [f"SBX{number:04}" for number in range(1, 41)]
MANY = 200


@pytest.fixture
def usual() -> dict[str, str]:
    """Let symbols be given up soon."""
    return {**BUSY, "SANDBOX__TRADES_PER_SECOND": "2", "STREAM__LINGER_SECONDS": "0.05"}


def tasks() -> Counter[str]:
    """Return what runs, by its name in the code."""
    return Counter(
        getattr(task.get_coro(), "__qualname__", repr(task))
        for task in asyncio.all_tasks()
        # The sandbox keeps connections of the test's own calls.
        if "RequestHandler" not in repr(task)
    )


async def released(home: House, vendor: str = "finnhub") -> None:
    """Wait until nothing is subscribed any more."""

    async def nothing() -> bool:
        return not (await home.stats(vendor))["open_subscriptions"]

    await until(nothing)


async def no_more_than(before: Counter[str]) -> None:
    """Wait until nothing runs that did not before."""

    async def ended() -> bool:
        return not tasks() - before

    try:
        await until(ended)
    except TimeoutError:
        raise AssertionError(f"still there: {tasks() - before}") from None


def five_of(number: int) -> Iterable[str]:
    """Return some symbols, others for another number."""
    return (SYMBOLS[(number * 3 + place) % len(SYMBOLS)] for place in range(5))


async def visited(home: House) -> Counter[str]:
    """Let one come and go, and return what runs after that."""
    async with listening(home, "AAPL", **FINNHUB) as listener:
        await listener.more()
    await released(home)
    return tasks()


@pytest.mark.parametrize("heard", ["SUBSCRIBED", ""], ids=["told", "untold"])
async def test_two_hundred_who_leave_release_what_they_subscribed(
    home: House, heard: str
) -> None:
    before = await visited(home)
    async with AsyncExitStack() as stack:
        listeners: list[Listener] = [
            await stack.enter_async_context(
                listening(home, *five_of(number), **FINNHUB)
            )
            for number in range(MANY)
        ]
        if heard:
            for listener in listeners:
                await listener.until_told(heard, 5)
        await asyncio.gather(*(listener.leave() for listener in listeners))

    await released(home)
    await no_more_than(before)


async def test_who_leaves_by_a_deadline_releases_it_too(home: House) -> None:
    before = await visited(home)
    async with AsyncExitStack() as stack:
        listeners = [
            await stack.enter_async_context(
                listening(home, *five_of(number), timeout=0.3, **FINNHUB)
            )
            for number in range(20)
        ]
        await asyncio.gather(*(listener.ended() for listener in listeners))

    await released(home)
    await no_more_than(before)


async def test_who_leaves_without_having_read_releases_it_too(home: House) -> None:
    before = await visited(home)
    async with (
        listening(home, *SYMBOLS, reading=False, **FINNHUB) as lazy,
        listening(home, "AAPL", **FINNHUB) as other,
    ):
        await other.more(10)
        await lazy.leave()

    await released(home)
    await no_more_than(before)


async def test_places_of_those_who_left_are_free_again(build: Build) -> None:
    async with build(settings={"GRPC__MAX_STREAMS": "5"}) as home:
        for _ in range(4):
            async with AsyncExitStack() as stack:
                listeners = [
                    await stack.enter_async_context(listening(home, "AAPL", **FINNHUB))
                    for _ in range(5)
                ]
                for listener in listeners:
                    await listener.until_told("SUBSCRIBED")
                async with listening(home, "AAPL", **FINNHUB) as surplus:
                    failed = await surplus.ended()
                assert failed.reason == "CALLER_THROTTLED"
            before_next = len(listeners)
            assert before_next == 5
            # The server hears of it a moment later.

            async def free() -> bool:
                return not any(
                    "stream_quotes" in name or "StreamQuotes" in name
                    for name in tasks()
                )

            await until(free)


async def test_who_leaves_takes_nothing_from_those_who_stay(home: House) -> None:
    async with listening(home, "AAPL", **FINNHUB) as stays:
        for _ in range(10):
            async with listening(home, "AAPL", "MSFT", **FINNHUB) as leaves:
                await leaves.until_told("SUBSCRIBED", 2)
        await stays.more(5)

        assert (await home.stats("finnhub"))["open_subscriptions"].get("AAPL") == 1
        assert not stays.named("GAP")
        assert stays.error is None
