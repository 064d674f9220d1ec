"""Trying again, but never for tomorrow."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from ingestion_server.domain.errors import (
    BreakerOpenError,
    CostLimitError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    SymbolUnknownError,
)
from ingestion_server.kit.statuses import check_status
from ingestion_server.policies.limits import RetryLimits
from ingestion_server.policies.retry import Retry
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import Trial
from tests.clocks import ManualClock
from tests.policies.fakes import RESPONSE, Vendor, busy, call, unavailable

RESTS = BreakerOpenError("acme rests", provider="acme")
TOO_DEAR = CostLimitError("no more", provider="acme", price_usd="0.01")


def asked_wrongly() -> ProviderError:
    """Return what a 4xx means that nobody explains."""
    with pytest.raises(MalformedPayloadError) as caught:
        check_status("acme", HttpResponse(418, b""))
    return caught.value


@pytest.fixture
def clock() -> ManualClock:
    """Let pauses pass by themselves."""
    return ManualClock()


def retry(clock: ManualClock, chance: float = 0.5) -> Retry:
    """Make the policy with a chance that is none."""
    return Retry(RetryLimits(attempts=5, longest_seconds=0.3), clock, lambda: chance)


async def test_a_transient_failure_is_tried_again_with_full_jitter(
    clock: ManualClock,
) -> None:
    vendor = Vendor(unavailable(), unavailable(), unavailable(), None)

    response = await retry(clock)(call(), vendor)

    assert response is RESPONSE
    assert clock.slept == pytest.approx([0.05, 0.1, 0.15])


async def test_rubbish_is_tried_again_like_any_failure_of_the_vendor(
    clock: ManualClock,
) -> None:
    rubbish = MalformedPayloadError("acme sent a web page", provider="acme")
    vendor = Vendor(rubbish, unavailable(), rubbish, None)

    assert await retry(clock)(call(), vendor) is RESPONSE

    assert clock.slept == pytest.approx([0.05, 0.1, 0.15])


@pytest.mark.parametrize(("last_resort", "calls"), [(False, 1), (True, 2)])
async def test_a_silent_vendor_is_tried_again_only_if_no_other_is_left(
    clock: ManualClock, *, last_resort: bool, calls: int
) -> None:
    silent = unavailable()
    silent.silent = True
    vendor = Vendor(silent, None)

    tried = retry(clock)(call(last_resort=last_resort), vendor)
    await asyncio.gather(tried, return_exceptions=True)

    assert len(vendor.calls) == calls


async def test_a_probe_is_not_tried_again(clock: ManualClock) -> None:
    vendor = Vendor(unavailable(), None)

    with pytest.raises(ProviderUnavailableError):
        await retry(clock)(call(trial=Trial(is_probe=True)), vendor)

    assert len(vendor.calls) == 1
    assert clock.slept == []


async def test_after_the_last_try_the_failure_is_raised(clock: ManualClock) -> None:
    vendor = Vendor(unavailable())

    with pytest.raises(ProviderUnavailableError):
        await retry(clock)(call(), vendor)

    assert len(vendor.calls) == 5


@pytest.mark.parametrize(
    "error",
    [
        busy(0.01),
        SymbolUnknownError("no such symbol", provider="acme"),
        NoDataUnexplainedError("nothing", provider="acme"),
        asked_wrongly(),
        RESTS,
        TOO_DEAR,
    ],
)
async def test_what_time_does_not_mend_is_not_tried_again(
    clock: ManualClock, error: ProviderError
) -> None:
    vendor = Vendor(error)

    with pytest.raises(type(error)):
        await retry(clock)(call(), vendor)

    assert len(vendor.calls) == 1


async def test_retry_after_is_waited_for_if_it_is_longer_than_our_pause(
    clock: ManualClock,
) -> None:
    await retry(clock)(call(), Vendor(unavailable(3.0), unavailable(0.01), None))

    assert clock.slept == pytest.approx([3.0, 0.1])


@pytest.mark.parametrize(
    ("retry_after", "seconds_left"), [(5.0, 5.0), (None, 0.01), (86_400.0, 1e9)]
)
async def test_a_pause_past_the_deadline_or_until_tomorrow_is_not_begun(
    clock: ManualClock, retry_after: float | None, seconds_left: float
) -> None:
    vendor = Vendor(unavailable(retry_after))

    with pytest.raises(ProviderUnavailableError) as caught:
        await retry(clock)(call(clock.monotonic() + seconds_left), vendor)

    assert caught.value.retry_after_seconds == retry_after
    assert len(vendor.calls) == 1
    assert clock.slept == []


@pytest.mark.parametrize("refusal", [RESTS, TOO_DEAR])
async def test_what_keeps_us_from_trying_again_does_not_hide_the_failure(
    clock: ManualClock, refusal: ProviderError
) -> None:
    first = unavailable()
    vendor = Vendor(first, refusal)

    with pytest.raises(ProviderUnavailableError) as caught:
        await retry(clock)(call(), vendor)

    assert caught.value is first
    assert caught.value.__cause__ is refusal


async def test_a_refusal_between_tries_tells_when_to_come_back(
    clock: ManualClock,
) -> None:
    with pytest.raises(QuotaExhaustedError):
        await retry(clock)(call(), Vendor(unavailable(), busy(60.0)))


async def test_for_a_second_try_quota_is_waited_for_no_longer_than_is_allowed(
    clock: ManualClock,
) -> None:
    vendor = Vendor(unavailable(), unavailable(), None)
    asked = replace(
        call(), longest_quota_wait_seconds=5.0, longest_retry_wait_seconds=0.25
    )

    await retry(clock)(asked, vendor)

    waits = [each.longest_quota_wait_seconds for each in vendor.calls]
    assert waits == [5.0, 0.25, 0.25]


async def test_who_was_silent_is_not_tried_again_for_nobody(
    clock: ManualClock,
) -> None:
    silent = unavailable()
    silent.silent = True
    vendor, asked = Vendor(silent, None), call()
    asked.tally.desert(4.0)

    with pytest.raises(ProviderUnavailableError):
        await retry(clock)(asked, vendor)

    assert len(vendor.calls) == 1
