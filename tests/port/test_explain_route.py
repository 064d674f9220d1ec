"""Whom a question would be asked of, why, and who is left out until when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import provider_pb2

from tests.port.house import (
    FREE,
    TWO_VENDORS,
    Build,
    House,
    attempts,
    ordered,
    pinned,
    seconds_between,
    served_by,
)
from tests.port.roster import (
    AV,
    MAY,
    QUICK,
    RAW,
    SPLIT,
    YAHOO,
    breaker,
    broken,
    changed,
    refusal,
    vendors,
)
from tests.port.roster import route as whole_route

INDEX = {"symbol": "^GSPC", "asset_class": "ASSET_CLASS_INDEX", **MAY}
FREE_DAY = 25
NEXT_MIDNIGHT = datetime(2024, 6, 13, 4, tzinfo=UTC)
"""In New York, where the day of Alpha Vantage ends."""


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are."""
    return TWO_VENDORS


async def route(home: House, **request: Any) -> list[provider_pb2.RouteCandidate]:
    """Explain a route, without the vendor that is switched off here."""
    told = await whole_route(home, **request)
    return [each for each in told if each.provider != "finnhub"]


def names(candidates: list[provider_pb2.RouteCandidate]) -> list[tuple[str, bool]]:
    """Return each vendor, and whether it is in the route."""
    return [(each.provider, not each.excluded_reason) for each in candidates]


async def calls(home: House) -> list[int]:
    """Return how often each vendor was called."""
    return [await home.calls(name) for name in (AV, YAHOO)]


async def test_the_usual_route_tells_order_reason_and_score(home: House) -> None:
    first, second = await route(home, symbol="AAPL")

    assert names([first, second]) == [(AV, True), (YAHOO, True)]
    assert first.why == "asked first: priority 10"
    assert second.why == "asked next: priority 20"
    # Alpha Vantage tells raw prices and splits apart.
    assert first.derivation
    assert not second.derivation
    for each in (first, second):
        assert each.HasField("score")
        weighted = sum(factor.weight * factor.value for factor in each.factors)
        assert each.score == pytest.approx(weighted)
        assert not each.HasField("excluded_until")
        assert each.price_usd == 0


async def test_nobody_is_asked(build: Build) -> None:
    async with build(settings=QUICK) as home:
        for request in (RAW, SPLIT, INDEX, {"symbol": "AAPL"}):
            await route(home, **request)
        await route(home, **RAW, source_policy=pinned(AV))

        assert await calls(home) == [0, 0]


@pytest.mark.parametrize(
    ("request_", "policy"),
    [
        (RAW, {}),
        (SPLIT, {}),
        (SPLIT, ordered(YAHOO, AV)),
        (SPLIT, pinned(YAHOO)),
        (INDEX, {}),
    ],
    ids=["raw", "split", "ordered", "pinned", "index"],
)
async def test_fetch_then_asks_whom_the_route_named_first(
    build: Build, request_: Mapping[str, Any], policy: Mapping[str, Any]
) -> None:
    async with build(settings=QUICK) as home:
        request = {**request_, "source_policy": policy}
        told = await route(home, **request)

        assert served_by(await home.fetch(**request)) == [told[0].provider]


async def test_fetch_goes_through_the_whole_route_if_all_fail(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await changed(home, YAHOO, priority=5)
        await home.fault(YAHOO, "status_500")
        told = await route(home, **RAW)
        answer = await home.fetch(**RAW)

    assert [each.provider for each in told] == [YAHOO, AV]
    assert [name for name, _ in attempts(answer)] == [YAHOO, AV]


async def test_who_rests_is_left_out_until_the_probe(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await broken(home, AV)
        rests = await breaker(home, AV)
        before = await calls(home)

        told = await route(home, **RAW)
        answer = await home.fetch(**RAW)

        assert names(told) == [(YAHOO, True), (AV, False)]
        assert told[1].excluded_reason.startswith("ALL_PROVIDERS_FAILED: ")
        assert "rests after 5 failures" in told[1].excluded_reason
        until = told[1].excluded_until.ToDatetime(UTC)
        assert seconds_between(until, rests.retry_at) == pytest.approx(0, abs=0.01)
        assert told[1].HasField("score")
        assert served_by(answer) == [YAHOO]
        assert (await calls(home))[0] == before[0]

        home.clock.advance(31)
        rested = await route(home, **RAW)

    assert all(in_route for _, in_route in names(rested))


async def test_who_has_used_up_its_day_is_left_out_until_midnight(
    build: Build,
) -> None:
    async with build(settings=FREE) as home:
        await home.spend(AV, FREE_DAY)
        told = await route(home, **RAW)
        answer = await home.fetch(**RAW)
        seconds = seconds_between(home.clock.now(), told[1].excluded_until)
        home.clock.advance(seconds + 1)
        rested = await route(home, **RAW)

        assert await home.calls(AV) == FREE_DAY

    assert names(told) == [(YAHOO, True), (AV, False)]
    assert told[1].excluded_reason.startswith("QUOTA_EXHAUSTED: ")
    until = told[1].excluded_until.ToDatetime(UTC)
    assert (until - NEXT_MIDNIGHT).total_seconds() == pytest.approx(0, abs=1)
    assert served_by(answer) == [YAHOO]
    assert names(rested)[0] == (AV, True)


async def test_who_has_no_such_data_is_left_out_for_good(home: House) -> None:
    told = await route(home, **INDEX)

    assert names(told) == [(YAHOO, True), (AV, False)]
    assert told[1].excluded_reason.startswith("CAPABILITY_MISSING: ")
    assert not told[1].HasField("excluded_until")
    assert not told[1].HasField("score")


async def test_whom_the_caller_does_not_name_is_left_out(home: House) -> None:
    told = await route(home, **RAW, source_policy=pinned(YAHOO))

    assert names(told) == [(YAHOO, True), (AV, False)]
    assert told[0].why == "pinned by the caller"
    assert told[1].excluded_reason == (
        "CAPABILITY_MISSING: the request does not name it"
    )


async def test_the_callers_order_is_the_route(home: House) -> None:
    told = await route(home, **RAW, source_policy=ordered(YAHOO, AV))

    assert names(told) == [(YAHOO, True), (AV, True)]
    assert {each.why for each in told} == {"the caller's order"}


@pytest.mark.parametrize("policy", [{}, pinned(YAHOO)], ids=["any", "pinned"])
async def test_who_is_switched_off_is_left_out(
    build: Build, policy: Mapping[str, Any]
) -> None:
    async with build(settings=QUICK) as home:
        await changed(home, YAHOO, enabled=False)

        told = await route(home, **RAW, source_policy=policy)

    [off] = [each for each in told if each.provider == YAHOO]
    assert off.excluded_reason == "CAPABILITY_MISSING: is switched off"


async def test_a_change_of_priority_shows_with_who_made_it(home: House) -> None:
    await changed(home, YAHOO, priority=5)

    told = await route(home, **RAW)

    assert [(each.provider, each.why) for each in told] == [
        (YAHOO, "asked first: priority 5, set by an operator"),
        (AV, "asked next: priority 10"),
    ]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "request.symbol"),
        ({"symbol": "NO SUCH"}, "request.symbol"),
        (
            {**RAW, "source_policy": {"providers": ["iex"]}},
            "request.source_policy.providers[0]",
        ),
        (
            {**RAW, "source_policy": {"mode": "MODE_ORDERED"}},
            "request.source_policy.providers",
        ),
    ],
    ids=["nothing", "symbol", "unknown", "ordered"],
)
async def test_wrong_fields_are_named_as_they_stand_in_the_request(
    home: House, request_: Mapping[str, Any], field: str
) -> None:
    failed = await refusal(route(home, **request_))

    assert (failed.code, failed.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
    assert failed.fields == {field}


async def test_explaining_changes_nothing_of_how_vendors_do(home: House) -> None:
    async def state() -> list[tuple[str, str, float, float, int]]:
        return [
            (name, one.kind, one.samples, one.score, one.breaker.state)
            for name, told in (await vendors(home)).items()
            for one in told.health
        ]

    before = await state()

    for _ in range(3):
        await route(home, **RAW)

    assert await state() == before
