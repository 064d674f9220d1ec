"""The score acts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.port.house import (
    TWO_VENDORS,
    UNMETERED,
    Build,
    House,
    anew,
    ordered,
    pinned,
    served_by,
    until,
)

AV = "alpha_vantage"
RAW = {"symbol": "MSFT", "limit": 5, "adjustment": "ADJUSTMENT_RAW"}
QUICK = {**UNMETERED, "RETRY__ATTEMPTS": "1", "HEDGE__SHARE": "0"}
"""Nobody is asked only because another is slow: whoever is first is heard out."""
MOST_CALLS = 6
"""Within so many calls traffic must move."""
PROBE_SECONDS = 10.5


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are."""
    return TWO_VENDORS


async def slow_fetch(home: House, **request: object) -> str:
    """Fetch while the first vendor takes three seconds; return who served."""
    before = await home.calls(AV)
    task = asyncio.create_task(home.fetch(**{**anew(RAW), **request}))

    async def asked() -> bool:
        return task.done() or await home.calls(AV) > before

    await until(asked)
    if not task.done():
        home.clock.advance(3)
    return served_by(await task)[0]


async def slowed(home: House) -> None:
    """Make Alpha Vantage slow, and let that be seen."""
    await home.fault(AV, "latency", seconds=0.1)
    for _ in range(MOST_CALLS):
        await slow_fetch(home, source_policy=pinned(AV))


async def who(home: House) -> str:
    """Fetch, and return who served."""
    return served_by(await home.fetch(**anew(RAW)))[0]


async def test_traffic_leaves_who_becomes_slow_and_returns_when_it_recovers(
    build: Build,
) -> None:
    async with build(settings=QUICK) as home:
        assert [await who(home) for _ in range(8)] == [AV] * 8
        await home.fault(AV, "latency", seconds=0.1)

        served = [await slow_fetch(home) for _ in range(MOST_CALLS + 2)]

        assert served[0] == AV
        assert served[MOST_CALLS:] == ["yahoo"] * 2
        slow_calls = await home.calls(AV)
        assert {await who(home) for _ in range(5)} == {"yahoo"}
        assert await home.calls(AV) == slow_calls

        await home.mend(AV)
        for _ in range(MOST_CALLS + 1):
            home.clock.advance(PROBE_SECONDS)
            assert await who(home) == AV
        assert [await who(home) for _ in range(5)] == [AV] * 5


async def test_a_whole_second_is_slow_enough(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await home.fault(AV, "latency")

        served = [await who(home) for _ in range(MOST_CALLS)]

        assert served[-1] == "yahoo"


async def test_one_probe_goes_however_many_ask(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await slowed(home)
        await who(home)
        before = await home.calls(AV)
        home.clock.advance(PROBE_SECONDS)

        await asyncio.gather(*(who(home) for _ in range(10)))

        assert await home.calls(AV) == before + 1


@pytest.mark.parametrize(
    "settings",
    [
        {"PROVIDERS__ALPHA_VANTAGE__PRIORITY": "10"},
        {"PROVIDERS__ORDER": "alpha_vantage,yahoo"},
    ],
    ids=["priority", "order"],
)
async def test_what_an_operator_set_is_obeyed_however_slow_it_is(
    build: Build, settings: Mapping[str, str]
) -> None:
    async with build(settings={**QUICK, **settings}) as home:
        await slowed(home)

        assert await who(home) == AV


async def test_the_callers_order_is_obeyed_however_slow_it_is(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await slowed(home)

        answer = await home.fetch(**RAW, source_policy=ordered(AV, "yahoo"))

        assert served_by(answer) == [AV]


async def test_a_priority_changes_who_is_first(build: Build) -> None:
    settings = {**QUICK, "PROVIDERS__YAHOO__PRIORITY": "5"}
    async with build(settings=settings) as home:
        assert await who(home) == "yahoo"
        assert await home.calls(AV) == 0


async def test_the_last_one_standing_is_tried_and_an_open_breaker_is_not_passed(
    build: Build,
) -> None:
    async with build(settings=QUICK) as home:
        await slowed(home)
        assert await who(home) == "yahoo"
        await home.fault("yahoo", "status_500")
        for _ in range(5):
            await home.refused(**anew(RAW), source_policy=pinned("yahoo"))
        before = await home.calls("yahoo")

        served = [await who(home) for _ in range(3)]

        assert served == [AV] * 3
        assert await home.calls("yahoo") == before


async def test_equal_priorities_share_the_load(build: Build) -> None:
    settings = {
        **QUICK,
        "PROVIDERS__ALPHA_VANTAGE__PRIORITY": "10",
        "PROVIDERS__YAHOO__PRIORITY": "10",
        "REGISTRY__SEED": "7",
    }
    async with build(settings=settings) as home:
        served = [await who(home) for _ in range(60)]

        for vendor in (AV, "yahoo"):
            assert served.count(vendor) >= 15
            # One call each, and whatever splits and greetings took.
            assert await home.calls(vendor) >= served.count(vendor)
