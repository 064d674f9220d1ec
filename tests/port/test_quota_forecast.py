"""ForecastQuota tells when a window runs out, and what will not finish in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import log

import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import quota_pb2

from tests.port.house import (
    FREE,
    UNMETERED,
    Build,
    House,
    RefusedError,
    budget,
    one_call,
    seconds_between,
)

AV = "alpha_vantage"
TONIGHT = datetime(2024, 6, 13, 4, tzinfo=UTC)
TODAY = {"finish_by": TONIGHT.isoformat().replace("+00:00", "Z")}
HOUR = 3600.0


async def day_of(home: House) -> quota_pb2.QuotaWindowForecast:
    """Return the forecast of the free day."""
    foreseen = await home.foreseen(providers=[AV])
    assert [one.window.name for one in foreseen.windows] == ["second", "day"]
    return foreseen.windows[1]


async def test_at_a_steady_rate_the_day_runs_out_when_what_remains_is_used(
    build: Build,
) -> None:
    async with build(settings=FREE) as home:
        for _ in range(18):
            home.clock.advance(HOUR / 2)
            await home.fetch(**one_call(AV))

        now = home.clock.now()
        day = await day_of(home)

    # Smoothed with a half-life of an hour: calls half an hour apart weigh 2^-0.5 of
    # each other, so that 18 of them make up all but 0.2 % of this sum.
    expected_rate = log(2) / HOUR / (1 - 0.5**0.5)
    assert day.window.remaining == 7
    assert day.rate_per_second == pytest.approx(expected_rate, rel=0.02)
    assert not day.by_time_of_day
    left = seconds_between(now, day.exhausts_at)
    assert left == pytest.approx(7 / day.rate_per_second, abs=5)
    # Seven calls half an hour apart, less what the last call weighs too much.
    assert 2.5 * HOUR < left < 3.5 * HOUR
    until_midnight = (TONIGHT - now).total_seconds()
    assert day.expected_until_reset == pytest.approx(
        until_midnight * day.rate_per_second, abs=1
    )


async def test_a_rate_that_the_day_outlasts_exhausts_nothing(build: Build) -> None:
    async with build(settings=FREE) as home:
        await home.spend(AV, 1)
        home.clock.advance(3 * HOUR)

        day = await day_of(home)

    assert day.window.used == 1
    assert day.rate_per_second > 0
    assert not day.HasField("exhausts_at")


async def test_a_day_that_is_full_is_exhausted_now(build: Build) -> None:
    async with build(settings=FREE) as home:
        await home.spend(AV, 25)

        now = home.clock.now()
        day = await day_of(home)

    assert abs(seconds_between(now, day.exhausts_at)) < 5


@pytest.mark.parametrize(
    ("priority", "fits"), [("PRIORITY_BATCH", 23), ("PRIORITY_INTERACTIVE", 25)]
)
async def test_thirty_calls_do_not_fit_one_free_day(
    build: Build, priority: str, fits: int
) -> None:
    planned = {"provider": AV, "calls": 30, "priority": priority, **TODAY}
    async with build(settings=FREE) as home:
        foreseen = await home.foreseen(planned=[planned])

    (plan,) = foreseen.planned
    assert plan.provider == AV
    assert plan.fits == fits
    assert plan.will_not_finish == 30 - fits
    assert plan.cost_usd == 0
    # The others go one a second, after the turn and its precaution of half a second.
    others = 30 - fits
    assert others - 1 < seconds_between(TONIGHT, plan.finishes_at) < others + 2


async def test_what_is_used_already_does_not_fit_again(build: Build) -> None:
    planned = {"provider": AV, "calls": 30, "priority": 1, **TODAY}
    async with build(settings=FREE) as home:
        await home.spend(AV, 10)
        foreseen = await home.foreseen(planned=[planned])
        day = await home.window(AV, "day")

    (plan,) = foreseen.planned
    assert (plan.fits, plan.will_not_finish) == (15, 15)
    assert day.used == 10


async def test_without_an_end_all_fit_and_it_is_told_when(build: Build) -> None:
    async with build(settings=FREE) as home:
        foreseen = await home.foreseen(planned=[{"provider": AV, "calls": 60}])

    (plan,) = foreseen.planned
    assert (plan.fits, plan.will_not_finish) == (60, 0)
    # 23 today, 23 tomorrow, and 14 the day after.
    third_day = TONIGHT + timedelta(days=1)
    assert 13 < seconds_between(third_day, plan.finishes_at) < 17
    assert plan.held_by == "second"


async def test_what_should_be_done_already_does_not_fit(build: Build) -> None:
    planned = {"provider": AV, "calls": 3, "finish_by": "2024-06-12T11:00:00Z"}
    async with build(settings=FREE) as home:
        foreseen = await home.foreseen(planned=[planned])

    (plan,) = foreseen.planned
    assert (plan.fits, plan.will_not_finish) == (0, 3)


async def test_a_closed_vendor_finishes_nothing_before_it_opens(build: Build) -> None:
    async with build(settings=FREE) as home:
        await home.fault(AV, "status_429", retry_after=600, times=1)
        await home.refused(**one_call(AV))
        now = home.clock.now()
        foreseen = await home.foreseen(planned=[{"provider": AV, "calls": 1}])

    assert seconds_between(now, foreseen.planned[0].finishes_at) > 590


async def test_planned_calls_have_a_price(build: Build) -> None:
    settings = {
        **UNMETERED,
        **budget(
            "yahoo", price_per_unit_usd=0.01, allowance_units=10, weights={"session": 5}
        ),
    }
    planned = [
        {"provider": "yahoo", "calls": 8},
        {"provider": "yahoo", "calls": 30},
        {"provider": "yahoo", "calls": 8, "endpoint": "session"},
    ]
    async with build(settings=settings) as home:
        foreseen = await home.foreseen(planned=planned)

    costs = [plan.cost_usd for plan in foreseen.planned]
    assert costs == pytest.approx([0, 0.20, 0.30])
    assert [plan.fits for plan in foreseen.planned] == [8, 30, 8]


async def test_foreseeing_uses_nothing_up(build: Build) -> None:
    async with build(settings=FREE) as home:
        for _ in range(3):
            await home.foreseen(planned=[{"provider": AV, "calls": 1000}])

        day = await home.window(AV, "day")
        await home.fetch(**one_call(AV))

        assert (day.used, day.reserved) == (0, 0)
        assert await home.calls(AV) == 1


async def test_what_is_wrong_with_a_plan_is_named(home: House) -> None:
    planned = [
        {"provider": AV, "calls": 1},
        {"provider": "iex", "calls": 1},
        {"provider": AV, "calls": 0},
        {"calls": 100_001},
    ]

    with pytest.raises(RefusedError) as refused:
        await home.foreseen(providers=["iex"], planned=planned)

    failed = refused.value
    assert (failed.code, failed.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
    assert failed.fields == {
        "providers",
        "planned[1].provider",
        "planned[2].calls",
        "planned[3].provider",
        "planned[3].calls",
    }
    assert "'iex'" in failed.message


async def test_a_forecast_is_of_its_moment(home: House) -> None:
    foreseen = await home.foreseen()

    assert abs(seconds_between(home.clock.now(), foreseen.as_of)) < 5
    listed = await home.listed()
    assert [(one.window.provider, one.window.name) for one in foreseen.windows] == [
        (one.provider, one.name) for one in listed.windows
    ]
