"""All down is not a hot loop."""

from __future__ import annotations

import asyncio

import pytest
from grpc import StatusCode as Code

from tests.port.house import UNMETERED, Build, House, anew, pinned, served_by

MAY = {"start": "2024-05-01T00:00:00Z", "end": "2024-06-01T00:00:00Z"}
RAW = {"symbol": "MSFT", "adjustment": "ADJUSTMENT_RAW", **MAY}
SPLIT = {"symbol": "MSFT", "adjustment": "ADJUSTMENT_SPLIT", **MAY}
NATIVE = {"alpha_vantage": RAW, "yahoo": SPLIT, "finnhub": SPLIT}
QUICK = {**UNMETERED, "RETRY__ATTEMPTS": "1"}
VENDORS = ["alpha_vantage", "yahoo", "finnhub"]


async def all_calls(home: House) -> list[int]:
    """Return how often each vendor was called."""
    return [await home.calls(vendor) for vendor in VENDORS]


async def test_all_down_is_not_a_hot_loop(build: Build) -> None:
    async with build(settings=QUICK) as home:
        for vendor in VENDORS:
            await home.fault(vendor, "status_500")

        for asked in range(5):
            failed = await home.refused(**SPLIT)
            assert (failed.code, failed.reason) == (
                Code.UNAVAILABLE,
                "ALL_PROVIDERS_FAILED",
            )
            assert await all_calls(home) == [asked + 1] * 3
        home.clock.advance(10)

        for _ in range(3):
            failed = await home.refused(**SPLIT)
            assert (failed.code, failed.reason) == (
                Code.UNAVAILABLE,
                "ALL_PROVIDERS_FAILED",
            )
            assert failed.retry_seconds == pytest.approx(20, abs=2)
            assert failed.facts["providers"] == "alpha_vantage,yahoo,finnhub"
        home.clock.advance(17)
        await home.refused(**SPLIT)
        assert await all_calls(home) == [5] * 3


async def test_the_first_recovery_is_what_the_caller_is_told(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await home.fault("alpha_vantage", "status_500")
        for _ in range(5):
            await home.refused(**RAW, source_policy=pinned("alpha_vantage"))
        home.clock.advance(20)
        for vendor in ("yahoo", "finnhub"):
            await home.fault(vendor, "status_500")
            for _ in range(5):
                await home.refused(**SPLIT, source_policy=pinned(vendor))

        failed = await home.refused(**SPLIT)

        assert failed.reason == "ALL_PROVIDERS_FAILED"
        assert failed.retry_seconds == pytest.approx(10, abs=2)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_after_the_rest_one_probe_goes_however_many_ask(
    build: Build, vendor: str
) -> None:
    request = {**NATIVE[vendor], "source_policy": pinned(vendor)}
    async with build(settings=QUICK) as home:
        await home.fault(vendor, "status_500")
        for _ in range(5):
            await home.refused(**request)
        home.clock.advance(31)

        failures = await asyncio.gather(
            *(home.refused(**anew(request)) for _ in range(20))
        )

        assert {(failed.code, failed.reason) for failed in failures} == {
            (Code.UNAVAILABLE, "PINNED_PROVIDER_FAILED")
        }
        assert await home.calls(vendor) == 6
        assert all(failed.retry_seconds is not None for failed in failures)
        await home.refused(**request)
        assert await home.calls(vendor) == 6


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_probe_that_succeeds_ends_the_rest(build: Build, vendor: str) -> None:
    request = {**NATIVE[vendor], "source_policy": pinned(vendor)}
    async with build(settings=QUICK) as home:
        await home.fault(vendor, "status_500", times=5)
        for _ in range(5):
            await home.refused(**request)
        assert (await home.refused(**request)).reason == "PINNED_PROVIDER_FAILED"
        home.clock.advance(31)

        assert served_by(await home.fetch(**request)) == [vendor]
        answers = await asyncio.gather(*(home.fetch(**anew(request)) for _ in range(5)))
        assert all(served_by(answer) == [vendor] for answer in answers)


async def test_a_probe_that_its_caller_cancels_does_not_leave_the_vendor_out(
    build: Build,
) -> None:
    request = {**SPLIT, "source_policy": pinned("yahoo")}
    async with build(settings=QUICK) as home:
        await home.fault("yahoo", "status_500", times=5)
        for _ in range(5):
            await home.refused(**request)
        home.clock.advance(31)
        await home.fault("yahoo", "hang", times=1)
        task = asyncio.create_task(home.fetch(**request))
        await home.until_called("yahoo", 6)
        task.cancel()
        await asyncio.wait([task])

        answer = await home.recovered(**request)
        assert served_by(answer) == ["yahoo"]
        assert await home.calls("yahoo") == 7


async def test_a_vendor_at_rest_is_passed_over_and_says_so(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await home.fault("alpha_vantage", "status_500")
        for _ in range(5):
            assert served_by(await home.fetch(**anew(SPLIT))) == ["yahoo"]

        answer = await home.fetch(**anew(SPLIT))

        assert served_by(answer) == ["yahoo"]
        assert answer.attempts[0].calls == 0
        assert "rests" in answer.attempts[0].reason
        assert await home.calls("alpha_vantage") == 5


async def test_a_retry_heals_what_passes_in_a_moment(home: House) -> None:
    await home.fault("alpha_vantage", "status_500", times=2)

    answer = await home.fetch(**RAW)

    assert served_by(answer) == ["alpha_vantage"]
    assert answer.attempts[0].calls == 3


@pytest.mark.parametrize("fault", ["not_found", "status_429", "empty"])
async def test_what_is_no_sign_of_illness_does_not_rest_a_vendor(
    build: Build, fault: str
) -> None:
    request = {**SPLIT, "source_policy": pinned("yahoo")}
    async with build(settings=QUICK) as home:
        await home.fault("yahoo", fault, times=6)
        for _ in range(6):
            await home.refused(**request)
            home.clock.advance(3601)

        assert served_by(await home.fetch(**request)) == ["yahoo"]


async def test_rubbish_rests_a_vendor_too(build: Build) -> None:
    request = {**SPLIT, "source_policy": pinned("yahoo")}
    async with build(settings=QUICK) as home:
        await home.fault("yahoo", "truncated")
        for _ in range(5):
            assert (await home.refused(**request)).reason == "MALFORMED_PAYLOAD"

        failed = await home.refused(**request)

        assert failed.reason == "PINNED_PROVIDER_FAILED"
        assert await home.calls("yahoo") == 5


async def test_one_kind_of_data_at_rest_does_not_stop_another(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await home.fault("yahoo", "status_500", symbols=["MSFT"])
        for _ in range(6):
            await home.refused(**SPLIT, source_policy=pinned("yahoo"))

        answer = await home.fetch(
            symbol="BTC/USD", source_policy=pinned("yahoo"), **MAY
        )

        assert served_by(answer) == ["yahoo"]
