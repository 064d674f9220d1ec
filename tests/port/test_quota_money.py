"""What calls cost is told, limited by the caller, and spared where it can be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import (
    TWO_VENDORS,
    UNMETERED,
    Build,
    RefusedError,
    anew,
    attempts,
    budget,
    one_call,
    ordered,
    pinned,
    served_by,
)

AV = "alpha_vantage"
RAW = {"symbol": "MSFT", "limit": 5, "adjustment": "ADJUSTMENT_RAW"}
PAID = {**UNMETERED, **budget(AV, price_per_unit_usd=0.01)}
"""Alpha Vantage costs a cent a call, and Yahoo nothing."""


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are."""
    return TWO_VENDORS


def at_most(usd: float, **policy: Any) -> dict[str, Any]:
    """Return the policy of a caller who pays no more than this."""
    return {"source_policy": {**policy, "max_cost_usd": usd}}


async def test_calls_within_the_allowance_cost_nothing_and_those_beyond_their_price(
    build: Build,
) -> None:
    settings = {
        **UNMETERED,
        **budget(
            "yahoo",
            price_per_unit_usd=0.01,
            allowance_units=2,
            monthly_price_usd=29,
        ),
    }
    async with build(settings=settings) as home:
        answers = [await home.fetch(**one_call("yahoo")) for _ in range(4)]

        spend = (await home.account("yahoo")).spend

    costs = [answer.attempts[0].cost_usd for answer in answers]
    assert costs == pytest.approx([0, 0, 0.01, 0.01])
    assert spend.month == "2024-06"
    assert (spend.units, spend.allowance_units) == (4, 2)
    assert spend.price_per_unit_usd == pytest.approx(0.01)
    assert spend.flat_usd == pytest.approx(29)
    assert spend.metered_usd == pytest.approx(0.02)
    assert spend.total_usd == pytest.approx(29.02)
    # As many calls again and again until the month ends.
    assert spend.projected_usd > spend.total_usd


async def test_a_new_month_begins_with_its_allowance(build: Build) -> None:
    settings = {
        **UNMETERED,
        **budget("yahoo", price_per_unit_usd=0.01, allowance_units=1),
    }
    async with build(settings=settings) as home:
        await home.fetch(**one_call("yahoo"))
        await home.fetch(**one_call("yahoo"))
        home.clock.advance(20 * 86_400)

        answer = await home.fetch(**one_call("yahoo"))

        spend = (await home.account("yahoo")).spend
    assert answer.attempts[0].cost_usd == 0
    assert (spend.month, spend.units, spend.metered_usd) == ("2024-07", 1, 0)


async def test_a_call_that_failed_is_paid_for_as_well(build: Build) -> None:
    settings = {**PAID, "RETRY__ATTEMPTS": "1"}
    async with build(settings=settings) as home:
        await home.fault(AV, "status_500", times=1)

        answer = await home.fetch(**RAW, source_policy=ordered(AV, "yahoo"))

        assert served_by(answer) == ["yahoo"]
        assert answer.attempts[0].cost_usd == pytest.approx(0.01)
        assert (await home.account(AV)).spend.units == 1


async def test_who_pays_nothing_is_answered_by_the_free_vendor(build: Build) -> None:
    async with build(settings=PAID) as home:
        answer = await home.fetch(**RAW, **at_most(0))

        assert served_by(answer) == ["yahoo"]
        assert await home.calls(AV) == 0


async def test_a_vendor_that_is_too_dear_is_passed_over_and_says_so(
    build: Build,
) -> None:
    async with build(settings=PAID) as home:
        policy = at_most(0.009, **ordered(AV, "yahoo"))
        answer = await home.fetch(**RAW, **policy)

        assert served_by(answer) == ["yahoo"]
        assert attempts(answer)[0] == (AV, "COST_LIMIT_EXCEEDED")
        assert answer.attempts[0].outcome == truth.ATTEMPT_OUTCOME_SKIPPED
        assert await home.calls(AV) == 0


async def test_a_paid_vendor_that_is_pinned_is_not_asked_for_nothing(
    build: Build,
) -> None:
    async with build(settings=PAID) as home:
        failed = await home.refused(**RAW, **at_most(0, **pinned(AV)))

        assert (failed.code, failed.reason) == (
            Code.FAILED_PRECONDITION,
            "COST_LIMIT_EXCEEDED",
        )
        assert failed.facts == {"provider": AV, "price_usd": "0.01"}
        assert await home.calls(AV) == 0
        assert (await home.account(AV)).spend.units == 0


async def test_who_pays_enough_is_answered(build: Build) -> None:
    async with build(settings=PAID) as home:
        answer = await home.fetch(**RAW, **at_most(0.01, **pinned(AV)))

    assert served_by(answer) == [AV]
    assert answer.attempts[0].cost_usd == pytest.approx(0.01)


async def test_a_retry_that_would_cost_too_much_is_not_made(build: Build) -> None:
    async with build(settings=PAID) as home:
        await home.fault(AV, "status_500", times=1)

        failed = await home.refused(**RAW, **at_most(0.01, **pinned(AV)))

        # What the vendor did says more than that it is not asked again.
        assert failed.reason == "PINNED_PROVIDER_FAILED"
        assert await home.calls(AV) == 1


async def test_all_calls_of_an_answer_together_cost_no_more_than_that(
    build: Build,
) -> None:
    # Alpha Vantage has no prices that are adjusted for splits alone: they take its
    # splits as well, which are another call.
    split = {**RAW, "adjustment": "ADJUSTMENT_SPLIT"}
    async with build(settings=PAID) as home:
        failed = await home.refused(**split, **at_most(0.015, **pinned(AV)))
        spent = (await home.account(AV)).spend.units
        answer = await home.fetch(**split, **at_most(0.02, **pinned(AV)))

    assert failed.reason == "COST_LIMIT_EXCEEDED"
    assert spent <= 1
    assert answer.series.bars
    assert 0 < answer.attempts[0].cost_usd <= 0.02


async def test_an_allowance_is_not_handed_out_twice_to_those_who_ask_at_once(
    build: Build,
) -> None:
    settings = {**PAID, **budget(AV, allowance_units=3)}
    async with build(settings=settings) as home:
        results = await asyncio.gather(
            *(home.fetch(**anew(RAW), **at_most(0, **pinned(AV))) for _ in range(10)),
            return_exceptions=True,
        )

        refused = [one for one in results if isinstance(one, RefusedError)]
        assert len(refused) == 7
        assert {failed.reason for failed in refused} == {"COST_LIMIT_EXCEEDED"}
        assert await home.calls(AV) == 3
        assert (await home.account(AV)).spend.metered_usd == 0


async def test_what_is_within_the_allowance_is_free_to_who_pays_nothing(
    build: Build,
) -> None:
    settings = {**PAID, **budget(AV, allowance_units=1)}
    async with build(settings=settings) as home:
        answer = await home.fetch(**RAW, **at_most(0, **pinned(AV)))
        failed = await home.refused(**anew(RAW), **at_most(0, **pinned(AV)))

        assert served_by(answer) == [AV]
        assert failed.reason == "COST_LIMIT_EXCEEDED"
        assert await home.calls(AV) == 1


@pytest.mark.parametrize("policy", [{}, {"mode": "MODE_ANY"}], ids=["none", "any"])
async def test_without_an_order_the_cheaper_vendor_is_asked_first(
    build: Build, policy: dict[str, Any]
) -> None:
    async with build(settings=PAID) as home:
        answer = await home.fetch(**RAW, source_policy=policy)

        assert served_by(answer) == ["yahoo"]
        assert await home.calls(AV) == 0


async def test_if_neither_costs_anything_the_usual_order_stays(build: Build) -> None:
    async with build(settings=UNMETERED) as home:
        answer = await home.fetch(**RAW)

        assert served_by(answer) == [AV]
        assert await home.calls("yahoo") == 0


async def test_the_operators_order_is_not_changed_to_spare_money(
    build: Build,
) -> None:
    settings = {**PAID, "PROVIDERS__ORDER": "alpha_vantage,yahoo"}
    async with build(settings=settings) as home:
        answer = await home.fetch(**RAW)

        assert served_by(answer) == [AV]
        assert await home.calls("yahoo") == 0


async def test_the_callers_order_is_obeyed(build: Build) -> None:
    async with build(settings=PAID) as home:
        answer = await home.fetch(**RAW, source_policy=ordered(AV, "yahoo"))

        assert served_by(answer) == [AV]
        assert await home.calls("yahoo") == 0


async def test_the_dearer_vendor_still_answers_if_the_cheaper_one_cannot(
    build: Build,
) -> None:
    async with build(settings=PAID) as home:
        await home.fault("yahoo", "not_found")

        answer = await home.fetch(**RAW)

        assert served_by(answer) == [AV]
        assert [name for name, _ in attempts(answer)] == ["yahoo", AV]


async def test_the_limit_is_for_each_symbol_of_a_batch(build: Build) -> None:
    async with build(settings=PAID) as home:
        results = await home.batch(
            symbols=["MSFT", "AAPL", "IBM"],
            limit=5,
            adjustment="ADJUSTMENT_RAW",
            **at_most(0.01, **pinned(AV)),
        )

    assert all(result.HasField("chunk") for result in results)


async def test_a_negative_limit_is_an_invalid_query(build: Build) -> None:
    async with build(settings=PAID) as home:
        failed = await home.refused(**RAW, **at_most(-1))

    assert failed.reason == "INVALID_QUERY"
    assert failed.fields == {"source_policy.max_cost_usd"}
