"""A vendor that says "not now" is left alone until then, and operators hear of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from marketdata.ingestion.v1 import quota_pb2 as truth
from marketdata.ingestion.v1 import quota_service_pb2

from tests.port.house import (
    FREE,
    UNMETERED,
    Build,
    House,
    budget,
    one_call,
    seconds_between,
)

AV = "alpha_vantage"
VENDORS = [AV, "yahoo"]


async def next_alert(home: House) -> truth.QuotaAlert:
    """Return the first alert that WatchQuotas tells, the latest included."""
    call = home.quotas.WatchQuotas(
        quota_service_pb2.WatchQuotasRequest(min_interval={"nanos": 50_000_000}),
        timeout=10,
    )
    async for message in call:
        if message.alerts:
            call.cancel()
            return message.alerts[0]
    raise AssertionError("there is no alert")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_nothing_leaves_until_retry_after(home: House, vendor: str) -> None:
    await home.fault(vendor, "status_429", retry_after=120, times=1)
    await home.refused(**one_call(vendor))

    before = home.clock.now()
    account = await home.account(vendor)
    home.clock.advance(110)
    batch = {**one_call(vendor), "symbols": ["MSFT", "AAPL"], "timeout": 5}
    del batch["symbol"]
    failures = await asyncio.gather(
        *(home.refused(**one_call(vendor), timeout=5) for _ in range(5)),
    )
    results = await home.batch(**batch)

    assert 100 <= seconds_between(before, account.closed_until) <= 121
    assert "refused" in account.closed_reason
    assert {failed.reason for failed in failures} == {"QUOTA_EXHAUSTED"}
    assert {result.failure.reason for result in results} == {"QUOTA_EXHAUSTED"}
    assert await home.calls(vendor) == 1
    home.clock.advance(11)
    await home.fetch(**one_call(vendor))
    reopened = await home.account(vendor)
    assert not reopened.HasField("closed_until")
    assert reopened.closed_reason == ""


async def test_one_vendor_that_is_closed_closes_no_other(home: House) -> None:
    await home.fault(AV, "status_429", retry_after=120, times=1)
    await home.refused(**one_call(AV))

    answer = await home.fetch(**one_call("yahoo"))

    assert answer.series.bars
    assert not (await home.account("yahoo")).HasField("closed_until")


async def test_a_refusal_that_fitted_all_windows_is_an_alert(home: House) -> None:
    await home.fault(AV, "status_429", retry_after=120, times=1)
    watching = asyncio.create_task(next_alert(home))
    await home.refused(**one_call(AV))

    alert = await watching

    assert alert.kind == truth.QUOTA_ALERT_KIND_VIOLATION
    assert alert.provider == AV
    assert "another program" in alert.detail
    assert abs(seconds_between(home.clock.now(), alert.at)) < 10


async def test_a_gateway_with_configured_limits_is_judged_as_well(
    build: Build,
) -> None:
    windows = [{"name": "minute", "limit": 100, "seconds": 60}]
    async with build(
        settings={**UNMETERED, **budget("yahoo", windows=windows)}
    ) as home:
        await home.fault("yahoo", "status_429", retry_after=120, times=1)
        await home.refused(**one_call("yahoo"))

        alert = await next_alert(home)

    assert alert.kind == truth.QUOTA_ALERT_KIND_VIOLATION
    assert alert.provider == "yahoo"


@pytest.mark.parametrize("fault", ["information_daily", "information_key"])
async def test_a_vendor_that_says_the_day_is_used_up_is_believed(
    build: Build, fault: str
) -> None:
    midnight = datetime(2024, 6, 13, 4, tzinfo=UTC)
    async with build(settings=FREE) as home:
        await home.spend(AV, 3)
        home.clock.advance(2)
        await home.fault(AV, fault, times=1)
        told = await home.refused(**one_call(AV))

        day = await home.window(AV, "day")
        account = await home.account(AV)
        alert = await next_alert(home)
        home.clock.advance((midnight - home.clock.now()).total_seconds() - 30)
        again = await home.refused(**one_call(AV))
        calls = await home.calls(AV)
        home.clock.advance(31.5)
        await home.fetch(**one_call(AV))

        assert told.facts["window"] == again.facts["window"] == "day"
        assert (day.used, day.remaining) == (25, 0)
        # Half a second around midnight nothing leaves, as a precaution.
        assert 0 <= seconds_between(midnight, account.closed_until) <= 1
        assert alert.kind == truth.QUOTA_ALERT_KIND_VIOLATION
        assert alert.window == "day"
        assert calls == 4
        stats = await home.stats(AV)
        assert (stats["calls"], stats["violations"]) == (5, 0)
        assert (await home.window(AV, "day")).used == 1
