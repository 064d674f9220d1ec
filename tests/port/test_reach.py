"""Ranges that one vendor cannot reach come from another, or are named."""

from __future__ import annotations

from datetime import datetime

from grpc import StatusCode as Code
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import House, holes, ordered, pinned, served_by, times

MINUTES = {"symbol": "MSFT", "interval": "INTERVAL_1_MINUTE"}
OLD = {"start": "2024-02-01T00:00:00Z", "end": "2024-02-03T00:00:00Z"}
ACROSS = {"start": "2024-05-09T00:00:00Z", "end": "2024-05-16T00:00:00Z"}
"""Thirty days before noon of 2024-06-12 is within it."""


async def test_what_is_too_old_for_one_vendor_comes_from_another(quick: House) -> None:
    answer = await quick.fetch(
        source_policy=ordered("yahoo", "alpha_vantage"), **MINUTES, **OLD
    )

    assert served_by(answer) == ["alpha_vantage"]
    assert len(times(answer)) == 2 * 390
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    passed_over = answer.attempts[0]
    assert passed_over.provider == "yahoo"
    assert passed_over.outcome == truth.ATTEMPT_OUTCOME_SKIPPED
    assert "30 days" in passed_over.reason
    assert await quick.calls("yahoo") == 0


async def test_what_is_too_old_for_the_pinned_vendor_is_refused(quick: House) -> None:
    failed = await quick.refused(source_policy=pinned("yahoo"), **MINUTES, **OLD)

    assert (failed.code, failed.reason) == (
        Code.FAILED_PRECONDITION,
        "CAPABILITY_MISSING",
    )
    assert "30 days" in failed.facts["yahoo"]


async def test_what_is_partly_too_old_is_completed(quick: House) -> None:
    answer = await quick.fetch(
        source_policy=ordered("yahoo", "alpha_vantage"), **MINUTES, **ACROSS
    )
    alone = await quick.fetch(source_policy=pinned("yahoo"), **MINUTES, **ACROSS)

    assert served_by(answer) == ["alpha_vantage", "yahoo"]
    assert len(times(answer)) == 5 * 390
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert alone.completeness == truth.COMPLETENESS_PARTIAL
    ((start, end),) = holes(alone)
    assert start == "2024-05-09T13:30:00Z"
    assert end <= times(alone)[0]
    assert times(alone) == times(answer)[-len(times(alone)) :]


async def test_a_long_range_is_split_into_requests_and_put_together(
    quick: House,
) -> None:
    answer = await quick.fetch(
        symbol="BTC/USD",
        interval="INTERVAL_1_MINUTE",
        source_policy=pinned("yahoo"),
        start="2024-05-20T00:00:00Z",
        end="2024-06-12T00:00:00Z",
    )

    found = [datetime.fromisoformat(time).timestamp() for time in times(answer)]
    assert len(found) == 23 * 1440
    assert found == sorted(set(found))
    assert answer.attempts[0].calls > 1
    assert answer.completeness == truth.COMPLETENESS_COMPLETE


async def test_what_no_vendor_can_serve_is_said_with_each_ones_reason(
    quick: House,
) -> None:
    failed = await quick.refused(symbol="^GSPC", interval="INTERVAL_1_MINUTE", **OLD)

    assert (failed.code, failed.reason) == (
        Code.FAILED_PRECONDITION,
        "CAPABILITY_MISSING",
    )
    assert set(failed.facts) == {"alpha_vantage", "yahoo", "finnhub"}


async def test_a_market_without_a_calendar_says_so(quick: House) -> None:
    answer = await quick.fetch(symbol="GC", asset_class="ASSET_CLASS_FUTURE", limit=5)

    assert len(times(answer)) == 5
    assert [flag.kind for flag in answer.quality_flags] == [
        truth.QUALITY_FLAG_KIND_CALENDAR_UNKNOWN
    ]
