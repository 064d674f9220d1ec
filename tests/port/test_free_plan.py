"""A free plan that is refused whole histories is asked for less, and only once."""

from __future__ import annotations

import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import provenance_pb2 as truth

from ingestion_server.app.mode import Mode
from tests.port.house import Build, anew, asked, pinned, served_by, times

FREE = {
    "SANDBOX__ALPHA_VANTAGE_PLAN": "free",
    "SANDBOX__FREE_FULL": "false",
}
YEAR = {
    "symbol": "MSFT",
    "adjustment": "ADJUSTMENT_RAW",
    "start": "2023-06-12T00:00:00Z",
    "end": "2024-06-12T00:00:00Z",
}


async def test_the_newest_come_from_one_vendor_and_the_rest_from_another(
    build: Build,
) -> None:
    async with build(settings=FREE) as home:
        # A free key may call once a second, and the refused call is one.
        answer = await home.fetch(**YEAR)
        if set(served_by(answer)) == {"yahoo"}:
            home.clock.advance(2)
            answer = await home.fetch(**anew(YEAR))

    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert served_by(answer) == ["yahoo", "alpha_vantage"]
    newest = answer.sources[1].start.ToJsonString()
    assert len([time for time in times(answer) if time >= newest]) == 100


async def test_the_refusal_is_remembered_for_a_day(
    build: Build, tmp_path: pytest.TempPathFactory
) -> None:
    async with build(settings=FREE, mode=Mode(sandbox=True, record=tmp_path)) as home:
        for _ in range(4):
            await home.fetch(**anew(YEAR))
            home.clock.advance(2)
        assert sizes(tmp_path).count("full") == 1
        home.clock.advance(86_400)
        await home.fetch(**anew(YEAR))
        assert sizes(tmp_path).count("full") == 2


def sizes(folder: object) -> list[str]:
    """Return the sizes that were asked of Alpha Vantage."""
    return [
        parameters.get("outputsize", "compact")
        for vendor, parameters in asked(folder)  # type: ignore[arg-type]
        if vendor == "alpha_vantage"
    ]


async def test_pinned_it_gives_the_newest_and_names_the_rest(build: Build) -> None:
    async with build(settings=FREE) as home:
        answer = await home.fetch(source_policy=pinned("alpha_vantage"), **YEAR)

    assert len(times(answer)) == 100
    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert answer.missing[0].start.ToJsonString() == "2023-06-12T00:00:00Z"
    assert answer.missing[0].end.ToJsonString() <= times(answer)[0]
    assert answer.attempts[0].calls == 2


async def test_what_a_plan_lacks_altogether_is_said(build: Build) -> None:
    async with build(settings=FREE) as home:
        failed = await home.refused(
            symbol="EUR/USD",
            interval="INTERVAL_1_HOUR",
            source_policy=pinned("alpha_vantage"),
            start="2024-06-10T00:00:00Z",
            end="2024-06-11T00:00:00Z",
        )
        assert (failed.code, failed.reason) == (
            Code.FAILED_PRECONDITION,
            "ENTITLEMENT_MISSING",
        )
        assert "FX_INTRADAY" in failed.facts["feature"]
        answer = await home.fetch(
            symbol="EUR/USD",
            interval="INTERVAL_1_HOUR",
            start="2024-06-10T00:00:00Z",
            end="2024-06-11T00:00:00Z",
        )
        assert served_by(answer) == ["yahoo"]


async def test_a_caller_hears_how_much_of_a_window_is_used(build: Build) -> None:
    settings = {
        "PROVIDERS__ALPHA_VANTAGE__PLAN": "free",
        "SANDBOX__ALPHA_VANTAGE_PLAN": "free",
    }
    raw = {"adjustment": "ADJUSTMENT_RAW", "limit": 5}
    async with build(settings=settings) as home:
        for number in range(25):
            home.clock.advance(1.1)
            await home.fetch(
                symbol=f"SBX{number + 1:04}",
                source_policy=pinned("alpha_vantage"),
                **raw,
            )
        home.clock.advance(1.1)

        failed = await home.refused(
            symbol="SBX0100", source_policy=pinned("alpha_vantage"), **raw
        )

    assert failed.reason == "QUOTA_EXHAUSTED"
    assert "(25 of 25 calls used)" in failed.message
