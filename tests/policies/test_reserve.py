"""Quota is reserved before, and the vendor's word is passed on."""

from __future__ import annotations

import pytest

from ingestion_server.domain.errors import (
    BreakerOpenError,
    DeadlineExceededError,
    IngestionError,
    QuotaExhaustedError,
)
from ingestion_server.policies.reserve import Reserve
from tests.clocks import ManualClock
from tests.policies.fakes import FakeQuota, Vendor, busy, call, unavailable


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
    ("error", "refunds"),
    [(unavailable(), 0), (BreakerOpenError("acme rests", provider="acme"), 1)],
)
async def test_only_what_did_not_leave_is_refunded(
    clock: ManualClock, error: IngestionError, refunds: int
) -> None:
    quota = FakeQuota()

    with pytest.raises(type(error)):
        await Reserve(quota, clock)(call(), Vendor(error))

    assert len(quota.refunds) == refunds
    assert quota.successes == 0
