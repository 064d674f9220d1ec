"""429 is obeyed, and there is no overrun after idling."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode as Code

from tests.port.house import (
    TWO_VENDORS,
    Build,
    House,
    RefusedError,
    anew,
    pinned,
    served_by,
)

MAY = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}
RAW = {"symbol": "MSFT", "adjustment": "ADJUSTMENT_RAW", **MAY}
SPLIT = {"symbol": "MSFT", "adjustment": "ADJUSTMENT_SPLIT", **MAY}
NATIVE = {"alpha_vantage": RAW, "yahoo": SPLIT}
"""What each vendor has as it is, with one call."""
VENDORS = ["alpha_vantage", "yahoo"]
PLAN_OF_75 = {
    "PROVIDERS__ALPHA_VANTAGE__PLAN": "75",
    "SANDBOX__ALPHA_VANTAGE_PLAN": "75",
}


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are."""
    return TWO_VENDORS


@pytest.mark.parametrize("vendor", VENDORS)
async def test_429_is_obeyed_until_the_vendor_said(home: House, vendor: str) -> None:
    request = {**NATIVE[vendor], "source_policy": pinned(vendor), "timeout": 1}
    await home.fault(vendor, "status_429", retry_after=120, times=1)

    first = await home.refused(**request)
    home.clock.advance(118)
    second = await home.refused(**request)

    for failed, seconds in ((first, 120), (second, 2)):
        assert (failed.code, failed.reason) == (
            Code.RESOURCE_EXHAUSTED,
            "QUOTA_EXHAUSTED",
        )
        assert failed.retry_seconds == pytest.approx(seconds, abs=2)
        quota = failed.detail(error_details_pb2.QuotaFailure)
        assert quota.violations[0].subject == f"provider:{vendor}"
    assert await home.calls(vendor) == 1
    home.clock.advance(3)
    assert served_by(await home.fetch(**request)) == [vendor]
    assert await home.calls(vendor) == 2


@pytest.mark.parametrize("vendor", VENDORS)
async def test_429_is_not_retried_by_others_at_the_same_time(
    home: House, vendor: str
) -> None:
    request = {**NATIVE[vendor], "source_policy": pinned(vendor), "timeout": 2}
    await home.fault(vendor, "status_429", retry_after=120)
    await home.refused(**request)

    failures = await asyncio.gather(*(home.refused(**anew(request)) for _ in range(20)))

    assert {failed.reason for failed in failures} == {"QUOTA_EXHAUSTED"}
    assert await home.calls(vendor) == 1


async def test_429_without_a_time_rests_five_minutes_then_ten(home: House) -> None:
    request = {**SPLIT, "source_policy": pinned("yahoo"), "timeout": 1}
    await home.fault("yahoo", "status_429", times=2)

    first = await home.refused(**request)
    assert first.retry_seconds == pytest.approx(300, abs=2)
    home.clock.advance(297)
    assert (await home.refused(**request)).reason == "QUOTA_EXHAUSTED"
    assert await home.calls("yahoo") == 1
    home.clock.advance(4)
    second = await home.refused(**request)
    assert await home.calls("yahoo") == 2
    assert second.retry_seconds == pytest.approx(600, abs=2)
    home.clock.advance(597)
    assert (await home.refused(**request)).reason == "QUOTA_EXHAUSTED"
    assert await home.calls("yahoo") == 2
    home.clock.advance(4)
    assert served_by(await home.fetch(**request)) == ["yahoo"]

    # An answer starts it anew.
    home.clock.advance(1)
    await home.fault("yahoo", "status_429", times=1)
    third = await home.refused(**anew(request))
    assert third.retry_seconds == pytest.approx(300, abs=2)


async def test_another_vendor_answers_while_one_is_out(home: House) -> None:
    await home.fault("alpha_vantage", "status_429", retry_after=120)
    await home.fetch(**SPLIT)
    calls = await home.calls("alpha_vantage")

    for _ in range(3):
        home.clock.advance(2)
        answer = await home.fetch(**anew(SPLIT))
        assert served_by(answer) == ["yahoo"]
        assert answer.attempts[0].calls == 0
        assert answer.attempts[0].reason.startswith("QUOTA_EXHAUSTED: ")
    assert await home.calls("alpha_vantage") == calls == 1


async def test_out_of_quota_is_said_only_when_all_are_and_with_the_first_return(
    home: House,
) -> None:
    await home.fault("alpha_vantage", "status_429", retry_after=500)
    await home.fault("yahoo", "status_429", retry_after=200)

    failed = await home.refused(**SPLIT)

    assert (failed.code, failed.reason) == (
        Code.RESOURCE_EXHAUSTED,
        "QUOTA_EXHAUSTED",
    )
    assert failed.retry_seconds == pytest.approx(200, abs=2)
    quota = failed.detail(error_details_pb2.QuotaFailure)
    assert {violation.subject for violation in quota.violations} == {
        "provider:alpha_vantage",
        "provider:yahoo",
    }


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("status_500", "ALL_PROVIDERS_FAILED"),
        ("malformed", "MALFORMED_PAYLOAD"),
        ("empty", "NO_DATA_UNEXPLAINED"),
    ],
)
async def test_out_of_quota_is_not_said_if_another_vendor_failed(
    home: House, fault: str, reason: str
) -> None:
    await home.fault("alpha_vantage", "status_429", retry_after=500)
    await home.fault("yahoo", fault)

    failed = await home.refused(**SPLIT)

    assert (failed.code, failed.reason) == (Code.UNAVAILABLE, reason)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("error_key", "CREDENTIALS_REFUSED"),
        ("information_premium", "ENTITLEMENT_MISSING"),
    ],
)
async def test_a_refusal_is_said_only_if_all_refuse(
    build: Build, fault: str, reason: str
) -> None:
    async with build() as home:
        await home.fault("alpha_vantage", fault)
        await home.fault("yahoo", "status_500")
        failed = await home.refused(**SPLIT)
        assert failed.reason == "ALL_PROVIDERS_FAILED"
    async with build(settings={"PROVIDERS__YAHOO__ENABLED": "false"}) as home:
        await home.fault("alpha_vantage", fault)
        failed = await home.refused(**SPLIT)
        assert (failed.code, failed.reason) == (Code.FAILED_PRECONDITION, reason)


async def answered(home: House, count: int, *, seconds: float = 20) -> list[float]:
    """Ask Alpha Vantage at once; return the waits of those that had to come back."""
    results = await asyncio.gather(
        *(
            home.fetch(
                **anew(RAW), source_policy=pinned("alpha_vantage"), timeout=seconds
            )
            for _ in range(count)
        ),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    for failed in refused:
        assert isinstance(failed, RefusedError)
        assert failed.reason == "QUOTA_EXHAUSTED"
    return [failed.retry_seconds or 0 for failed in refused]  # type: ignore[attr-defined]


async def test_no_overrun_after_idling(build: Build) -> None:
    async with build(settings=PLAN_OF_75) as home:
        assert await answered(home, 1) == []
        home.clock.advance(600)

        waits = await answered(home, 76)

        assert len(waits) == 1
        assert waits[0] == pytest.approx(60, abs=5)
        assert (await home.stats("alpha_vantage"))["violations"] == 0
        assert await home.calls("alpha_vantage") == 76
        home.clock.advance(waits[0] + 0.1)
        assert await answered(home, 1) == []
        assert (await home.stats("alpha_vantage"))["violations"] == 0


async def test_no_overrun_across_the_edge_of_a_minute(build: Build) -> None:
    async with build(settings=PLAN_OF_75) as home:
        assert await answered(home, 40) == []
        home.clock.advance(30)
        assert len(await answered(home, 40)) == 5
        home.clock.advance(31)
        assert len(await answered(home, 45)) == 5

        assert (await home.stats("alpha_vantage"))["violations"] == 0


async def test_the_free_day_is_not_overrun(build: Build) -> None:
    settings = {"SANDBOX__ALPHA_VANTAGE_PLAN": "free"}
    async with build(settings=settings) as home:
        for _ in range(25):
            home.clock.advance(2)
            assert await answered(home, 1) == []
        home.clock.advance(2)
        (wait,) = await answered(home, 1, seconds=1)
        assert wait == pytest.approx(16 * 3600, abs=120)
        assert await home.calls("alpha_vantage") == 25
        home.clock.advance(wait + 0.1)
        assert await answered(home, 1) == []
        assert (await home.stats("alpha_vantage"))["violations"] == 0


async def test_a_short_wait_for_quota_is_waited_if_nobody_else_can(
    build: Build,
) -> None:
    async with build(settings={"SANDBOX__ALPHA_VANTAGE_PLAN": "free"}) as home:
        assert await answered(home, 2) == []
        assert (await home.stats("alpha_vantage"))["violations"] == 0


async def test_quota_is_hardly_waited_for_while_another_vendor_is_free(
    build: Build,
) -> None:
    async with build(settings={"SANDBOX__ALPHA_VANTAGE_PLAN": "free"}) as home:
        assert served_by(await home.fetch(**RAW)) == ["alpha_vantage"]

        answer = await home.fetch(**anew(RAW))

        assert served_by(answer) == ["yahoo"]
        assert answer.attempts[0].reason.startswith("QUOTA_EXHAUSTED: ")
        latency = answer.attempts[0].latency
        assert latency.seconds == 0
        assert latency.nanos < 250_000_000


async def test_a_vendor_without_published_limits_is_not_overrun(build: Build) -> None:
    async with build() as home:
        request = {**SPLIT, "source_policy": pinned("yahoo")}
        answers = await asyncio.gather(*(home.fetch(**anew(request)) for _ in range(4)))

        assert all(served_by(answer) == ["yahoo"] for answer in answers)
        assert (await home.stats("yahoo"))["violations"] == 0
