"""One bad row loses one row."""

from __future__ import annotations

import pytest
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import House, flags, holes, ordered, pinned, served_by, times

SPRING = {"start": "2024-02-01T00:00:00Z", "end": "2024-06-12T00:00:00Z"}
OTHER = {"alpha_vantage": "yahoo", "yahoo": "alpha_vantage"}
MINUTE_SECONDS = 61
"""After so long a vendor is asked again for what it had not."""
QUARANTINED = truth.QUALITY_FLAG_KIND_ROW_QUARANTINED


@pytest.mark.parametrize("adjustment", ["ADJUSTMENT_RAW", "ADJUSTMENT_SPLIT"])
@pytest.mark.parametrize("vendor", ["alpha_vantage", "yahoo"])
async def test_one_bad_row_loses_one_row(
    home: House, vendor: str, adjustment: str
) -> None:
    request = {"symbol": "MSFT", "adjustment": adjustment, **SPRING}
    await home.fault(vendor, "bad_row")

    answer = await home.fetch(source_policy=pinned(vendor), **request)

    await home.mend(vendor)
    home.clock.advance(MINUTE_SECONDS)
    good = await home.fetch(source_policy=pinned(vendor), **request)
    (bad,) = flags(answer, QUARANTINED)
    assert times(answer) == [time for time in times(good) if time != bad]
    assert len(times(answer)) == len(times(good)) - 1
    (hole,) = holes(answer)
    assert hole[0] == bad
    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    (flag,) = [flag for flag in answer.quality_flags if flag.kind == QUARANTINED]
    assert vendor in flag.detail
    assert "low is above" in flag.detail


@pytest.mark.parametrize("vendor", ["alpha_vantage", "yahoo"])
async def test_a_row_that_is_bad_with_one_vendor_comes_from_another(
    home: House, vendor: str
) -> None:
    await home.fault(vendor, "bad_row")

    answer = await home.fetch(
        symbol="MSFT", source_policy=ordered(vendor, OTHER[vendor]), **SPRING
    )

    (bad,) = flags(answer, QUARANTINED)
    assert answer.completeness == truth.COMPLETENESS_COMPLETE
    assert bad in times(answer)
    assert served_by(answer) == [vendor, OTHER[vendor], vendor]
    assert answer.sources[1].start.ToJsonString() == bad
    assert answer.attempts[1].calls in (1, 2)


async def test_a_row_outside_of_the_range_is_nobodys_business(home: House) -> None:
    await home.fault("alpha_vantage", "bad_row")

    answer = await home.fetch(
        symbol="MSFT", start="2024-06-03T00:00:00Z", end="2024-06-08T00:00:00Z"
    )

    assert flags(answer, QUARANTINED) == []
    assert len(times(answer)) == 5
    assert served_by(answer) == ["alpha_vantage"]


async def test_a_bad_minute_loses_one_minute(home: House) -> None:
    await home.fault("yahoo", "bad_row")

    answer = await home.fetch(
        symbol="MSFT",
        interval="INTERVAL_1_MINUTE",
        source_policy=pinned("yahoo"),
        start="2024-06-10T00:00:00Z",
        end="2024-06-11T00:00:00Z",
    )

    (bad,) = flags(answer, QUARANTINED)
    assert len(times(answer)) == 389
    assert [hole[0] for hole in holes(answer)] == [bad]


async def test_a_sum_that_lacks_a_part_is_left_out_and_not_guessed(
    home: House,
) -> None:
    request = {
        "symbol": "MSFT",
        "interval": "INTERVAL_1_WEEK",
        "source_policy": pinned("alpha_vantage"),
        "start": "2024-01-01T00:00:00Z",
        "end": "2024-06-10T00:00:00Z",
    }
    await home.fault("alpha_vantage", "bad_row")

    answer = await home.fetch(**request)

    await home.mend("alpha_vantage")
    home.clock.advance(MINUTE_SECONDS)
    good = await home.fetch(**request)
    assert len(times(answer)) == len(times(good)) - 1
    assert len(holes(answer)) == 1
    assert len(flags(answer, QUARANTINED)) == 1
