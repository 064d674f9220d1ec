"""Partial is said, and completed."""

from __future__ import annotations

from itertools import pairwise

from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import House, pinned, times

JANUARY = {"start": "2024-01-02T00:00:00Z", "end": "2024-02-01T00:00:00Z"}


async def test_what_one_vendor_lacks_another_adds_and_each_signs_its_own(
    home: House,
) -> None:
    await home.fault("alpha_vantage", "partial")

    answer = await home.fetch(symbol="MSFT", limit=100)

    assert len(times(answer)) == 100
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert not answer.missing
    signed = [source.provider for source in answer.sources]
    assert signed[:4] == ["alpha_vantage", "yahoo", "alpha_vantage", "yahoo"]
    for earlier, later in pairwise(answer.sources):
        assert earlier.end.ToJsonString() <= later.start.ToJsonString()
    assert [attempt.outcome for attempt in answer.attempts] == [
        truth.ATTEMPT_OUTCOME_SERVED,
        truth.ATTEMPT_OUTCOME_SERVED,
    ]


async def test_what_nobody_has_is_named_exactly(home: House) -> None:
    await home.fault("yahoo", "partial")

    answer = await home.fetch(symbol="MSFT", source_policy=pinned("yahoo"), **JANUARY)

    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert len(times(answer)) == 12
    assert [
        (hole.start.ToJsonString(), hole.end.ToJsonString()) for hole in answer.missing
    ] == [("2024-01-19T00:00:00Z", "2024-02-01T00:00:00Z")]
    assert "yahoo" in answer.missing[0].reason
