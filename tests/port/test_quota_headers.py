"""What answers tell about quota makes us more careful, and never less."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from marketdata.ingestion.v1 import quota_pb2 as truth

from tests.port.house import (
    UNMETERED,
    Build,
    House,
    RefusedError,
    budget,
    one_call,
    seconds_between,
)

LIMIT = "X-RateLimit-Requests-Limit"
REMAINING = "x-ratelimit-requests-remaining"
RESET = "X-RateLimit-Requests-Reset"
MINUTE = {
    "name": "minute",
    "limit": 100,
    "seconds": 60,
    "limit_header": LIMIT,
    "remaining_header": REMAINING,
    "reset_header": RESET,
}
GATEWAY = {**UNMETERED, **budget("yahoo", windows=[MINUTE])}
"""A gateway that speaks Yahoo's format, and tells what is left."""
MESSAGES = {
    "name": "month",
    "limit": 1000,
    "counts": "units",
    "kind": "fixed",
    "period": "month",
}


async def told(home: House, headers: dict[str, str], **more: Any) -> None:
    """Ask once, and let the answer tell something."""
    await home.fault("yahoo", "headers", headers=headers, times=1, **more)
    await home.fetch(**one_call("yahoo"))


async def answered(home: House, most: int) -> int:
    """Ask until there is a refusal, and return how many were answered."""
    for number in range(most):
        try:
            await home.fetch(**one_call("yahoo"))
        except RefusedError:
            return number
    return most


async def test_three_remaining_are_three_more_calls(build: Build) -> None:
    async with build(settings=GATEWAY) as home:
        await told(home, {REMAINING: "3"})

        window = await home.window("yahoo", "minute")
        more = await answered(home, 10)

        assert (window.limit, window.remaining) == (100, 3)
        assert window.used == 97
        assert more == 3
        assert await home.calls("yahoo") == 4


async def test_saying_three_again_and_again_gives_no_more_than_three(
    build: Build,
) -> None:
    async with build(settings=GATEWAY) as home:
        await home.fault("yahoo", "headers", headers={REMAINING: "3"})
        await home.fetch(**one_call("yahoo"))

        more = await answered(home, 10)

        assert more == 3
        assert await home.calls("yahoo") == 4


async def test_a_claim_of_more_changes_nothing(build: Build) -> None:
    async with build(settings=GATEWAY) as home:
        for _ in range(10):
            await home.fetch(**one_call("yahoo"))

        await told(home, {REMAINING: "5000", LIMIT: "6000"})

        window = await home.window("yahoo", "minute")
        assert (window.limit, window.used, window.remaining) == (100, 11, 89)
        assert window.source == truth.QUOTA_SOURCE_CONFIGURED


async def test_after_three_a_claim_of_more_gives_none_back(build: Build) -> None:
    async with build(settings=GATEWAY) as home:
        await told(home, {REMAINING: "3"})
        await told(home, {REMAINING: "90"})

        assert (await home.window("yahoo", "minute")).remaining == 2
        assert await answered(home, 10) == 2


async def test_a_lower_limit_is_believed_and_signed(build: Build) -> None:
    async with build(settings=GATEWAY) as home:
        await told(home, {LIMIT: "5"})

        window = await home.window("yahoo", "minute")
        more = await answered(home, 10)

        assert (window.limit, window.remaining) == (5, 4)
        assert window.source == truth.QUOTA_SOURCE_HEADER
        assert more == 4
        assert await home.calls("yahoo") == 5


async def test_a_lower_limit_that_is_told_no_more_is_over(build: Build) -> None:
    async with build(settings=GATEWAY) as home:
        await told(home, {LIMIT: "5"})
        home.clock.advance(61)

        window = await home.window("yahoo", "minute")
        more = await answered(home, 10)

        assert (window.limit, window.remaining) == (100, 100)
        assert window.source == truth.QUOTA_SOURCE_CONFIGURED
        assert more == 10


async def test_a_lower_limit_that_is_told_with_each_answer_holds(build: Build) -> None:
    async with build(settings=GATEWAY) as home:
        await home.fault("yahoo", "headers", headers={LIMIT: "5"})
        await home.fetch(**one_call("yahoo"))
        home.clock.advance(40)
        await home.fetch(**one_call("yahoo"))
        home.clock.advance(40)

        assert (await home.window("yahoo", "minute")).limit == 5


@pytest.mark.parametrize(
    "nonsense",
    ["", "many", "-1", "nan", "inf", "1e999", "3, 2", "0x3", "None", "9" * 400],
)
async def test_nonsense_is_ignored(build: Build, nonsense: str) -> None:
    async with build(settings=GATEWAY) as home:
        await told(home, {REMAINING: nonsense, LIMIT: nonsense, RESET: nonsense})

        window = await home.window("yahoo", "minute")
        account = await home.account("yahoo")

        assert (window.limit, window.used, window.remaining) == (100, 1, 99)
        assert window.source == truth.QUOTA_SOURCE_CONFIGURED
        assert not account.HasField("closed_until")


async def test_a_limit_of_nothing_is_nonsense_too(build: Build) -> None:
    async with build(settings=GATEWAY) as home:
        await told(home, {LIMIT: "0"})

        assert (await home.window("yahoo", "minute")).limit == 100


@pytest.mark.parametrize("reset", ["{now+60}", "60"], ids=["moment", "seconds"])
async def test_nothing_remaining_closes_until_the_reset(
    build: Build, reset: str
) -> None:
    # Our minute turns twenty seconds after this, the vendor's only after sixty.
    start = datetime(2024, 6, 12, 12, 0, 40, tzinfo=UTC)
    fixed = {**MINUTE, "kind": "fixed", "period": "minute"}
    del fixed["seconds"]
    settings = {**UNMETERED, **budget("yahoo", windows=[fixed])}
    async with build(settings=settings, start=start) as home:
        before = home.clock.now()
        await told(home, {REMAINING: "0", RESET: reset})
        account = await home.account("yahoo")
        # Tells whole seconds, so it may tell up to one too few.
        closed = seconds_between(before, account.closed_until)
        home.clock.advance(40)
        failed = await home.refused(**{**one_call("yahoo"), "timeout": 3})

        assert 59 <= closed <= 65
        assert "minute" in account.closed_reason
        assert failed.reason == "QUOTA_EXHAUSTED"
        assert await home.calls("yahoo") == 1

        home.clock.advance(closed - 40 + 0.1)
        await home.fetch(**one_call("yahoo"))
        assert await home.calls("yahoo") == 2


async def test_a_reset_in_another_age_does_not_close_for_years(build: Build) -> None:
    async with build(settings=GATEWAY) as home:
        before = home.clock.now()
        await told(home, {REMAINING: "0", RESET: "{now+999999999}"})

        account = await home.account("yahoo")

    assert seconds_between(before, account.closed_until) <= 65


async def test_headers_of_a_refusal_are_heard_as_well(build: Build) -> None:
    async with build(settings=GATEWAY) as home:
        await home.fault(
            "yahoo", "status_429", retry_after=5, headers={REMAINING: "0"}, times=1
        )
        await home.refused(**{**one_call("yahoo"), "timeout": 3})

        window = await home.window("yahoo", "minute")

        assert (window.used, window.remaining) == (100, 0)
        home.clock.advance(30)
        await home.refused(**{**one_call("yahoo"), "timeout": 3})
        assert await home.calls("yahoo") == 1
        home.clock.advance(32)
        await home.fetch(**one_call("yahoo"))


async def test_messages_used_are_debited_and_charged(build: Build) -> None:
    settings = {
        **UNMETERED,
        **budget(
            "yahoo",
            windows=[MESSAGES],
            used_header="iexcloud-messages-used",
            price_per_unit_usd=0.001,
        ),
    }
    async with build(settings=settings) as home:
        plain = await home.fetch(**one_call("yahoo"))
        await home.fault("yahoo", "headers", headers={"IEXCloud-Messages-Used": "10"})
        dear = await home.fetch(**one_call("yahoo"))

        window = await home.window("yahoo", "month")
        account = await home.account("yahoo")

    assert plain.attempts[0].cost_usd == pytest.approx(0.001)
    assert dear.attempts[0].cost_usd == pytest.approx(0.010)
    assert (window.used, window.remaining) == (11, 989)
    assert account.spend.units == 11
    assert account.spend.metered_usd == pytest.approx(0.011)


async def test_fewer_messages_than_we_thought_are_not_given_back(build: Build) -> None:
    settings = {
        **UNMETERED,
        **budget(
            "yahoo", windows=[MESSAGES], weights={"chart": 5}, used_header="x-used"
        ),
    }
    async with build(settings=settings) as home:
        await told(home, {"X-Used": "1"})

        assert (await home.window("yahoo", "month")).used == 5


async def test_endpoints_weigh_what_the_settings_say(build: Build) -> None:
    windows = [
        {"name": "calls", "limit": 50, "seconds": 60},
        {"name": "credits", "limit": 9, "seconds": 60, "counts": "units"},
    ]
    settings = {
        **UNMETERED,
        **budget("yahoo", windows=windows, weights={"chart": 2, "chart:1d": 4}),
    }
    async with build(settings=settings) as home:
        await home.fetch(**one_call("yahoo"))
        await home.fetch(**one_call("yahoo"), interval="INTERVAL_1_HOUR")

        windows_now = await home.windows()
        failed_dear = await home.refused(**one_call("yahoo"), interval="INTERVAL_1_DAY")
        await home.fetch(**one_call("yahoo"), interval="INTERVAL_1_HOUR")

        assert windows_now["yahoo", "calls"].used == 2
        assert windows_now["yahoo", "credits"].used == 6
        assert windows_now["yahoo", "credits"].counts == truth.QUOTA_COUNTS_UNITS
        assert failed_dear.facts["window"] == "credits"
        assert (await home.window("yahoo", "credits")).used == 8
        assert await home.calls("yahoo") == 3


async def test_a_month_turns_on_its_first_day(build: Build) -> None:
    month = {"name": "month", "limit": 2, "kind": "fixed", "period": "month"}
    settings = {**UNMETERED, **budget("yahoo", windows=[month])}
    first_of_july = datetime(2024, 7, 1, tzinfo=UTC)
    async with build(settings=settings) as home:
        await home.fetch(**one_call("yahoo"))
        await home.fetch(**one_call("yahoo"))
        full = await home.window("yahoo", "month")
        home.clock.advance(timedelta(days=15).total_seconds())
        failed = await home.refused(**one_call("yahoo"))
        assert await home.calls("yahoo") == 2

        home.clock.advance((first_of_july - home.clock.now()).total_seconds() + 1)
        await home.fetch(**one_call("yahoo"))

        assert (full.used, full.remaining) == (2, 0)
        # Nothing leaves in the half second after the turn, as at midnight.
        assert 0 <= seconds_between(first_of_july, full.resets_at) <= 1
        assert failed.facts["window"] == "month"
        assert (await home.window("yahoo", "month")).used == 1
