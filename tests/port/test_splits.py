"""Splits and dividends: whichever vendor answers, the prices are the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import ingestion_service_pb2

from tests.port.house import (
    UNMETERED,
    Build,
    House,
    closes,
    pinned,
    served_by,
    times,
)

AUTUMN_2020 = datetime(2020, 9, 16, 12, tzinfo=UTC)
"""Two weeks after the split of AAPL, 4:1, so that intraday bars still reach it."""
AROUND = {"start": "2020-08-17T00:00:00Z", "end": "2020-09-12T00:00:00Z"}
MONTHS = {"start": "2020-06-01T00:00:00Z", "end": "2020-11-01T00:00:00Z"}
DAYS = {"start": "2020-08-27T00:00:00Z", "end": "2020-09-02T00:00:00Z"}
ADJUSTMENTS = ["ADJUSTMENT_RAW", "ADJUSTMENT_SPLIT", "ADJUSTMENT_SPLIT_DIVIDEND"]
AAPL = {"symbol": "AAPL"}


async def of_both(
    home: House, **request: Any
) -> tuple[ingestion_service_pb2.FetchResponse, ingestion_service_pb2.FetchResponse]:
    """Return the answers of both vendors to one question."""
    ours = await home.fetch(source_policy=pinned("alpha_vantage"), **request)
    theirs = await home.fetch(source_policy=pinned("yahoo"), **request)
    return ours, theirs


def assert_same(
    ours: ingestion_service_pb2.FetchResponse,
    theirs: ingestion_service_pb2.FetchResponse,
) -> None:
    """Compare within Yahoo's seven digits."""
    assert times(ours)
    assert times(ours) == times(theirs)
    for mine, other in zip(ours.series.bars, theirs.series.bars, strict=True):
        for field in ("open", "high", "low", "close"):
            assert getattr(mine, field) == pytest.approx(
                getattr(other, field), rel=1e-6
            ), (mine.open_time.ToJsonString(), field)


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
@pytest.mark.parametrize(
    ("interval", "span"),
    [
        ("INTERVAL_1_DAY", AROUND),
        ("INTERVAL_1_WEEK", AROUND),
        ("INTERVAL_1_MONTH", MONTHS),
    ],
)
@pytest.mark.parametrize("symbol", ["AAPL", "TSLA"])
async def test_around_a_split_both_vendors_say_the_same(
    quick: House, symbol: str, interval: str, span: dict[str, str], adjustment: str
) -> None:
    ours, theirs = await of_both(
        quick, symbol=symbol, interval=interval, adjustment=adjustment, **span
    )

    assert_same(ours, theirs)


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
@pytest.mark.parametrize(
    "interval", ["INTERVAL_5_MINUTES", "INTERVAL_30_MINUTES", "INTERVAL_1_HOUR"]
)
async def test_around_a_split_both_vendors_say_the_same_within_the_day(
    build: Build, interval: str, adjustment: str
) -> None:
    async with build(start=AUTUMN_2020, settings=UNMETERED) as home:
        ours, theirs = await of_both(
            home, symbol="AAPL", interval=interval, adjustment=adjustment, **DAYS
        )

    assert_same(ours, theirs)


async def test_a_later_split_is_counted_too(quick: House) -> None:
    # The split of 2024-06-10 is outside of the range that is asked for.
    span = {"start": "2021-07-12T00:00:00Z", "end": "2021-07-30T00:00:00Z"}
    for adjustment in ADJUSTMENTS:
        ours, theirs = await of_both(
            quick, symbol="NVDA", adjustment=adjustment, **span
        )
        assert_same(ours, theirs)


@pytest.mark.parametrize("vendor", ["alpha_vantage", "yahoo"])
async def test_raw_jumps_at_a_split_and_split_does_not(
    quick: House, vendor: str
) -> None:
    request = {"symbol": "AAPL", "source_policy": pinned(vendor), **AROUND}
    raw = await quick.fetch(adjustment="ADJUSTMENT_RAW", **request)
    split = await quick.fetch(adjustment="ADJUSTMENT_SPLIT", **request)

    first = times(raw).index("2020-08-31T00:00:00Z")
    before, after = closes(raw)[first - 1], closes(raw)[first]
    assert before / after == pytest.approx(4, rel=0.15)
    assert closes(split)[first - 1] == pytest.approx(before / 4, rel=1e-6)
    assert closes(split)[first] == pytest.approx(after, rel=1e-6)
    volumes = [bar.volume for bar in raw.series.bars]
    assert split.series.bars[first - 1].volume == pytest.approx(
        volumes[first - 1] * 4, rel=1e-3
    )
    assert split.series.bars[first].volume == pytest.approx(volumes[first], rel=1e-3)


async def test_what_is_computed_is_marked_and_what_is_given_is_not(
    quick: House,
) -> None:
    derived = {}
    for adjustment in ADJUSTMENTS:
        for answer in await of_both(quick, adjustment=adjustment, **AAPL, **AROUND):
            (source,) = answer.sources
            derived[source.provider, adjustment] = source.derived
            assert source.derived == bool(source.derivation)

    assert derived == {
        ("alpha_vantage", "ADJUSTMENT_RAW"): False,
        ("alpha_vantage", "ADJUSTMENT_SPLIT"): True,
        ("alpha_vantage", "ADJUSTMENT_SPLIT_DIVIDEND"): True,
        ("yahoo", "ADJUSTMENT_RAW"): True,
        ("yahoo", "ADJUSTMENT_SPLIT"): False,
        ("yahoo", "ADJUSTMENT_SPLIT_DIVIDEND"): True,
    }


@pytest.mark.parametrize("adjustment", ADJUSTMENTS[1:])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("empty", "NO_DATA_UNEXPLAINED"),
        ("malformed", "MALFORMED_PAYLOAD"),
        ("html", "MALFORMED_PAYLOAD"),
        ("information_premium", "ENTITLEMENT_MISSING"),
        ("error_message", "SYMBOL_UNKNOWN"),
    ],
)
async def test_without_the_splits_raw_is_never_passed_off_as_split(
    build: Build, fault: str, reason: str, adjustment: str
) -> None:
    # The splits are asked for first, so a fault that strikes once strikes them, and
    # nobody asks again.
    request = {"symbol": "AAPL", "adjustment": adjustment, **AROUND}
    async with build(settings={"RETRY__ATTEMPTS": "1"}) as home:
        await home.fault("alpha_vantage", fault, times=1)
        failed = await home.refused(source_policy=pinned("alpha_vantage"), **request)
        assert failed.reason == reason
        assert (await home.functions())["SPLITS"] == 1

        # An unknown symbol is not asked for again at once, and what the plan lacks not
        # for a day.
        home.clock.advance(86_401)
        await home.fault("alpha_vantage", fault, times=1)
        answer = await home.fetch(**request)
        assert served_by(answer) == ["yahoo"]
        assert (await home.functions())["SPLITS"] == 2


async def test_without_the_dividends_split_is_still_served(home: House) -> None:
    request = {"symbol": "AAPL", "source_policy": pinned("alpha_vantage"), **AROUND}
    await home.fetch(adjustment="ADJUSTMENT_SPLIT", **request)
    await home.fault("alpha_vantage", "information_premium")

    failed = await home.refused(adjustment="ADJUSTMENT_SPLIT_DIVIDEND", **request)

    assert (failed.code, failed.reason) == (
        Code.FAILED_PRECONDITION,
        "ENTITLEMENT_MISSING",
    )
    await home.mend("alpha_vantage")
    answer = await home.fetch(adjustment="ADJUSTMENT_SPLIT", **request)
    assert served_by(answer) == ["alpha_vantage"]


async def test_splits_are_asked_for_once_a_day_and_symbol(home: House) -> None:
    for _ in range(3):
        await home.fetch(source_policy=pinned("alpha_vantage"), **AAPL, **AROUND)
    assert (await home.functions())["SPLITS"] == 1

    home.clock.advance(86_400)
    await home.fetch(source_policy=pinned("alpha_vantage"), **AAPL, **AROUND)
    assert (await home.functions())["SPLITS"] == 2


async def test_the_split_of_today_is_known_today(build: Build) -> None:
    # Monday, an hour after the split of AAPL took effect at the open.
    start = datetime(2020, 8, 31, 14, 30, tzinfo=UTC)
    async with build(start=start, settings=UNMETERED) as home:
        for adjustment in ADJUSTMENTS[:2]:
            ours, theirs = await of_both(
                home,
                symbol="AAPL",
                adjustment=adjustment,
                start="2020-08-24T00:00:00Z",
                end="2020-08-31T00:00:00Z",
            )
            assert_same(ours, theirs)
