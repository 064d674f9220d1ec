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
