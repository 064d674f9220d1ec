"""A vendor that is slow has another asked beside it, a little and not more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from marketdata.ingestion.v1 import ingestion_service_pb2, provider_service_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import (
    TWO_VENDORS,
    UNMETERED,
    Build,
    House,
    anew,
    budget,
    ordered,
    pinned,
    served_by,
    times,
    until,
)

AV = "alpha_vantage"
RAW = {"symbol": "MSFT", "limit": 5, "adjustment": "ADJUSTMENT_RAW"}
"""What Alpha Vantage is asked for first, and either answers with one call."""
SLOW_SECONDS = 0.4
EAGER = {
    **UNMETERED,
    "RETRY__ATTEMPTS": "1",
    "HEDGE__LONGEST_DELAY_SECONDS": "0.05",
}
"""So that tests need not wait a second for a second vendor to be asked."""
FIRST = {**EAGER, "PROVIDERS__ORDER": "alpha_vantage,yahoo"}
"""However slow it is, an operator wants Alpha Vantage to be asked first."""
SAVED = 10
"""Extra calls that are saved up before the first question."""
SHARE = 0.05
CHARTS = 2
"""Calls with which Yahoo answers: the bars, and the splits since."""
SERVED = truth.ATTEMPT_OUTCOME_SERVED
OVERTAKEN = truth.ATTEMPT_OUTCOME_OVERTAKEN
Answer = ingestion_service_pb2.FetchResponse


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are."""
    return TWO_VENDORS


def ways(answer: Answer) -> list[tuple[str, int, bool]]:
    """Return each attempt's vendor and outcome, and whether it was a hedge."""
    return [(each.provider, each.outcome, each.hedge) for each in answer.attempts]


async def timed(home: House, **request: Any) -> tuple[Answer, float]:
    """Fetch, and return how many seconds it took as well."""
    started = time.monotonic()
    answer = await home.fetch(**request)
    return answer, time.monotonic() - started


async def charts(home: House) -> int:
    """Return how often Yahoo was asked for bars."""
    by_path = (await home.stats("yahoo"))["by_path"]
    return int(by_path.get("/v8/finance/chart", 0))


async def test_who_hangs_has_another_asked_after_a_second(build: Build) -> None:
    async with build(settings=UNMETERED) as home:
        await home.fetch(**anew(RAW), source_policy=pinned("yahoo"))
        before = (await home.window(AV, "minute")).remaining
        await home.fault(AV, "hang")

        answer, seconds = await timed(home, **RAW)

        assert served_by(answer) == ["yahoo"]
        assert len(times(answer)) == 5
        assert answer.completeness == truth.COMPLETENESS_COMPLETE
        assert 0.9 <= seconds < 2.5
        assert (await home.window(AV, "minute")).remaining == before - 1
        assert await home.calls(AV) == 1
    assert sorted(ways(answer)) == [(AV, OVERTAKEN, False), ("yahoo", SERVED, True)]
    (lost,) = [each for each in answer.attempts if each.provider == AV]
    assert lost.calls == 1
    assert lost.reason == "OVERTAKEN: yahoo answered first"
    assert lost.latency.ToTimedelta().total_seconds() == pytest.approx(1, abs=0.9)


async def test_who_is_usually_quick_is_not_waited_for_a_second(build: Build) -> None:
    async with build(settings=UNMETERED) as home:
        for _ in range(8):
            assert served_by(await home.fetch(**anew(RAW))) == [AV]
        await home.fetch(**anew(RAW), source_policy=pinned("yahoo"))
        await home.fault(AV, "hang")

        answer, seconds = await timed(home, **anew(RAW))

    assert served_by(answer) == ["yahoo"]
    assert seconds < 0.8
    assert (AV, OVERTAKEN, False) in ways(answer)


async def test_extra_calls_are_a_small_share_of_all(build: Build) -> None:
    rounds, at_once = 6, 10
    async with build(settings=FIRST) as home:
        await home.fault(AV, "latency", seconds=SLOW_SECONDS)

        answers = [
            answer
            for _ in range(rounds)
            for answer in await asyncio.gather(
                *(home.fetch(**anew(RAW)) for _ in range(at_once))
            )
        ]

        tried = [each for answer in answers for each in answer.attempts]
        extra = sum(each.hedge for each in tried)
        # One that was overtaken before its call had left is told with none.
        told = sum(each.calls for each in tried if each.provider == AV)
        assert await home.calls(AV) == told <= len(answers) == rounds * at_once
        assert await charts(home) <= CHARTS * extra
    assert SAVED <= extra <= SAVED + SHARE * len(answers)
    assert {served_by(answer)[0] for answer in answers} == {AV, "yahoo"}


@pytest.mark.parametrize(
    ("settings", "request_"),
    [
        ({}, {"source_policy": ordered(AV, "yahoo")}),
        ({}, {"source_policy": pinned(AV)}),
        ({}, {"priority": "PRIORITY_BATCH"}),
        ({"HEDGE__SHARE": "0"}, {}),
    ],
    ids=["ordered", "pinned", "batch", "off"],
)
async def test_nobody_is_asked_in_haste_where_that_is_not_wanted(
    build: Build, settings: dict[str, str], request_: dict[str, Any]
) -> None:
    async with build(settings={**EAGER, **settings}) as home:
        await home.fault(AV, "latency", seconds=SLOW_SECONDS)

        answer = await home.fetch(**RAW, **request_)

        assert await home.calls("yahoo") == 0
    assert ways(answer) == [(AV, SERVED, False)]


async def test_a_batch_is_in_no_haste(build: Build) -> None:
    async with build(settings=EAGER) as home:
        await home.fault(AV, "latency", seconds=SLOW_SECONDS)
        request = {key: value for key, value in RAW.items() if key != "symbol"}

        (response,) = await home.batch(symbols=["MSFT"], **request)

        assert await home.calls("yahoo") == 0
    assert served_by(response.chunk) == [AV]


@pytest.mark.parametrize(
    ("left", "asked"), [(1, 0), (5, 1)], ids=["nearly none", "enough"]
)
async def test_quota_that_is_nearly_gone_is_not_spent_on_haste(
    build: Build, left: int, asked: int
) -> None:
    hour = {"name": "hour", "limit": 10, "seconds": 3600}
    async with build(settings={**EAGER, **budget("yahoo", windows=[hour])}) as home:
        await home.spend("yahoo", 10 - left)
        before = await charts(home)
        await home.fault(AV, "latency", seconds=SLOW_SECONDS)

        answer = await home.fetch(**RAW)

        assert await charts(home) == before + asked * CHARTS
    assert served_by(answer) == ["yahoo" if asked else AV]


async def test_money_is_not_spent_on_haste(build: Build) -> None:
    paid = {**EAGER, **budget(AV, price_per_unit_usd=0.01)}
    async with build(settings=paid) as home:
        await home.fault("yahoo", "latency", seconds=SLOW_SECONDS)

        answer = await home.fetch(**RAW)

        assert await home.calls(AV) == 0
    assert ways(answer) == [("yahoo", SERVED, False)]


async def test_a_vendor_at_rest_is_not_asked_in_haste(build: Build) -> None:
    async with build(settings=EAGER) as home:
        await home.fault("yahoo", "status_500", times=5)
        for _ in range(5):
            await home.refused(**anew(RAW), source_policy=pinned("yahoo"))
        before = await home.calls("yahoo")
        await home.fault(AV, "latency", seconds=SLOW_SECONDS)

        answer = await home.fetch(**RAW)

        assert await home.calls("yahoo") == before
    assert served_by(answer) == [AV]


async def test_a_hedge_that_loses_does_no_harm(build: Build) -> None:
    async with build(settings=EAGER) as home:
        await home.fault(AV, "latency", seconds=SLOW_SECONDS)
        await home.fault("yahoo", "hang")

        answer, seconds = await timed(home, **RAW)

        await home.until_called("yahoo")
    assert served_by(answer) == [AV]
    assert seconds < 2 * SLOW_SECONDS + 0.5
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert sorted(ways(answer)) == [(AV, SERVED, False), ("yahoo", OVERTAKEN, True)]


async def test_a_hedge_that_fails_leaves_the_first_its_time(build: Build) -> None:
    async with build(settings=EAGER) as home:
        await home.fault(AV, "latency", seconds=SLOW_SECONDS)
        await home.fault("yahoo", "status_500")

        answer = await home.fetch(**RAW)

    assert served_by(answer) == [AV]
    assert answer.completeness == truth.COMPLETENESS_COMPLETE


async def test_a_client_that_leaves_while_both_are_asked_leaves_nothing(
    build: Build,
) -> None:
    async with build(settings=EAGER) as home:
        for vendor in (AV, "yahoo"):
            await home.fault(vendor, "hang")
        call = asyncio.create_task(home.fetch(**RAW))
        await home.until_called(AV)
        await home.until_called("yahoo")

        call.cancel()
        await asyncio.wait([call])

        async def ended() -> bool:
            tasks = asyncio.all_tasks()
            names = {task.get_name() for task in tasks}
            serving = any("Fetch" in repr(task) for task in tasks)
            return not serving and not names & {"attempt", "flight"}

        await until(ended)
        for vendor in (AV, "yahoo"):
            await home.mend(vendor)
        assert len(times(await home.fetch(**RAW))) == 5


async def test_what_the_loser_tells_late_is_known_from_then_on(build: Build) -> None:
    async with build(settings=EAGER) as home:
        await home.fault(AV, "latency", seconds=SLOW_SECONDS)
        answer = await home.fetch(**RAW)
        assert served_by(answer) == ["yahoo"]

        async def both_known() -> bool:
            listed = await home.providers.ListProviders(
                provider_service_pb2.ListProvidersRequest()
            )
            return bool(listed.cache.series == 2)

        await until(both_known)
        late = await home.fetch(**RAW, source_policy=pinned(AV))

        assert await home.calls(AV) == 1
    assert [source.from_cache for source in late.sources] == [True]
    assert times(late) == times(answer)


async def test_equal_questions_to_a_black_hole_are_answered_soon_by_few_calls(
    build: Build,
) -> None:
    async with build(settings=UNMETERED) as home:
        await home.fault(AV, "hang")
        started = time.monotonic()

        answers = await asyncio.gather(*(home.fetch(**RAW) for _ in range(50)))

        assert time.monotonic() - started < 2.5
        assert await home.calls(AV) == 1
        assert await charts(home) == CHARTS
    assert {tuple(times(answer)) for answer in answers} == {tuple(times(answers[0]))}
    assert all(served_by(answer) == ["yahoo"] for answer in answers)
    assert sum(each.calls for a in answers for each in a.attempts) == 1 + CHARTS


async def test_beyond_the_share_who_hangs_is_borne_for_seconds_once_and_then_not_asked(
    build: Build,
) -> None:
    async with build(settings=UNMETERED) as home:
        await home.fault(AV, "hang")
        started = time.monotonic()

        answers = await asyncio.gather(*(home.fetch(**anew(RAW)) for _ in range(30)))

        assert time.monotonic() - started < 6.5
        calls = await home.calls(AV)
        after, seconds = await timed(home, **anew(RAW))

        assert seconds < 0.9
        assert await home.calls(AV) == calls
    for answer in (*answers, after):
        assert served_by(answer) == ["yahoo"]
        assert len(times(answer)) == 5
