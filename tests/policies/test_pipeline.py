"""All steps together, in the order that the package explains."""

from __future__ import annotations

import asyncio

import pytest

from ingestion_server.domain.errors import (
    BreakerOpenError,
    CostLimitError,
    DeadlineExceededError,
    IngestionError,
    LedgerUnavailableError,
    MalformedPayloadError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    SymbolUnknownError,
)
from ingestion_server.policies.breaker import Breaker
from ingestion_server.policies.deadline import Deadline, Timeout
from ingestion_server.policies.limits import (
    BreakerLimits,
    DeadlineLimits,
    PolicyLimits,
)
from ingestion_server.policies.pipeline import pipeline, standard_policies
from ingestion_server.ports.budget import Budget, Window
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import BreakerPosition, BreakerState, Call, Send
from ingestion_server.quota.ledger import Ledger, Setup, Terms
from tests.clocks import ManualClock
from tests.policies.fakes import (
    RESPONSE,
    Hanging,
    Listener,
    Vendor,
    asked,
    busy,
    call,
    unavailable,
    unreachable,
)


class House:
    """Join real steps around a vendor, as the composition root does."""

    def __init__(
        self,
        clock: ManualClock,
        send: Send,
        *windows: Window,
        timeout: Timeout = asyncio.timeout,
    ) -> None:
        """Build all of it."""
        self.clock = clock
        self.breaker = Breaker(BreakerLimits(), clock)
        setup = Setup("acme", "free", Budget(windows=windows))
        ledger = Ledger([setup], clock=clock, terms=Terms(interactive_share=0.0))
        self.quota = ledger.accounts["acme"]
        self.listener = Listener()
        steps = standard_policies(
            PolicyLimits(),
            clock,
            breaker=self.breaker,
            quota=self.quota,
            hooks=[self.listener],
            random=lambda: 0.5,
        )
        assert isinstance(steps[-1], Deadline)
        steps[-1] = Deadline(DeadlineLimits(), clock, timeout=timeout)
        self.send = pipeline(steps, send)

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
    for _ in range(5):
        with pytest.raises(ProviderUnavailableError):
            await house.send(call())
    assert house.breaker.state().position is BreakerPosition.OPEN

    for _ in range(10):
        with pytest.raises(BreakerOpenError):
            await house.send(call())

    assert house.used == len(vendor.calls) == 15


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
            await asked(house.breaker, Vendor(unavailable()))

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
            await asked(house.breaker, Vendor(unavailable()))
    await clock.advance(30.0)

    tasks = [asyncio.ensure_future(house.send(call())) for _ in range(20)]
    await clock.advance(0.0)
    vendor.ends.set_result(RESPONSE)
    ends = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(end) for end in ends] == [HttpResponse] + [BreakerOpenError] * 19
    assert len(vendor.calls) == house.used == 1
    assert house.breaker.state().position is BreakerPosition.CLOSED


RUBBISH = MalformedPayloadError("acme sent no JSON", provider="acme")


async def ends(house: House, times: int = 1) -> list[type]:
    """Ask so many questions, one each two seconds, and return how each ended."""
    found = list[type]()
    for _ in range(times):
        (end,) = await asyncio.gather(house.send(call()), return_exceptions=True)
        found.append(type(end))
        house.clock.pass_by(2.0)
    return found


async def test_a_vendor_of_which_most_tries_fail_is_made_use_of() -> None:
    acts = [unavailable(), RUBBISH, None] * 20
    house = House(ManualClock(), Vendor(*acts), window(99, 60.0))

    assert await ends(house, 20) == [HttpResponse] * 20

    assert house.breaker.state() == BreakerState(BreakerPosition.CLOSED, 0)


async def test_five_questions_in_a_row_whose_tries_all_fail_make_a_vendor_rest() -> (
    None
):
    house = House(ManualClock(), Vendor(RUBBISH, unavailable()), window(99, 60.0))

    await ends(house, 4)
    assert house.breaker.state().failures == 4
    await ends(house)

    assert house.breaker.state().position is BreakerPosition.OPEN
    assert house.used == 15


@pytest.mark.parametrize("act", [unavailable(), RUBBISH])
async def test_a_probe_is_one_call(clock: ManualClock, act: Exception) -> None:
    vendor = Vendor(act)
    house = House(clock, vendor, window(99, 60.0))
    for _ in range(5):
        with pytest.raises(ProviderUnavailableError):
            await asked(house.breaker, Vendor(unavailable()))
    clock.pass_by(30.0)
    probed_at = clock.monotonic()

    assert await ends(house, 3) == [type(act), BreakerOpenError, BreakerOpenError]

    assert len(vendor.calls) == house.used == 1
    assert house.breaker.state().retry_at_seconds == probed_at + 60.0


async def test_who_waits_for_quota_does_not_hold_the_place_of_the_probe(
    clock: ManualClock,
) -> None:
    vendor = Hanging()
    house = House(clock, vendor, window(1, 40.0))
    first = asyncio.ensure_future(house.send(call()))
    await clock.advance(0.0)
    for _ in range(5):
        with pytest.raises(ProviderUnavailableError):
            await asked(house.breaker, Vendor(unavailable()))
    first.cancel()
    await clock.advance(30.0)

    waiting = [
        asyncio.ensure_future(house.send(call(longest_quota_wait_seconds=60.0)))
        for _ in range(2)
    ]
    await clock.advance(5.0)
    assert house.breaker.state().position is BreakerPosition.OPEN
    assert house.breaker.state().admits
    # Who leaves before its turn neither takes the place with it nor moves anything.
    waiting.pop(0).cancel()
    await clock.advance(10.0)

    assert house.breaker.state().position is BreakerPosition.HALF_OPEN
    assert len(vendor.calls) == 2
    vendor.ends.set_result(RESPONSE)
    assert await waiting[0] is RESPONSE


@pytest.mark.parametrize(
    "end",
    [
        busy(1.0),
        CostLimitError("too dear", provider="acme", price_usd="1"),
        LedgerUnavailableError("the disk is full", provider="acme"),
        BreakerOpenError("acme rests", provider="acme"),
        DeadlineExceededError("late"),
    ],
)
async def test_what_ends_the_tries_after_a_failure_does_not_undo_it(
    end: IngestionError,
) -> None:
    acts = [unavailable(), end] * 5
    house = House(ManualClock(), Vendor(*acts), window(99, 60.0))

    await ends(house, 4)
    assert house.breaker.state().failures == 4
    await ends(house)

    assert house.breaker.state().position is BreakerPosition.OPEN


@pytest.mark.parametrize(
    ("act", "failures"),
    [
        (None, 0),
        (SymbolUnknownError("no such symbol", provider="acme"), 0),
        (busy(1.0), 4),
        (LedgerUnavailableError("the disk is full", provider="acme"), 4),
    ],
)
async def test_one_try_that_shows_the_vendor_at_work_starts_the_count_anew(
    act: ProviderError | None, failures: int
) -> None:
    acts = [unavailable()] * 12
    house = House(ManualClock(), Vendor(*acts, act), window(99, 60.0))
    await ends(house, 4)

    await ends(house)

    assert house.breaker.state().failures == failures


async def test_silence_for_a_fair_time_counts_though_the_caller_gave_up(
    clock: ManualClock,
) -> None:
    house = House(clock, Hanging(), window(99, 60.0), timeout=clock.timeout)
    for seconds, failures in ((2.0, 0), (3.0, 1), (2.0, 1)):
        deadline = clock.monotonic() + seconds
        task = asyncio.ensure_future(house.send(call(deadline)))

        await clock.advance(seconds)

        assert isinstance(task.exception(), DeadlineExceededError)
        assert house.breaker.state().failures == failures


async def test_a_question_that_is_cancelled_between_tries_shows_nothing(
    clock: ManualClock,
) -> None:
    vendor = Vendor(unavailable())
    house = House(clock, vendor, window(99, 60.0))
    tasks = [asyncio.ensure_future(house.send(call())) for _ in range(9)]
    await clock.advance(0.0)

    for task in tasks:
        task.cancel()
    await clock.advance(0.0)

    assert len(vendor.calls) == 9
    assert house.breaker.state() == BreakerState(BreakerPosition.CLOSED, 0)


async def test_a_try_that_was_to_come_after_the_vendor_began_to_rest_does_not_leave(
    clock: ManualClock,
) -> None:
    vendor = Vendor(unavailable(5.0))
    house = House(clock, vendor, window(99, 60.0))
    task = asyncio.ensure_future(house.send(call()))
    await clock.advance(1.0)
    for _ in range(5):
        with pytest.raises(ProviderUnavailableError):
            await asked(house.breaker, Vendor(unavailable()))
    before = house.breaker.state()

    await clock.advance(5.0)

    assert isinstance(task.exception(), ProviderUnavailableError)
    assert len(vendor.calls) == 1
    assert house.breaker.state().retry_at_seconds == before.retry_at_seconds


async def test_what_a_try_showed_before_a_rest_is_forgotten_after_it(
    clock: ManualClock,
) -> None:
    vendor = Vendor(unavailable(29.0), busy(1.0))
    house = House(clock, vendor, window(99, 60.0))
    task = asyncio.ensure_future(house.send(call()))
    await clock.advance(0.0)
    for _ in range(5):
        with pytest.raises(ProviderUnavailableError):
            await asked(house.breaker, Vendor(unavailable()))
    clock.pass_by(30.0)
    await asked(house.breaker, Vendor())

    await clock.advance(0.0)

    assert isinstance(task.exception(), QuotaExhaustedError)
    assert house.breaker.state() == BreakerState(BreakerPosition.CLOSED, 0)
