"""Cancelling a call leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from tests.port.house import House, RefusedError, anew, pinned, served_by, until

MAY = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}
NATIVE = {
    "alpha_vantage": {"symbol": "MSFT", "adjustment": "ADJUSTMENT_RAW", **MAY},
    "yahoo": {"symbol": "MSFT", **MAY},
}


def serving() -> list[str]:
    """Return the tasks that serve a call."""
    return [
        repr(task)
        for task in asyncio.all_tasks()
        if "Fetch" in repr(task) or "cache:load" in repr(task)
    ]


async def settled() -> None:
    """Wait until the server has heard that its callers left."""

    async def ended() -> bool:
        return not serving()

    await until(ended)


@pytest.mark.parametrize("fault", ["hang", "latency"])
@pytest.mark.parametrize("vendor", NATIVE)
async def test_a_caller_that_leaves_leaves_no_task_and_no_call(
    quick: House, vendor: str, fault: str
) -> None:
    request = {"source_policy": pinned(vendor), **NATIVE[vendor]}
    await quick.fault(vendor, fault, seconds=5)
    call = asyncio.create_task(quick.fetch(**request))
    await quick.until_called(vendor)

    call.cancel()
    await asyncio.wait([call])
    await settled()

    assert await quick.calls(vendor) == 1
    await quick.mend(vendor)
    assert served_by(await quick.fetch(**request)) == [vendor]


async def test_a_caller_that_leaves_between_retries_ends_them(quick: House) -> None:
    await quick.fault("yahoo", "status_500")
    await quick.fault("yahoo", "latency", seconds=0.2)
    call = asyncio.create_task(
        quick.fetch(source_policy=pinned("yahoo"), **NATIVE["yahoo"])
    )
    await quick.until_called("yahoo", 2)

    call.cancel()
    await asyncio.wait([call])
    await settled()

    assert await quick.calls("yahoo") == 2


async def test_a_caller_that_waits_for_quota_gives_its_place_back(
    home: House,
) -> None:
    request = {"source_policy": pinned("yahoo"), **NATIVE["yahoo"]}
    await asyncio.gather(*(home.fetch(**anew(request)) for _ in range(2)))
    waiting = [asyncio.create_task(home.fetch(**anew(request))) for _ in range(6)]

    async def all_inside() -> bool:
        return sum("Fetch" in task for task in serving()) >= 6

    await until(all_inside)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await settled()

    home.clock.advance(1.1)
    answer = await home.fetch(timeout=0.9, **anew(request))

    assert served_by(answer) == ["yahoo"]
    assert await home.calls("yahoo") == 3


async def test_one_that_leaves_does_not_cancel_those_who_wait_for_the_same(
    quick: House,
) -> None:
    request = {"symbol": "MSFT", "source_policy": pinned("alpha_vantage"), **MAY}
    await quick.fault("alpha_vantage", "latency", seconds=0.3)
    leader = asyncio.create_task(quick.fetch(**request))
    await quick.until_called("alpha_vantage")
    follower = asyncio.create_task(quick.fetch(**request))
    # Its arrival within the server cannot be seen from outside; if it comes later,
    # the test is still right, only easier.
    await asyncio.sleep(0.05)

    leader.cancel()

    assert served_by(await follower) == ["alpha_vantage"]
    assert (await quick.functions())["SPLITS"] == 1


async def test_the_haste_of_one_is_not_that_of_those_who_wait_for_the_same(
    quick: House,
) -> None:
    request = {"symbol": "MSFT", "source_policy": pinned("alpha_vantage"), **MAY}
    await quick.fault("alpha_vantage", "latency", seconds=0.6, times=1)
    hasty = asyncio.create_task(quick.fetch(timeout=0.4, **request))
    await quick.until_called("alpha_vantage")

    patient = asyncio.create_task(quick.fetch(**request))

    with pytest.raises(RefusedError) as raised:
        await hasty
    assert raised.value.reason == "DEADLINE_EXCEEDED"
    assert served_by(await patient) == ["alpha_vantage"]
    assert (await quick.functions())["SPLITS"] == 1
