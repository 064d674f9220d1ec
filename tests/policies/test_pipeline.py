"""All steps together, in the order that the package explains."""

from __future__ import annotations

import asyncio

import pytest

from ingestion_server.domain.errors import (
    BreakerOpenError,
    DeadlineExceededError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.policies.breaker import Breaker
from ingestion_server.policies.limits import BreakerLimits, PolicyLimits
from ingestion_server.policies.pipeline import pipeline, standard_policies
from ingestion_server.ports.budget import Budget, Window
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import BreakerPosition, Call, Send
from ingestion_server.quota.ledger import Ledger, Setup, Terms
from tests.clocks import ManualClock
from tests.policies.fakes import (
    RESPONSE,
    Hanging,
    Listener,
    Vendor,
    call,
    unavailable,
    unreachable,
)


class House:
    """Join real steps around a vendor, as the composition root does."""

    def __init__(self, clock: ManualClock, send: Send, *windows: Window) -> None:
        """Build all of it."""
        self.breaker = Breaker(BreakerLimits(), clock)
        setup = Setup("acme", "free", Budget(windows=windows))
        ledger = Ledger([setup], clock=clock, terms=Terms(interactive_share=0.0))
        self.quota = ledger.accounts["acme"]
        self.listener = Listener()
        self.send = pipeline(
            standard_policies(
                PolicyLimits(),
                clock,
                breaker=self.breaker,
                quota=self.quota,
                hooks=[self.listener],
                random=lambda: 0.5,
            ),
            send,
        )

    @property
    def used(self) -> int:
        """Count what the window holds."""
        return self.quota.lines[0].load()


def window(limit: int, seconds: float) -> Window:
    """Allow so many calls in any so many seconds."""
    return Window(name="window", limit=limit, seconds=seconds)


async def test_the_first_step_is_the_outermost() -> None:
    passed: list[str] = []

    async def outer(call: Call, send: Send) -> HttpResponse:
        passed.append("outer")
        return await send(call)

    async def inner(call: Call, send: Send) -> HttpResponse:
        passed.append("inner")
        return await send(call)

    assert await pipeline([outer, inner], Vendor())(call()) is RESPONSE
    assert passed == ["outer", "inner"]


async def test_each_try_reserves_and_is_told() -> None:
    vendor = Vendor(unavailable(), unavailable(), None)
    house = House(ManualClock(), vendor, window(5, 60.0))
    asked = call()

    assert await house.send(asked) is RESPONSE

    assert house.used == asked.tally.calls == 3
    assert [details.outcome for details in house.listener.heard] == [
        "ALL_PROVIDERS_FAILED",
        "ALL_PROVIDERS_FAILED",
        "ok",
    ]


async def test_tries_that_never_left_cost_no_quota() -> None:
    vendor = Vendor(unreachable(), unreachable(), None)
    house = House(ManualClock(), vendor, window(1, 60.0))

    assert await house.send(call()) is RESPONSE

    assert len(vendor.calls) == 3
    assert house.used == 1


async def test_who_waits_for_a_connection_until_its_time_is_over_costs_no_quota(
    clock: ManualClock,
) -> None:
    async def no_connection(call: Call) -> HttpResponse:
        call.heard.trip.left = False
        return await asyncio.Future()

    house = House(clock, no_connection, window(5, 60.0))

    with pytest.raises(DeadlineExceededError):
        await house.send(call(clock.monotonic() + 0.01))
    task = asyncio.ensure_future(house.send(call()))
    await clock.advance(0.0)
    reserved = house.used
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (reserved, house.used) == (1, 0)


async def test_an_open_breaker_costs_no_quota() -> None:
    vendor = Vendor(unavailable())
    house = House(ManualClock(), vendor, window(50, 60.0))
    for _ in range(2):
        with pytest.raises(ProviderUnavailableError):
            await house.send(call())
    assert house.breaker.state().position is BreakerPosition.OPEN

    for _ in range(10):
        with pytest.raises(BreakerOpenError):
            await house.send(call())

    assert house.used == len(vendor.calls) == 5


async def test_quota_refusals_are_no_failures(clock: ManualClock) -> None:
    house = House(clock, Vendor(), window(1, 60.0))
    await house.send(call())

    for _ in range(10):
        with pytest.raises(QuotaExhaustedError):
            await house.send(call())

    assert house.breaker.state().position is BreakerPosition.CLOSED
    assert len(house.listener.heard) == 1


async def test_calls_that_waited_for_quota_do_not_bypass_a_breaker_that_opened(
    clock: ManualClock,
) -> None:
    vendor = Vendor()
    house = House(clock, vendor, window(1, 10.0))
    await house.send(call())
    waiting = [
        asyncio.ensure_future(house.send(call(longest_quota_wait_seconds=60.0)))
        for _ in range(5)
    ]
    await clock.advance(5.0)
    for _ in range(5):
        with pytest.raises(ProviderUnavailableError):
            await house.breaker(call(), Vendor(unavailable()))

    await clock.advance(6.0)

    # Each one gives back what it had reserved, so nobody waits for nothing.
    assert [type(task.exception()) for task in waiting] == [BreakerOpenError] * 5
    assert len(vendor.calls) == 1
    assert house.quota.available_in() == 0.0


async def test_after_the_rest_one_probe_leaves_and_the_others_cost_nothing(
    clock: ManualClock,
) -> None:
    vendor = Hanging()
    house = House(clock, vendor, window(50, 60.0))
    for _ in range(5):
        with pytest.raises(ProviderUnavailableError):
            await house.breaker(call(), Vendor(unavailable()))
    await clock.advance(30.0)

    tasks = [asyncio.ensure_future(house.send(call())) for _ in range(20)]
    await clock.advance(0.0)
    vendor.ends.set_result(RESPONSE)
    ends = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(end) for end in ends] == [HttpResponse] + [BreakerOpenError] * 19
    assert len(vendor.calls) == house.used == 1
    assert house.breaker.state().position is BreakerPosition.CLOSED
