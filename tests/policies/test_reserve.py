"""Quota is reserved before, and the vendor's word is passed on."""

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal

import pytest

from ingestion_server.domain.errors import (
    BreakerOpenError,
    CostLimitError,
    DeadlineExceededError,
    IngestionError,
    LedgerUnavailableError,
    MalformedPayloadError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    SymbolUnknownError,
)
from ingestion_server.policies.reserve import Reserve
from ingestion_server.ports.policy import CallTally
from ingestion_server.ports.quota import Lane
from tests.clocks import ManualClock
from tests.policies.fakes import (
    FakeQuota,
    Grounded,
    Vendor,
    busy,
    call,
    unavailable,
    unreachable,
)

ENDS = [
    unavailable(),
    busy(),
    MalformedPayloadError("acme sent rubbish", provider="acme"),
    SymbolUnknownError("who?", provider="acme"),
    DeadlineExceededError("too slow"),
    asyncio.CancelledError(),
    LookupError("a bug"),
]
CENT = Decimal("0.01")


async def test_a_success_is_noted(clock: ManualClock) -> None:
    quota = FakeQuota()

    await Reserve(quota, clock)(call(), Vendor())

    assert quota.waits == [0.25]
    assert (quota.successes, quota.penalties, quota.refunds) == (1, [], [])


@pytest.mark.parametrize(("left", "wait"), [(30.0, 20.0), (4.0, 4.0)])
async def test_quota_is_waited_for_as_long_as_the_call_may_wait(
    clock: ManualClock, left: float, wait: float
) -> None:
    quota = FakeQuota()
    asked = call(clock.monotonic() + left, longest_quota_wait_seconds=20.0)

    await Reserve(quota, clock)(asked, Vendor())

    assert quota.waits == pytest.approx([wait])


async def test_without_time_nothing_is_reserved(clock: ManualClock) -> None:
    quota = FakeQuota()

    with pytest.raises(DeadlineExceededError):
        await Reserve(quota, clock)(call(clock.monotonic()), Vendor())

    assert quota.waits == []


async def test_our_own_refusal_is_no_word_of_the_vendor(clock: ManualClock) -> None:
    quota, vendor = FakeQuota(refusal=busy(10.0)), Vendor()

    with pytest.raises(QuotaExhaustedError):
        await Reserve(quota, clock)(call(), vendor)

    assert quota.penalties == []
    assert vendor.calls == []


@pytest.mark.parametrize(("said", "told"), [(None, 300.0), (60.0, 60.0)])
async def test_a_429_is_passed_on_and_the_caller_told_when_to_come_back(
    clock: ManualClock, said: float | None, told: float
) -> None:
    quota = FakeQuota()

    with pytest.raises(QuotaExhaustedError) as caught:
        await Reserve(quota, clock)(call(), Vendor(busy(said)))

    assert quota.penalties == [(said, "unpublished")]
    assert caught.value.retry_after_seconds == told
    assert (quota.successes, quota.refunds) == (0, [])


@pytest.mark.parametrize(
    "error", [BreakerOpenError("acme rests", provider="acme"), *ENDS]
)
async def test_a_call_that_never_left_is_refunded_however_it_ended(
    clock: ManualClock, error: BaseException
) -> None:
    quota, tally = FakeQuota(price=CENT), CallTally()

    with pytest.raises(type(error)):
        await Reserve(quota, clock)(call(tally=tally), Vendor(Grounded(error)))

    assert [debit.number for debit in quota.refunds] == [1]
    assert quota.arrivals == []
    assert (quota.successes, tally.cost_usd) == (0, 0)


@pytest.mark.parametrize("error", ENDS)
@pytest.mark.parametrize("left", [True, None])
async def test_a_call_that_may_have_left_stays_used(
    clock: ManualClock, error: BaseException, *, left: bool | None
) -> None:
    quota = FakeQuota()

    with pytest.raises(type(error)):
        await Reserve(quota, clock)(call(), Vendor(error, left=left))

    assert quota.refunds == []
    assert quota.arrivals == [(1, {})]


@pytest.mark.parametrize("left", [True, False, None])
async def test_a_call_that_was_answered_has_left(
    clock: ManualClock, *, left: bool | None
) -> None:
    quota = FakeQuota()

    await Reserve(quota, clock)(call(), Vendor(left=left))

    assert (quota.refunds, quota.arrivals) == ([], [(1, {})])


async def test_how_far_one_try_came_says_nothing_of_the_next(
    clock: ManualClock,
) -> None:
    quota, asked = FakeQuota(), call()
    reserve = Reserve(quota, clock)
    await reserve(asked, Vendor())

    with pytest.raises(ProviderUnavailableError):
        await reserve(asked, Vendor(unreachable()))

    assert [debit.number for debit in quota.refunds] == [2]


async def test_a_turn_that_comes_too_late_is_given_back(clock: ManualClock) -> None:
    quota, vendor = FakeQuota(turn=lambda: clock.pass_by(5.0)), Vendor()
    asked = call(clock.monotonic() + 5.0)

    with pytest.raises(DeadlineExceededError):
        await Reserve(quota, clock)(asked, vendor)

    assert [debit.number for debit in quota.refunds] == [1]
    assert vendor.calls == []


@pytest.mark.parametrize("act", [None, busy(1.0), unavailable(), LookupError("a bug")])
async def test_the_ledger_hears_the_headers_of_good_and_of_bad_answers(
    clock: ManualClock, act: Exception | None
) -> None:
    quota = FakeQuota()
    vendor = Vendor(act, headers={"x-remaining": "3"})

    with contextlib.suppress(IngestionError, LookupError):
        await Reserve(quota, clock)(call(), vendor)

    assert quota.arrivals == [(1, {"x-remaining": "3"})]


async def test_the_headers_of_one_try_are_not_those_of_the_next(
    clock: ManualClock,
) -> None:
    quota, vendor = FakeQuota(), Vendor(headers={"x-remaining": "3"})
    reserve, asked = Reserve(quota, clock), call()
    await reserve(asked, vendor)
    vendor.headers = None

    await reserve(asked, vendor)

    assert quota.arrivals == [(1, {"x-remaining": "3"}), (2, {})]


@pytest.mark.parametrize("lane", list(Lane))
async def test_the_lane_and_the_feature_are_passed_on(
    clock: ManualClock, lane: Lane
) -> None:
    quota = FakeQuota()

    await Reserve(quota, clock)(call(lane=lane), Vendor())

    assert quota.asked == [("DAILY", 0.25, lane)]


async def test_what_cannot_be_written_down_does_not_leave(clock: ManualClock) -> None:
    full = LedgerUnavailableError("the disk is full", provider="acme")
    quota, vendor = FakeQuota(full), Vendor()

    with pytest.raises(LedgerUnavailableError):
        await Reserve(quota, clock)(call(), vendor)

    assert vendor.calls == []
    assert (quota.refunds, quota.penalties) == ([], [])


async def test_all_calls_of_a_tally_may_cost_so_much_together(
    clock: ManualClock,
) -> None:
    quota, vendor, tally = FakeQuota(price=CENT), Vendor(), CallTally()
    asked = call(most_cost_usd=3 * CENT, tally=tally)
    reserve = Reserve(quota, clock)
    for _ in range(3):
        await reserve(asked, vendor)

    with pytest.raises(CostLimitError, match=r"costs 0\.01 .* together 0\.04") as told:
        await reserve(asked, vendor)

    assert told.value.facts() == {"provider": "acme", "price_usd": "0.01"}
    assert tally.cost_usd == 3 * CENT
    assert len(vendor.calls) == len(quota.asked) == 3


@pytest.mark.parametrize("most", [Decimal(0), Decimal(-1)])
async def test_what_costs_nothing_is_always_allowed(
    clock: ManualClock, most: Decimal
) -> None:
    vendor = Vendor()
    asked = call(most_cost_usd=most, tally=CallTally(cost_usd=Decimal(5)))

    await Reserve(FakeQuota(), clock)(asked, vendor)

    assert len(vendor.calls) == 1


async def test_without_a_limit_any_price_is_paid(clock: ManualClock) -> None:
    tally = CallTally()

    await Reserve(FakeQuota(price=Decimal(9)), clock)(call(tally=tally), Vendor())

    assert tally.cost_usd == Decimal(9)


async def test_what_is_refunded_may_be_spent_again(clock: ManualClock) -> None:
    quota, tally = FakeQuota(price=CENT), CallTally()
    asked = call(most_cost_usd=CENT, tally=tally)
    reserve = Reserve(quota, clock)
    with pytest.raises(ProviderUnavailableError):
        await reserve(asked, Vendor(unreachable()))
    spent = tally.cost_usd

    await reserve(asked, Vendor())

    assert (spent, tally.cost_usd) == (0, CENT)


async def test_a_call_that_fails_is_paid_for(clock: ManualClock) -> None:
    tally = CallTally()

    with pytest.raises(ProviderUnavailableError):
        await Reserve(FakeQuota(price=CENT), clock)(
            call(tally=tally), Vendor(unavailable())
        )

    assert tally.cost_usd == CENT


async def test_what_an_answer_cost_more_than_was_thought_counts(
    clock: ManualClock,
) -> None:
    quota, tally = FakeQuota(price=CENT, dearer=4 * CENT), CallTally()
    asked = call(most_cost_usd=5 * CENT, tally=tally)
    reserve = Reserve(quota, clock)

    await reserve(asked, Vendor())

    assert tally.cost_usd == 5 * CENT
    with pytest.raises(CostLimitError):
        await reserve(asked, Vendor())


async def test_a_price_that_rose_while_it_waited_is_not_paid(
    clock: ManualClock,
) -> None:
    # Others used up meanwhile what the flat price pays for.
    quota, vendor, tally = FakeQuota(granted_at=CENT), Vendor(), CallTally()

    with pytest.raises(CostLimitError):
        await Reserve(quota, clock)(call(most_cost_usd=Decimal(0), tally=tally), vendor)

    assert [debit.cost_usd for debit in quota.refunds] == [CENT]
    assert (vendor.calls, tally.cost_usd) == ([], 0)
