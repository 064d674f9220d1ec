"""ListQuotas tells what each vendor meters, and what is left of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import quota_pb2 as truth

from tests.port.house import (
    FREE,
    NOON,
    Build,
    House,
    RefusedError,
    budget,
    one_call,
    seconds_between,
    until,
)

AV = "alpha_vantage"
# Around midnight nothing leaves for half a second, in case the vendor's clock differs
# from ours; and a moment reckoned from a clock that runs differs by a moment.
MIDNIGHT_SECONDS = 1.0


async def test_the_free_plan_shows_its_second_and_its_day(build: Build) -> None:
    async with build(settings=FREE) as home:
        listed = await home.listed(AV)

    second, day = listed.windows
    assert [second.name, day.name] == ["second", "day"]
    assert [second.limit, day.limit] == [1, 25]
    assert [second.remaining, day.remaining] == [1, 25]
    assert (second.kind, day.kind) == (
        truth.QUOTA_WINDOW_KIND_ROLLING,
        truth.QUOTA_WINDOW_KIND_FIXED,
    )
    assert (second.reset_zone, day.reset_zone) == ("", "America/New_York")
    assert second.length.ToTimedelta() == timedelta(seconds=1)
    for window in listed.windows:
        assert window.plan == "free"
        assert window.scope == truth.QUOTA_SCOPE_KEY
        assert window.counts == truth.QUOTA_COUNTS_CALLS
        assert window.source == truth.QUOTA_SOURCE_DECLARED
        assert window.tracked
        assert not window.HasField("own_limit")
        assert not window.HasField("resets_at")
        assert not window.HasField("free_at")
    assert (day.kept_for_interactive, second.kept_for_interactive) == (2, 0)


async def test_used_and_remaining_follow_the_calls(build: Build) -> None:
    async with build(settings=FREE) as home:
        await home.spend(AV, 3)

        day = await home.window(AV, "day")

        assert (day.used, day.reserved, day.remaining) == (3, 0, 22)
        assert await home.calls(AV) == 3


async def test_a_call_on_its_way_is_reserved_and_then_used(build: Build) -> None:
    async with build(settings=FREE) as home:
        await home.fault(AV, "hang")
        task = asyncio.create_task(home.fetch(**one_call(AV)))
        await home.until_called(AV)

        under_way = await home.window(AV, "day")
        task.cancel()
        await asyncio.wait([task])

        async def given_up() -> bool:
            return not (await home.window(AV, "day")).reserved

        await until(given_up)
        day = await home.window(AV, "day")

    assert (under_way.used, under_way.reserved, under_way.remaining) == (0, 1, 24)
    # Its caller left, but the vendor has heard of it.
    assert (day.used, day.reserved, day.remaining) == (1, 0, 24)


@pytest.mark.parametrize(
    ("start", "midnight"),
    [
        (NOON, datetime(2024, 6, 13, 4, tzinfo=UTC)),
        (
            datetime(2024, 6, 13, 3, 30, tzinfo=UTC),
            datetime(2024, 6, 13, 4, tzinfo=UTC),
        ),
        # Summer time begins on this day, which has 23 hours, and ends on that.
        (
            datetime(2024, 3, 10, 5, 30, tzinfo=UTC),
            datetime(2024, 3, 11, 4, tzinfo=UTC),
        ),
        (
            datetime(2024, 11, 3, 4, 30, tzinfo=UTC),
            datetime(2024, 11, 4, 5, tzinfo=UTC),
        ),
    ],
    ids=["summer", "late", "23-hours", "25-hours"],
)
async def test_the_day_resets_at_the_next_midnight_in_new_york(
    build: Build, start: datetime, midnight: datetime
) -> None:
    async with build(settings=FREE, start=start) as home:
        await home.spend(AV, 1)

        day = await home.window(AV, "day")
        left = (midnight - home.clock.now()).total_seconds()
        home.clock.advance(left + MIDNIGHT_SECONDS)
        after = await home.window(AV, "day")

    assert 0 <= seconds_between(midnight, day.resets_at) <= MIDNIGHT_SECONDS
    assert (after.used, after.remaining) == (0, 25)
    assert not after.HasField("resets_at")


async def test_what_is_full_tells_when_one_more_call_fits(build: Build) -> None:
    async with build(settings=FREE) as home:
        await home.spend(AV, 25)

        listed = await home.listed(AV)

    day = listed.windows[1]
    assert (day.used, day.remaining) == (25, 0)
    midnight = datetime(2024, 6, 13, 4, tzinfo=UTC)
    assert 0 <= seconds_between(midnight, day.free_at) <= MIDNIGHT_SECONDS


async def test_of_yahoo_nothing_is_invented(home: House) -> None:
    listed = await home.listed("yahoo")

    (window,) = listed.windows
    assert not window.tracked
    assert not window.HasField("limit")
    assert not window.HasField("remaining")
    assert window.own_limit == 2
    assert window.scope == truth.QUOTA_SCOPE_IP
    assert window.plan == "unofficial"


async def test_a_vendor_without_any_limit_has_no_window_but_is_there(
    quick: House,
) -> None:
    await quick.fetch(**one_call("yahoo"))

    listed = await quick.listed("yahoo")

    assert not listed.windows
    (account,) = listed.providers
    assert (account.provider, account.plan) == ("yahoo", "unmetered")
    assert account.spend.units == 1


async def test_a_configured_budget_says_that_it_is(build: Build) -> None:
    windows = [
        {"name": "minute", "limit": 600, "seconds": 60},
        {
            "name": "credits",
            "limit": 50_000,
            "kind": "fixed",
            "period": "day",
            "reset_zone": "Europe/Berlin",
            "counts": "units",
            "scope": "account",
        },
    ]
    async with build(settings=budget("yahoo", windows=windows)) as home:
        listed = await home.listed("yahoo")

    minute, credits_ = listed.windows
    assert [minute.limit, credits_.limit] == [600, 50_000]
    assert [minute.remaining, credits_.remaining] == [600, 50_000]
    assert (minute.scope, credits_.scope) == (
        truth.QUOTA_SCOPE_IP,
        truth.QUOTA_SCOPE_ACCOUNT,
    )
    assert credits_.counts == truth.QUOTA_COUNTS_UNITS
    assert credits_.reset_zone == "Europe/Berlin"
    for window in listed.windows:
        assert window.source == truth.QUOTA_SOURCE_CONFIGURED
        assert window.tracked
        assert not window.HasField("own_limit")


async def test_who_waits_is_counted_by_urgency(build: Build) -> None:
    settings = {"SANDBOX__ALPHA_VANTAGE_PLAN": "3per15s"}
    async with build(settings=settings) as home:
        await home.spend(AV, 3)
        waiting = [
            asyncio.create_task(home.fetch(priority=priority, **one_call(AV)))
            for priority in ("PRIORITY_INTERACTIVE", "PRIORITY_BATCH", "PRIORITY_BATCH")
        ]

        async def all_wait() -> bool:
            account = await home.account(AV)
            counts = (account.waiting_interactive, account.waiting_batch)
            return counts == (1, 2)

        await until(all_wait)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

        async def nobody_waits() -> bool:
            account = await home.account(AV)
            return not (account.waiting_interactive or account.waiting_batch)

        await until(nobody_waits)
        assert await home.calls(AV) == 3


async def test_vendors_come_in_the_order_in_which_they_are_asked(
    build: Build,
) -> None:
    async with build(settings={"PROVIDERS__ORDER": "yahoo", **FREE}) as home:
        listed = await home.listed()

        assert [one.provider for one in listed.providers] == ["yahoo", AV, "finnhub"]
        assert [one.provider for one in listed.windows] == [
            *("yahoo", AV, AV, "finnhub", "finnhub")
        ]
        assert abs(seconds_between(home.clock.now(), listed.as_of)) < 5


async def test_looking_asks_no_vendor(home: House) -> None:
    await home.listed()
    await home.foreseen()

    assert [await home.calls(vendor) for vendor in (AV, "yahoo")] == [0, 0]


async def test_an_unknown_vendor_is_an_invalid_query(home: House) -> None:
    with pytest.raises(RefusedError) as refused:
        await home.listed("iex")

    failed = refused.value
    assert (failed.code, failed.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
    assert failed.fields == {"providers"}
    assert AV in failed.message or "iex" in failed.message


async def test_a_vendor_that_is_switched_off_has_no_windows(build: Build) -> None:
    async with build(settings={"PROVIDERS__YAHOO__ENABLED": "false"}) as home:
        listed = await home.listed()
        with pytest.raises(RefusedError) as refused:
            await home.listed("yahoo")

    assert {one.provider for one in listed.windows} == {AV, "finnhub"}
    assert refused.value.reason == "INVALID_QUERY"
