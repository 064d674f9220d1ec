"""Two vendors are compared, and what they do not agree about is told."""

from __future__ import annotations

from typing import Any

import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import ingestion_service_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import (
    UNMETERED,
    Build,
    House,
    attempts,
    closes,
    flags,
    pinned,
    served_by,
    times,
)

AV = "alpha_vantage"
VENDORS = [AV, "yahoo"]
OTHER = {AV: "yahoo", "yahoo": AV}
WEEK = {
    "symbol": "MSFT",
    "adjustment": "ADJUSTMENT_SPLIT",
    "start": "2024-06-03T00:00:00Z",
    "end": "2024-06-08T00:00:00Z",
}
WEDNESDAY = "2024-06-05T00:00:00Z"
QUICK = {**UNMETERED, "RETRY__ATTEMPTS": "1"}
DISAGREEMENT = truth.QUALITY_FLAG_KIND_DISAGREEMENT
UNCONFIRMED = truth.QUALITY_FLAG_KIND_UNCONFIRMED


def consensus(*providers: str, **more: Any) -> dict[str, Any]:
    """Return a policy that compares two vendors."""
    policy = {"mode": "MODE_CONSENSUS", "providers": list(providers), **more}
    return {"source_policy": policy}


def doubts(answer: ingestion_service_pb2.FetchResponse) -> list[tuple[int, str]]:
    """Return what is told beyond how prices were computed."""
    derived = truth.QUALITY_FLAG_KIND_DERIVED
    told = [flag for flag in answer.quality_flags if flag.kind != derived]
    return [(flag.kind, flag.detail) for flag in told]


async def corrected(home: House, close: float) -> None:
    """Let a close of Wednesday be corrected that Alpha Vantage has told already."""
    await home.fetch(**WEEK, source_policy=pinned(AV))
    news = {"news": "correction", "symbol": "MSFT", "date": WEDNESDAY[:10]}
    url = f"{home.sandbox_url}/control/market"
    async with home.web.post(url, json={**news, "close": close}) as reply:
        assert reply.status < 300, await reply.text()


async def test_who_agrees_is_confirmed_without_a_flag(quick: House) -> None:
    answer = await quick.fetch(**WEEK, **consensus())

    assert len(times(answer)) == 5
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert served_by(answer) == [AV]
    assert not doubts(answer)
    assert attempts(answer) == [(AV, ""), ("yahoo", "")]
    served = truth.ATTEMPT_OUTCOME_SERVED
    assert {attempt.outcome for attempt in answer.attempts} == {served}
    assert [await quick.calls(vendor) for vendor in VENDORS] == [2, 1]


@pytest.mark.parametrize("first", VENDORS)
async def test_the_named_order_decides_whose_bars_are_the_answer(
    quick: House, first: str
) -> None:
    answer = await quick.fetch(**WEEK, **consensus(first, OTHER[first]))

    assert served_by(answer) == [first]
    assert attempts(answer) == [(first, ""), (OTHER[first], "")]
    assert not doubts(answer)


@pytest.mark.parametrize("first", VENDORS)
async def test_a_price_that_only_one_vendor_tells_is_flagged_and_never_averaged(
    quick: House, first: str
) -> None:
    await corrected(quick, 500.25)
    answer = await quick.fetch(**WEEK, **consensus(first, OTHER[first]))
    own = await quick.fetch(**WEEK, source_policy=pinned(first))

    assert flags(answer, DISAGREEMENT) == [WEDNESDAY]
    assert flags(answer, UNCONFIRMED) == []
    assert closes(answer) == closes(own)
    ((kind, detail),) = doubts(answer)
    assert kind == DISAGREEMENT
    assert detail.startswith(f"{first} and {OTHER[first]}: ")
    assert "500.25" in detail
    assert "close " in detail
    assert answer.completeness == truth.COMPLETENESS_COMPLETE


@pytest.mark.parametrize(("tolerance", "count"), [(0.5, 1), (0.99, 0)])
async def test_what_is_within_the_tolerance_is_no_disagreement(
    quick: House, tolerance: float, count: int
) -> None:
    await corrected(quick, 10_000)

    answer = await quick.fetch(**WEEK, **consensus(tolerance=tolerance))

    assert len(flags(answer, DISAGREEMENT)) == count


async def test_seven_digits_are_agreement_unless_the_caller_wants_more(
    quick: House,
) -> None:
    own = await quick.fetch(**WEEK, source_policy=pinned(AV))
    await corrected(quick, closes(own)[2] + 0.0003)

    usual = await quick.fetch(**WEEK, **consensus())
    exact = await quick.fetch(**WEEK, **consensus(tolerance=0))

    assert not doubts(usual)
    assert flags(exact, DISAGREEMENT) == [WEDNESDAY]
    assert closes(usual) == closes(exact) == closes(own)


async def test_a_bar_that_the_second_does_not_have_is_unconfirmed(
    quick: House,
) -> None:
    await quick.fault("yahoo", "partial", fraction=0.6)

    answer = await quick.fetch(**WEEK, **consensus(AV, "yahoo"))

    missing = ["2024-06-06T00:00:00Z", "2024-06-07T00:00:00Z"]
    assert flags(answer, UNCONFIRMED) == missing
    assert doubts(answer) == [(UNCONFIRMED, "yahoo has no such bar")] * 2
    assert len(times(answer)) == 5
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert served_by(answer) == [AV]


async def test_a_bar_that_only_the_second_has_is_missing_from_the_answer(
    quick: House,
) -> None:
    await quick.fault("yahoo", "partial", fraction=0.6)

    answer = await quick.fetch(**WEEK, **consensus("yahoo", AV))
    failed = await quick.refused(**WEEK, **consensus("yahoo", AV, allow_partial=False))

    assert len(times(answer)) == 3
    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert served_by(answer) == ["yahoo"]
    assert not flags(answer, UNCONFIRMED)
    assert failed.code is Code.UNAVAILABLE


@pytest.mark.parametrize("down", VENDORS)
async def test_if_one_is_down_the_other_answers_and_says_that_it_is_alone(
    build: Build, down: str
) -> None:
    async with build(settings=QUICK) as home:
        await home.fault(down, "status_500")
        answer = await home.fetch(**WEEK, **consensus())
        failed = await home.refused(**WEEK, **consensus(allow_partial=False))

    assert served_by(answer) == [OTHER[down]]
    assert len(times(answer)) == 5
    assert flags(answer, UNCONFIRMED) == [""]
    ((_, detail),) = doubts(answer)
    assert detail.startswith(f"{down} did not confirm: ALL_PROVIDERS_FAILED: ")
    assert (failed.code, failed.reason) == (Code.UNAVAILABLE, "ALL_PROVIDERS_FAILED")


async def test_if_both_are_down_there_is_no_answer(build: Build) -> None:
    async with build(settings=QUICK) as home:
        for vendor in VENDORS:
            await home.fault(vendor, "status_500")
        failed = await home.refused(**WEEK, **consensus())

    assert (failed.code, failed.reason) == (Code.UNAVAILABLE, "ALL_PROVIDERS_FAILED")


async def test_a_symbol_that_nobody_knows_is_unknown(quick: House) -> None:
    failed = await quick.refused(**{**WEEK, "symbol": "NOSUCH"}, **consensus())

    assert (failed.code, failed.reason) == (Code.NOT_FOUND, "SYMBOL_UNKNOWN")


@pytest.mark.parametrize("providers", [["yahoo"], ["yahoo", "yahoo"]])
async def test_one_vendor_makes_no_consensus(
    quick: House, providers: list[str]
) -> None:
    failed = await quick.refused(**WEEK, **consensus(*providers))

    assert (failed.code, failed.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
    assert failed.fields == {"source_policy.providers"}
    assert await quick.calls("yahoo") == 0


async def test_what_only_one_vendor_has_cannot_be_compared(quick: House) -> None:
    failed = await quick.refused(symbol="^GSPC", limit=5, **consensus())

    assert (failed.code, failed.reason) == (
        Code.FAILED_PRECONDITION,
        "CAPABILITY_MISSING",
    )
    assert "a consensus takes two vendors, and yahoo can answer" in failed.message
    assert await quick.calls("yahoo") == 0


async def test_what_is_known_of_both_is_compared_without_a_call(quick: House) -> None:
    first = await quick.fetch(**WEEK, **consensus())
    calls = [await quick.calls(vendor) for vendor in VENDORS]
    again = await quick.fetch(**WEEK, **consensus())

    assert [await quick.calls(vendor) for vendor in VENDORS] == calls
    assert closes(again) == closes(first)
    assert not doubts(again)


async def test_a_batch_is_compared_symbol_by_symbol(quick: House) -> None:
    await corrected(quick, 500.25)
    request = {key: value for key, value in WEEK.items() if key != "symbol"}

    responses = await quick.batch(symbols=["MSFT", "AAPL"], **request, **consensus())

    chunks = {each.symbol: each.chunk for each in responses}
    assert flags(chunks["MSFT"], DISAGREEMENT) == [WEDNESDAY]
    assert flags(chunks["AAPL"], DISAGREEMENT) == []
    assert {served_by(chunk)[0] for chunk in chunks.values()} == {AV}


@pytest.mark.parametrize("hangs", VENDORS)
@pytest.mark.parametrize("limit", [{}, {"max_cost_usd": 1}], ids=["free", "limited"])
async def test_one_that_hangs_does_not_take_the_others_answer_with_it(
    quick: House, hangs: str, limit: dict[str, Any]
) -> None:
    await quick.fault(hangs, "hang")

    answer = await quick.fetch(**WEEK, **consensus(**limit), timeout=2)

    assert served_by(answer) == [OTHER[hangs]]
    assert flags(answer, UNCONFIRMED) == [""]
