"""One call ends in time, and the right one is blamed."""

from __future__ import annotations

import asyncio

import pytest

from ingestion_server.domain.errors import (
    DeadlineExceededError,
    ProviderUnavailableError,
)
from ingestion_server.policies.deadline import Deadline
from ingestion_server.policies.limits import DeadlineLimits
from tests.clocks import ManualClock
from tests.policies.fakes import RESPONSE, Hanging, Vendor, call


def deadline(clock: ManualClock) -> Deadline:
    """Make the policy with the usual limits."""
    return Deadline(DeadlineLimits(), clock, timeout=clock.timeout)


@pytest.mark.parametrize(("left", "seconds"), [(30.0, 10.0), (4.0, 4.0)])
async def test_the_transport_is_told_what_is_left_but_no_more_than_ten_seconds(
    clock: ManualClock, left: float, seconds: float
) -> None:
    vendor = Vendor()
    asked = call(clock.monotonic() + left)

    response = await deadline(clock)(asked, vendor)

    assert response is RESPONSE
    assert vendor.calls[0].timeout_seconds == pytest.approx(seconds)
    assert asked.tally.calls == 1


async def test_without_time_nothing_is_sent(clock: ManualClock) -> None:
    vendor = Vendor()

    with pytest.raises(DeadlineExceededError):
        await deadline(clock)(call(clock.monotonic()), vendor)

    assert vendor.calls == []


async def test_ten_seconds_of_silence_are_a_failure_of_the_vendor(
    clock: ManualClock,
) -> None:
    task = asyncio.ensure_future(deadline(clock)(call(), Hanging()))

    await clock.advance(9.99)
    assert not task.done()
    await clock.advance(0.01)

    with pytest.raises(ProviderUnavailableError, match="within 10 seconds"):
        await task


@pytest.mark.parametrize(("left", "is_blamed"), [(2.0, False), (9.0, True)])
async def test_a_caller_without_patience_blames_the_vendor_only_after_a_fair_time(
    clock: ManualClock,
    left: float,
    is_blamed: bool,  # noqa: FBT001
) -> None:
    asked = call(clock.monotonic() + left)
    task = asyncio.ensure_future(deadline(clock)(asked, Hanging()))

    await clock.advance(left)

    with pytest.raises(DeadlineExceededError) as caught:
        await task
    assert caught.value.facts() == {"attempts": "acme: 1"}
    assert isinstance(caught.value.__cause__, ProviderUnavailableError) is is_blamed


async def test_real_time_is_bounded_too() -> None:
    """Without another clock's timeout, asyncio's is used."""
    clock = ManualClock(runs=False)
    policy = Deadline(DeadlineLimits(call_seconds=0.001), clock)

    with pytest.raises(ProviderUnavailableError):
        await policy(call(), Hanging())


async def test_a_cancelled_call_stays_cancelled(clock: ManualClock) -> None:
    task = asyncio.ensure_future(deadline(clock)(call(), Hanging()))
    await clock.advance(1.0)

    task.cancel()
    await clock.advance(0.0)

    assert task.cancelled()


async def test_it_is_known_when_a_call_left_and_whether_it_is_over(
    clock: ManualClock,
) -> None:
    asked, began = call(), clock.monotonic()
    hanging = Hanging()
    task = asyncio.ensure_future(deadline(clock)(asked, hanging))
    await clock.advance(1.0)

    assert (asked.tally.left_at_seconds, asked.tally.under_way) == (began, 1)
    hanging.ends.set_result(RESPONSE)
    await task
    assert (asked.tally.left_at_seconds, asked.tally.under_way) == (began, 0)


@pytest.mark.parametrize("late", [False, True], ids=["under way", "not begun"])
async def test_a_call_that_nobody_waits_for_ends_after_its_fair_share_and_is_blamed(
    *, late: bool
) -> None:
    policy = Deadline(DeadlineLimits(fair_seconds=0.001), ManualClock(runs=False))
    asked = call()
    if late:
        asked.tally.desert(0.0)
    task = asyncio.ensure_future(policy(asked, Hanging()))
    await asyncio.sleep(0)
    if not late:
        asked.tally.desert(0.0)

    with pytest.raises(ProviderUnavailableError) as caught:
        await task

    assert caught.value.silent
    assert asked.tally.under_way == 0


async def test_a_call_that_nobody_waits_for_may_take_as_long_as_is_usual() -> None:
    policy = Deadline(DeadlineLimits(fair_seconds=0.001), ManualClock(runs=False))
    asked, hanging = call(), Hanging()
    task = asyncio.ensure_future(policy(asked, hanging))
    await asyncio.sleep(0)
    asked.tally.desert(5.0)
    await asyncio.wait([task], timeout=0.01)
    assert not task.done()

    hanging.ends.set_result(RESPONSE)

    assert await task is RESPONSE


async def test_what_is_deserted_is_never_given_more_time_than_before() -> None:
    policy = Deadline(
        DeadlineLimits(call_seconds=0.001, fair_seconds=0.001), ManualClock(runs=False)
    )
    asked = call()
    task = asyncio.ensure_future(policy(asked, Hanging()))
    await asyncio.sleep(0)
    asked.tally.desert(1000.0)

    with pytest.raises(ProviderUnavailableError):
        await task


async def test_a_caller_without_patience_who_leaves_blames_nobody_either(
    clock: ManualClock,
) -> None:
    asked = call(clock.monotonic() + 2.0)
    asked.tally.desert(0.0)
    task = asyncio.ensure_future(deadline(clock)(asked, Hanging()))

    await clock.advance(2.0)

    with pytest.raises(DeadlineExceededError) as caught:
        await task
    assert caught.value.__cause__ is None
