"""Which of several recordings answers, and how much of it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion_server.app.mode import Mode
from tests.port.house import NOON, Build, closes, holes, pinned, times
from tests.replay.charts import FIRST_WEEK, SECOND_WEEK, keep_chart, keep_days

YAHOO: dict[str, Any] = {"source_policy": pinned("yahoo")}


def days(first: date, last: date) -> dict[str, Any]:
    """Return a range of whole days, the last one included."""
    return {
        "start": f"{first.isoformat()}T00:00:00Z",
        "end": f"{(last + timedelta(days=1)).isoformat()}T00:00:00Z",
    }


@pytest.mark.parametrize(("first", "expected"), [(6, 1.0), (8, 2.0)])
async def test_the_recording_that_covers_more_of_the_range_answers(
    build: Build, tmp_path: Path, first: int, expected: float
) -> None:
    keep_chart(tmp_path, "one", FIRST_WEEK, 1.0)
    keep_chart(tmp_path, "two", SECOND_WEEK, 2.0)
    start, end = date(2024, 3, first), date(2024, 3, 11 if first == 6 else 14)

    async with build(mode=Mode(replay=tmp_path)) as home:
        answer = await home.fetch(symbol="AAPL", **days(start, end), **YAHOO)

    assert set(closes(answer)) == {expected}
    assert holes(answer)


@pytest.mark.parametrize("latest", ["one", "two"])
@pytest.mark.parametrize(("first", "expected"), [(6, 1.0), (8, 2.0)])
async def test_it_does_so_too_where_the_vendor_is_asked_without_dates(
    build: Build, tmp_path: Path, first: int, expected: float, latest: str
) -> None:
    for name, week, close in (("one", FIRST_WEEK, 1.0), ("two", SECOND_WEEK, 2.0)):
        when = 2 if name == latest else 1
        moment = f"Tue, 0{when} Apr 2024 12:00:00 GMT"
        keep_days(tmp_path, name, week, close, recorded=moment)
    start, end = date(2024, 3, first), date(2024, 3, 11 if first == 6 else 14)

    async with build(mode=Mode(replay=tmp_path)) as home:
        answer = await home.fetch(
            symbol="AAPL",
            adjustment="ADJUSTMENT_RAW",
            source_policy=pinned("alpha_vantage"),
            **days(start, end),
        )

    assert set(closes(answer)) == {expected}


async def test_of_two_that_cover_the_same_the_later_answers(
    build: Build, tmp_path: Path
) -> None:
    keep_chart(tmp_path, "z", FIRST_WEEK, 1.0, recorded="Mon, 01 Apr 2024 12:00:00 GMT")
    keep_chart(tmp_path, "a", FIRST_WEEK, 2.0, recorded="Tue, 02 Apr 2024 12:00:00 GMT")

    async with build(mode=Mode(replay=tmp_path)) as home:
        answer = await home.fetch(
            symbol="AAPL", **days(FIRST_WEEK[0], FIRST_WEEK[-1]), **YAHOO
        )

    assert closes(answer) == [2.0] * 5
    assert answer.sources[0].received_at.ToJsonString() == "2024-04-02T12:00:00Z"


async def test_more_rows_than_asked_for_are_clipped(
    build: Build, tmp_path: Path
) -> None:
    keep_chart(tmp_path, "both", FIRST_WEEK + SECOND_WEEK, 1.0)

    async with build(mode=Mode(replay=tmp_path)) as home:
        answer = await home.fetch(
            symbol="AAPL", **days(FIRST_WEEK[3], SECOND_WEEK[1]), **YAHOO
        )

    assert times(answer) == [f"2024-03-{day:02d}T00:00:00Z" for day in (7, 8, 11, 12)]


@pytest.mark.parametrize("host", ["query1", "query2"])
async def test_both_hosts_of_yahoo_are_the_same(
    build: Build, tmp_path: Path, host: str
) -> None:
    keep_chart(tmp_path, "one", FIRST_WEEK, 1.0, host=host)

    async with build(mode=Mode(replay=tmp_path)) as home:
        answer = await home.fetch(
            symbol="AAPL", **days(FIRST_WEEK[0], FIRST_WEEK[-1]), **YAHOO
        )

    assert closes(answer) == [1.0] * 5


@pytest.mark.parametrize(
    "asked",
    [
        "interval=1d&range=5d",
        "interval=1d&period1=1&period2=2&crumb=***&lang=en-US",
        "includePrePost=true&events=div%7Csplit%7Cearn&interval=1d",
        "",
    ],
)
async def test_what_does_not_name_the_chart_does_not_matter(
    build: Build, tmp_path: Path, asked: str
) -> None:
    keep_chart(tmp_path, "one", FIRST_WEEK, 1.0, asked=asked)

    async with build(mode=Mode(replay=tmp_path)) as home:
        answer = await home.fetch(
            symbol="AAPL", **days(FIRST_WEEK[0], FIRST_WEEK[-1]), **YAHOO
        )

    assert closes(answer) == [1.0] * 5


async def test_another_interval_is_another_chart(build: Build, tmp_path: Path) -> None:
    keep_chart(tmp_path, "one", FIRST_WEEK, 1.0, asked="interval=1d")

    async with build(mode=Mode(replay=tmp_path)) as home:
        refused = await home.refused(
            symbol="AAPL",
            interval="INTERVAL_1_WEEK",
            **days(FIRST_WEEK[0], FIRST_WEEK[-1]),
            **YAHOO,
        )

    assert refused.reason == "NO_DATA_UNEXPLAINED"
    assert "interval=1wk" in refused.message


async def test_days_recorded_before_the_close_stay_partial_for_ever(
    build: Build, tmp_path: Path
) -> None:
    # 12:00 in New York, on the last of the days.
    keep_chart(
        tmp_path, "one", FIRST_WEEK, 1.0, recorded="Fri, 08 Mar 2024 17:00:00 GMT"
    )

    async with build(
        mode=Mode(replay=tmp_path), start=NOON + timedelta(days=30)
    ) as home:
        answer = await home.fetch(
            symbol="AAPL", **days(FIRST_WEEK[0], FIRST_WEEK[-1]), **YAHOO
        )

    assert [bar.state for bar in answer.series.bars] == [1, 1, 1, 1, 2]
