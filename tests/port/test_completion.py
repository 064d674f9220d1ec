"""Partial is said, and completed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
from marketdata.ingestion.v1 import provenance_pb2 as truth

from ingestion_server.app.mode import Mode
from tests.port.house import (
    TWO_VENDORS,
    UNMETERED,
    Build,
    House,
    asked,
    flags,
    holes,
    ordered,
    pinned,
    served_by,
    times,
)

JANUARY = {"start": "2024-01-02T00:00:00Z", "end": "2024-02-01T00:00:00Z"}
THREE_WEEKS = {"start": "2024-01-02T00:00:00Z", "end": "2024-01-24T00:00:00Z"}
SPRING = {"start": "2024-01-02T00:00:00Z", "end": "2024-06-12T00:00:00Z"}
RAW_OF = {"alpha_vantage": "ADJUSTMENT_RAW", "yahoo": "ADJUSTMENT_SPLIT"}
"""What a vendor has as it is, so that it is asked for nothing else."""
SERVED = truth.ATTEMPT_OUTCOME_SERVED


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are."""
    return TWO_VENDORS


def day(text: str) -> str:
    """Return seconds since 1970, as vendors are asked, as a date."""
    return datetime.fromtimestamp(int(text), UTC).date().isoformat()


async def test_what_one_vendor_lacks_another_adds_and_each_signs_its_own(
    quick: House,
) -> None:
    await quick.fault("alpha_vantage", "partial")

    answer = await quick.fetch(symbol="MSFT", limit=100)

    assert len(times(answer)) == 100
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert not answer.missing
    assert served_by(answer)[:4] == ["alpha_vantage", "yahoo"] * 2
    for earlier, later in pairwise(answer.sources):
        assert earlier.end.ToJsonString() <= later.start.ToJsonString()
    assert [attempt.outcome for attempt in answer.attempts] == [SERVED, SERVED]


@pytest.mark.parametrize(
    ("first", "second"), [("alpha_vantage", "yahoo"), ("yahoo", "alpha_vantage")]
)
async def test_either_vendor_completes_the_other(
    quick: House, first: str, second: str
) -> None:
    await quick.fault(first, "partial", fraction=0.5)

    answer = await quick.fetch(
        symbol="MSFT", source_policy=ordered(first, second), **SPRING
    )
    alone = await quick.fetch(symbol="MSFT", source_policy=pinned(second), **SPRING)

    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert times(answer) == times(alone)
    assert set(served_by(answer)) == {first, second}
    assert [attempt.provider for attempt in answer.attempts] == [first, second]
    assert answer.attempts[0].reason.startswith("PARTIAL: ")
    assert answer.attempts[1].reason == ""


@pytest.mark.parametrize(
    ("first", "second"), [("alpha_vantage", "yahoo"), ("yahoo", "alpha_vantage")]
)
async def test_only_what_is_missing_is_asked_of_the_next(
    build: Build, tmp_path: Path, first: str, second: str
) -> None:
    async with build(
        settings=UNMETERED, mode=Mode(sandbox=True, record=tmp_path)
    ) as home:
        await home.fault(first, "partial")

        answer = await home.fetch(
            symbol="MSFT",
            adjustment=RAW_OF[second],
            source_policy=ordered(first, second),
            start="2024-05-01T00:00:00Z",
            end="2024-06-12T00:00:00Z",
        )

    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    left = [parameters for vendor, parameters in asked(tmp_path) if vendor == second]
    assert answer.attempts[1].calls == len(left)
    if second == "alpha_vantage":
        # It knows no ranges: one call has all of them, the latest 100 will do.
        assert [parameters.get("outputsize", "compact") for parameters in left] == [
            "compact"
        ]
        return
    filled = [source for source in answer.sources if source.provider == second]
    assert [(day(one["period1"]), day(one["period2"])) for one in left] == [
        (source.start.ToJsonString()[:10], source.end.ToJsonString()[:10])
        for source in filled
    ]


async def test_nothing_is_asked_of_the_next_if_nothing_is_missing(quick: House) -> None:
    answer = await quick.fetch(symbol="MSFT", **JANUARY)

    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert served_by(answer) == ["alpha_vantage"]
    assert await quick.calls("yahoo") == 0


async def test_rows_without_prices_are_flagged_and_filled_one_by_one(
    quick: House,
) -> None:
    await quick.fault("yahoo", "nulls")

    answer = await quick.fetch(
        symbol="MSFT", source_policy=ordered("yahoo", "alpha_vantage"), **THREE_WEEKS
    )

    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert len(times(answer)) == 15
    filled = [
        source.start.ToJsonString()
        for source in answer.sources
        if source.provider == "alpha_vantage"
    ]
    assert filled == [times(answer)[index] for index in (2, 7, 12)]
    assert flags(answer, truth.QUALITY_FLAG_KIND_ROW_EMPTY) == filled
    assert served_by(answer) == ["yahoo", "alpha_vantage"] * 3 + ["yahoo"]


async def test_each_of_three_holes_is_named_exactly(quick: House) -> None:
    await quick.fault("yahoo", "nulls")

    answer = await quick.fetch(
        symbol="MSFT", source_policy=pinned("yahoo"), **THREE_WEEKS
    )

    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert len(times(answer)) == 12
    assert holes(answer) == [
        ("2024-01-04T00:00:00Z", "2024-01-05T00:00:00Z"),
        ("2024-01-11T00:00:00Z", "2024-01-12T00:00:00Z"),
        ("2024-01-19T00:00:00Z", "2024-01-20T00:00:00Z"),
    ]
    assert await quick.calls("alpha_vantage") == 0


async def test_what_nobody_has_is_named_exactly(quick: House) -> None:
    await quick.fault("yahoo", "partial")

    answer = await quick.fetch(symbol="MSFT", source_policy=pinned("yahoo"), **JANUARY)

    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert len(times(answer)) == 12
    assert holes(answer) == [("2024-01-19T00:00:00Z", "2024-02-01T00:00:00Z")]
    assert "yahoo" in answer.missing[0].reason


async def test_a_failure_after_the_first_page_leaves_what_came_before(
    quick: House,
) -> None:
    await quick.fault("alpha_vantage", "partial")
    await quick.fault("yahoo", "status_500")

    answer = await quick.fetch(symbol="MSFT", **SPRING)

    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert set(served_by(answer)) == {"alpha_vantage"}
    reason = answer.missing[0].reason
    assert "alpha_vantage: PARTIAL" in reason
    assert "yahoo: ALL_PROVIDERS_FAILED" in reason


async def test_who_wants_all_or_nothing_gets_an_error_that_counts_the_holes(
    quick: House,
) -> None:
    await quick.fault("yahoo", "partial")

    failed = await quick.refused(
        symbol="MSFT",
        source_policy={**pinned("yahoo"), "allowPartial": False},
        **JANUARY,
    )

    assert failed.code is grpc.StatusCode.UNAVAILABLE
    assert failed.reason == "NO_DATA_UNEXPLAINED"
    assert "9 of 21 bars are still missing" in failed.message


async def test_who_wants_all_or_nothing_gets_all_if_two_vendors_have_it(
    quick: House,
) -> None:
    await quick.fault("alpha_vantage", "partial")

    answer = await quick.fetch(
        symbol="MSFT", source_policy={"allowPartial": False}, **SPRING
    )

    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert set(served_by(answer)) == {"alpha_vantage", "yahoo"}


async def test_who_wants_all_or_nothing_is_told_when_to_come_back(quick: House) -> None:
    await quick.fault("alpha_vantage", "partial")
    await quick.fault("yahoo", "status_429", retry_after=120)

    failed = await quick.refused(
        symbol="MSFT", source_policy={"allowPartial": False}, **SPRING
    )

    assert failed.code is grpc.StatusCode.UNAVAILABLE
    assert failed.reason == "NO_DATA_UNEXPLAINED"
    assert failed.retry_seconds == pytest.approx(120, abs=5)


async def test_what_one_vendor_has_is_not_unknown_because_another_says_so(
    quick: House,
) -> None:
    await quick.fault("alpha_vantage", "partial")
    await quick.fault("yahoo", "not_found")

    answer = await quick.fetch(symbol="MSFT", **SPRING)
    failed = await quick.refused(
        symbol="MSFT", source_policy={"allowPartial": False}, **SPRING
    )

    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert failed.reason == "NO_DATA_UNEXPLAINED"
