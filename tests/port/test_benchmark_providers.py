"""Vendors are compared through the port: same questions, spare quota, no cache."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import json_format
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import benchmark_pb2, provider_service_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import (
    FREE,
    TWO_VENDORS,
    UNMETERED,
    Build,
    House,
    RefusedError,
    budget,
    pinned,
)
from tests.port.roster import (
    AV,
    KIND,
    QUICK,
    YAHOO,
    answered,
    broken,
    changed,
    health,
    refusal,
)

RAW = {"symbol": "MSFT", "adjustment": "ADJUSTMENT_RAW", "limit": 20}
SPLIT = {"symbol": "MSFT", "adjustment": "ADJUSTMENT_SPLIT", "limit": 20}
INDEX = {"symbol": "^GSPC", "limit": 20}
HALF_A_DAY = 12
"""The free plan of Alpha Vantage has 25 calls a day."""
Response = provider_service_pb2.BenchmarkProvidersResponse


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are."""
    return TWO_VENDORS


async def compared(
    home: House,
    *asked: Mapping[str, Any],
    timeout: float | None = 30,  # noqa: ASYNC109 - the deadline of the call
    **options: Any,
) -> Response:
    """Compare vendors; questions are written as in JSON. Raises ``RefusedError``."""
    request = json_format.ParseDict(
        {"questions": asked, **options},
        provider_service_pb2.BenchmarkProvidersRequest(),
    )
    return await answered(home.providers.BenchmarkProviders(request, timeout=timeout))


def of(told: Response, name: str) -> benchmark_pb2.ProviderBenchmark:
    """Return how one vendor answered."""
    return next(each for each in told.providers if each.provider == name)


def outcomes(vendor: benchmark_pb2.ProviderBenchmark) -> list[str]:
    """Return how each question ended."""
    return [
        truth.AttemptOutcome.Name(each.outcome).removeprefix("ATTEMPT_OUTCOME_")
        for each in vendor.answers
    ]


async def test_the_usual_questions_compare_all_vendors(quick: House) -> None:
    told = await compared(quick)

    assert [each.provider for each in told.providers] == [AV, YAHOO]
    for vendor in told.providers:
        assert (vendor.skipped_reason, vendor.asked, vendor.answered) == ("", 3, 3)
        assert vendor.calls == await quick.calls(vendor.provider)
        assert (vendor.completeness, vendor.cost_usd) == (1, 0)
        assert vendor.p50.ToTimedelta() <= vendor.p95.ToTimedelta()
        assert [each.question for each in vendor.answers] == [0, 1, 2]
        assert [each.bars for each in vendor.answers] == [20] * 3
    (agreement,) = told.agreements
    assert (agreement.provider, agreement.other) == (AV, YAHOO)
    # The day of FX that is under way is not final yet.
    assert agreement.compared == agreement.agreeing > 50
    assert (agreement.unmatched, agreement.worst) == (0, 0)


async def test_a_slow_vendor_is_seen_to_be_slow(quick: House) -> None:
    await quick.fault(YAHOO, "latency", seconds=0.6)

    told = await compared(quick, SPLIT, rounds=2)

    slow, fast = of(told, YAHOO), of(told, AV)
    assert slow.p50.ToTimedelta() >= timedelta(seconds=0.6)
    assert slow.p50.ToTimedelta() > fast.p95.ToTimedelta()


async def test_pauses_for_quota_are_no_latency(build: Build) -> None:
    async with build() as home:
        told = await compared(home, SPLIT, providers=[YAHOO], rounds=6)

    # Yahoo is asked twice a second, so every other call waits for most of one.
    yahoo = of(told, YAHOO)
    assert yahoo.answered == 6
    assert yahoo.p95.ToTimedelta() < timedelta(seconds=0.7)


async def test_a_plan_with_half_its_day_used_up_is_left_alone(build: Build) -> None:
    # Else the same question would not be asked twice.
    uncached = {"CACHE__ENABLED": "false"}
    async with build(settings={**UNMETERED, **FREE, **uncached}) as home:
        await home.spend(AV, HALF_A_DAY)
        told = await compared(home, RAW)

        assert await home.calls(AV) == HALF_A_DAY

    assert of(told, AV).skipped_reason == (
        "QUOTA_EXHAUSTED: 13 of 25 calls are left in the window 'day', and the "
        "questions take 1; at least half must stay for others"
    )
    assert (of(told, AV).asked, len(of(told, AV).answers)) == (0, 0)
    assert of(told, YAHOO).answered == 1
    assert not told.agreements


async def test_a_plan_too_small_for_all_questions_is_not_begun(build: Build) -> None:
    async with build(settings={**UNMETERED, **FREE}) as home:
        many = await compared(home, RAW, RAW, rounds=10, providers=[AV])
        few = await compared(home, RAW, RAW, providers=[AV])

        calls = await home.calls(AV)

    assert "the questions take 20" in of(many, AV).skipped_reason
    # That it may be called once a second is waited for.
    assert (of(few, AV).answered, calls) == (2, 2)


async def test_a_plan_with_a_price_is_left_out(build: Build) -> None:
    priced = budget(AV, price_per_unit_usd="0.01")
    async with build(settings={**UNMETERED, **priced}) as home:
        told = await compared(home, RAW)

        assert await home.calls(AV) == 0

    assert of(told, AV).skipped_reason.startswith("COST_LIMIT_EXCEEDED: ")
    assert of(told, YAHOO).answered == 1


async def test_who_rests_is_left_out(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await broken(home, AV)
        before = await home.calls(AV)
        told = await compared(home, RAW)

        assert await home.calls(AV) == before

    assert "rests after 5 failures in a row" in of(told, AV).skipped_reason
    assert of(told, YAHOO).answered == 1


async def test_who_is_switched_off_is_asked_for_by_name_in_vain(
    build: Build,
) -> None:
    async with build(settings=QUICK) as home:
        await changed(home, YAHOO, enabled=False)
        usual = await compared(home, RAW)
        named = await compared(home, RAW, providers=[YAHOO])

        assert await home.calls(YAHOO) == 0

    assert [each.provider for each in usual.providers] == [AV]
    assert of(named, YAHOO).skipped_reason == "CAPABILITY_MISSING: is switched off"


async def test_only_vendors_that_are_named_are_asked(quick: House) -> None:
    told = await compared(quick, RAW, providers=[YAHOO])

    assert [each.provider for each in told.providers] == [YAHOO]
    assert await quick.calls(AV) == 0


async def test_failures_and_gaps_are_told(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await home.fault(YAHOO, "status_500", times=1)
        await home.fault(AV, "partial", fraction=0.7)
        told = await compared(home, RAW, rounds=2)

    av, yahoo = of(told, AV), of(told, YAHOO)
    assert outcomes(yahoo) == ["FAILED", "SERVED"]
    assert yahoo.answers[0].reason == "PINNED_PROVIDER_FAILED: yahoo answered HTTP 500"
    assert (yahoo.answered, yahoo.completeness) == (1, 0.5)
    assert outcomes(av) == ["SERVED", "SERVED"]
    assert av.completeness == pytest.approx(0.7)
    assert av.answers[0].reason == "PARTIAL: 6 of 20 bars are still missing"
    (agreement,) = told.agreements
    assert agreement.compared == agreement.agreeing == 14
    assert agreement.unmatched == 6


async def test_rows_that_contradict_themselves_are_counted(quick: House) -> None:
    await quick.fault(YAHOO, "bad_row")

    told = await compared(quick, RAW, providers=[YAHOO])

    assert of(told, YAHOO).quarantined > 0
    assert of(told, YAHOO).completeness < 1


async def test_what_one_vendor_lacks_is_told_of_that_question(quick: House) -> None:
    told = await compared(quick, INDEX, RAW)

    av = of(told, AV)
    assert outcomes(av) == ["SKIPPED", "SERVED"]
    assert av.answers[0].reason.startswith("CAPABILITY_MISSING: ")
    assert (av.asked, av.answered, av.completeness) == (1, 1, 1)
    assert of(told, YAHOO).answered == 2


async def test_vendors_are_asked_for_what_is_known_already(quick: House) -> None:
    for name in (AV, YAHOO):
        await quick.fetch(**RAW, source_policy=pinned(name))
    before = {name: await quick.calls(name) for name in (AV, YAHOO)}

    told = await compared(quick, RAW, rounds=3)

    for name in (AV, YAHOO):
        assert await quick.calls(name) - before[name] == of(told, name).calls >= 3


async def test_answers_count_for_how_vendors_do(quick: House) -> None:
    before = await health(quick, YAHOO, KIND)
    await compared(quick, SPLIT, rounds=3, providers=[YAHOO])
    after = await health(quick, YAHOO, KIND)

    assert before.samples < after.samples


async def test_what_was_not_asked_by_the_deadline_says_so(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await home.fetch(**RAW)  # the calendar is known from now on
        await home.fault(AV, "hang")
        told = await compared(home, RAW, rounds=10, timeout=2)

    av = of(told, AV)
    assert outcomes(av)[0] == "FAILED"
    assert av.answers[0].reason.startswith("DEADLINE_EXCEEDED: ")
    late = [each for vendor in told.providers for each in vendor.answers][-1]
    assert late.outcome == truth.ATTEMPT_OUTCOME_SKIPPED
    assert late.reason == "DEADLINE_EXCEEDED: no time was left for this question"


async def test_one_comparison_at_a_time_and_giving_up_makes_room(
    build: Build,
) -> None:
    async with build(settings=QUICK) as home:
        await home.fault(AV, "hang")
        call = asyncio.create_task(compared(home, RAW, rounds=10))
        await home.until_called(AV)

        second = await refusal(compared(home, SPLIT, providers=[YAHOO]))
        call.cancel()
        async with asyncio.timeout(10):
            while True:
                try:
                    # The server may still hear of who left.
                    told = await compared(home, SPLIT, providers=[YAHOO])
                    break
                except RefusedError:
                    await asyncio.sleep(0.01)

        assert [await home.calls(name) for name in (AV, YAHOO)] == [1, 1]

    assert (second.code, second.reason) == (Code.RESOURCE_EXHAUSTED, "CALLER_THROTTLED")
    assert second.retry_seconds is not None
    assert of(told, YAHOO).answered == 1


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"questions": [RAW] * 21}, "questions"),
        ({"questions": [{}]}, "questions[0].symbol"),
        (
            {"questions": [RAW, {**RAW, "source_policy": pinned(YAHOO)}]},
            "questions[1].source_policy",
        ),
        ({"questions": [{**RAW, "limit": 5001}]}, "questions[0].limit"),
        (
            {
                "questions": [
                    {
                        "symbol": "AAPL",
                        "interval": "INTERVAL_1_MINUTE",
                        "start": "2024-01-02T00:00:00Z",
                    }
                ]
            },
            "questions[0].limit",
        ),
        ({"providers": ["iex"]}, "providers"),
        ({"rounds": 11}, "rounds"),
        ({"rounds": -1}, "rounds"),
        ({"tolerance": 1}, "tolerance"),
    ],
)
async def test_wrong_fields_are_named_and_nobody_is_asked(
    home: House, request_: Mapping[str, Any], field: str
) -> None:
    failed = await refusal(compared(home, **request_))

    assert (failed.code, failed.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
    assert failed.fields == {field}
    assert [await home.calls(name) for name in (AV, YAHOO)] == [0, 0]
