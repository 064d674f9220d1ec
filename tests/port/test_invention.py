"""Nothing is invented."""

from __future__ import annotations

import math

import pytest
from marketdata.ingestion.v1 import bar_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import Build, House, flags, ordered, pinned, served_by, times

WEEK = {"start": "2024-06-03T00:00:00Z", "end": "2024-06-08T00:00:00Z"}
ABSENT = truth.QUALITY_FLAG_KIND_FIELD_ABSENT


async def test_a_volume_that_a_vendor_does_not_have_is_absent_and_flagged(
    quick: House,
) -> None:
    answer = await quick.fetch(
        symbol="EUR/USD", source_policy=pinned("alpha_vantage"), **WEEK
    )

    assert len(answer.series.bars) == 5
    assert not any(bar.HasField("volume") for bar in answer.series.bars)
    assert all(bar.HasField("close") for bar in answer.series.bars)
    details = [flag.detail for flag in answer.quality_flags if flag.kind == ABSENT]
    assert len(details) == 1
    assert "alpha_vantage" in details[0]
    assert "volume" in details[0]


async def test_no_bar_has_a_field_that_no_vendor_gives(quick: House) -> None:
    answer = await quick.fetch(symbol="MSFT", **WEEK)

    assert answer.series.bars
    for bar in answer.series.bars:
        assert bar.HasField("volume")
        assert not bar.HasField("vwap")
        assert not bar.HasField("trade_count")


async def test_a_column_that_a_vendor_does_not_have_is_empty(quick: House) -> None:
    answer = await quick.fetch(
        symbol="EUR/USD",
        source_policy=pinned("alpha_vantage"),
        layout="LAYOUT_COLUMNS",
        **WEEK,
    )

    columns = answer.series.columns
    assert len(columns.open_time_ns) == len(columns.close) == len(columns.state) == 5
    assert not columns.volume
    assert not columns.vwap
    assert not columns.trade_count
    assert flags(answer, ABSENT) == [""]


@pytest.mark.parametrize(
    "policy", [ordered("alpha_vantage", "yahoo"), ordered("yahoo", "alpha_vantage")]
)
async def test_volumes_of_one_vendor_do_not_spread_to_the_bars_of_another(
    quick: House, policy: dict[str, object]
) -> None:
    first = policy["providers"][0]  # type: ignore[index]
    request = {
        "symbol": "EUR/USD",
        "interval": "INTERVAL_1_HOUR",
        "start": "2024-06-10T00:00:00Z",
        "end": "2024-06-12T00:00:00Z",
        "source_policy": policy,
    }
    await quick.fault(str(first), "partial")

    answer = await quick.fetch(**request)
    columns = await quick.fetch(layout="LAYOUT_COLUMNS", **request)

    assert set(served_by(answer)) == {"alpha_vantage", "yahoo"}
    assert len(times(answer)) == 48
    without = set()
    for source in answer.sources:
        if source.provider == "alpha_vantage":
            without |= {
                time
                for time in times(answer)
                if source.start.ToJsonString() <= time < source.end.ToJsonString()
            }
    for bar in answer.series.bars:
        assert bar.HasField("volume") == (bar.open_time.ToJsonString() not in without)
    assert flags(answer, ABSENT) == [""]
    volumes = columns.series.columns.volume
    assert len(volumes) == 48
    assert [math.isnan(volume) for volume in volumes] == [
        not bar.HasField("volume") for bar in answer.series.bars
    ]


async def test_days_of_fx_of_different_vendors_are_never_mixed(quick: House) -> None:
    await quick.fault("alpha_vantage", "partial")

    answer = await quick.fetch(
        symbol="EUR/USD", start="2024-05-01T00:00:00Z", end="2024-06-11T00:00:00Z"
    )

    assert set(served_by(answer)) == {"alpha_vantage"}
    assert answer.completeness == truth.COMPLETENESS_PARTIAL
    assert answer.missing
    refused = answer.attempts[1]
    assert refused.provider == "yahoo"
    assert refused.outcome == truth.ATTEMPT_OUTCOME_SKIPPED
    assert await quick.calls("yahoo") == 0
    assert refused.reason.startswith("CAPABILITY_MISSING: ")


@pytest.mark.parametrize(
    ("symbol", "wanted"),
    [("EUR/USD", "ADJUSTMENT_SPLIT_DIVIDEND"), ("BTC/USD", "ADJUSTMENT_SPLIT")],
)
async def test_an_adjustment_that_means_nothing_is_called_raw(
    quick: House, symbol: str, wanted: str
) -> None:
    answer = await quick.fetch(symbol=symbol, adjustment=wanted, **WEEK)

    assert answer.series.bars
    assert answer.series.adjustment == bar_pb2.ADJUSTMENT_RAW


async def test_what_is_computed_is_marked(quick: House) -> None:
    answer = await quick.fetch(symbol="MSFT", **WEEK)
    as_it_is = await quick.fetch(symbol="MSFT", adjustment="ADJUSTMENT_RAW", **WEEK)

    assert [source.derived for source in answer.sources] == [True]
    assert "computed" in answer.sources[0].derivation
    assert flags(answer, truth.QUALITY_FLAG_KIND_DERIVED) == [""]
    assert [source.derived for source in as_it_is.sources] == [False]
    assert as_it_is.sources[0].derivation == ""
    assert flags(as_it_is, truth.QUALITY_FLAG_KIND_DERIVED) == []


async def test_minor_units_are_named_as_they_are(build: Build) -> None:
    async with build() as home:
        answer = await home.fetch(
            symbol="OCDO", exchange="XLON", source_policy=pinned("yahoo"), **WEEK
        )

    assert answer.series.currency == "GBp"
    assert answer.series.exchange == "XLON"
    assert answer.series.time_zone == "Europe/London"


async def test_prices_of_an_unnamed_unit_do_not_complete_those_of_a_named_one(
    quick: House,
) -> None:
    await quick.fault("yahoo", "partial")

    answer = await quick.fetch(
        symbol="OCDO",
        exchange="XLON",
        source_policy=ordered("yahoo", "alpha_vantage"),
        start="2024-05-01T00:00:00Z",
        end="2024-06-11T00:00:00Z",
    )

    assert set(served_by(answer)) == {"yahoo"}
    assert answer.completeness == truth.COMPLETENESS_PARTIAL
