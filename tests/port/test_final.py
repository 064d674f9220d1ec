"""Final is final."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from marketdata.ingestion.v1 import bar_pb2, ingestion_service_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import Build, pinned, times

IN_SESSION = datetime(2024, 6, 12, 15, 2, tzinfo=UTC)
JUST_CLOSED = datetime(2024, 6, 12, 20, 5, tzinfo=UTC)
SETTLED = datetime(2024, 6, 12, 20, 20, tzinfo=UTC)
TODAY = "2024-06-12T00:00:00Z"
VENDORS = ["alpha_vantage", "yahoo"]
LABELS = {
    "INTERVAL_1_DAY": TODAY,
    "INTERVAL_1_WEEK": "2024-06-10T00:00:00Z",
    "INTERVAL_1_MONTH": "2024-06-01T00:00:00Z",
}
FINAL, PARTIAL = bar_pb2.BAR_STATE_FINAL, bar_pb2.BAR_STATE_PARTIAL


def states(answer: ingestion_service_pb2.FetchResponse) -> dict[str, int]:
    """Return the state of each bar by its time."""
    return {bar.open_time.ToJsonString(): bar.state for bar in answer.series.bars}


@pytest.mark.parametrize("interval", LABELS)
@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("now", [IN_SESSION, JUST_CLOSED])
async def test_the_bar_that_is_not_settled_is_never_final(
    build: Build, vendor: str, interval: str, now: datetime
) -> None:
    async with build(start=now) as home:
        answer = await home.fetch(
            symbol="MSFT",
            interval=interval,
            limit=5,
            source_policy=pinned(vendor),
        )

    found = states(answer)
    assert found.pop(LABELS[interval], PARTIAL) == PARTIAL
    assert set(found.values()) == {FINAL}
    assert len(found) >= 4
    assert answer.completeness == truth.COMPLETENESS_COMPLETE


@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_running_session_is_a_bar_of_its_own_label(
    build: Build, vendor: str
) -> None:
    async with build(start=IN_SESSION) as home:
        answer = await home.fetch(symbol="MSFT", limit=3, source_policy=pinned(vendor))

    found = times(answer)
    assert len(found) == len(set(found))
    assert found[-2:] == ["2024-06-11T00:00:00Z", TODAY] or found[-1] == (
        "2024-06-11T00:00:00Z"
    )


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_session_is_final_once_it_is_settled(build: Build, vendor: str) -> None:
    async with build(start=SETTLED) as home:
        answer = await home.fetch(symbol="MSFT", limit=3, source_policy=pinned(vendor))

    assert states(answer)[TODAY] == FINAL
    assert set(states(answer).values()) == {FINAL}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("interval", "running"),
    [
        ("INTERVAL_1_MINUTE", "2024-06-12T15:02:00Z"),
        ("INTERVAL_5_MINUTES", "2024-06-12T15:00:00Z"),
        ("INTERVAL_30_MINUTES", "2024-06-12T15:00:00Z"),
        ("INTERVAL_1_HOUR", "2024-06-12T14:30:00Z"),
    ],
)
async def test_the_running_bar_of_the_day_is_never_final(
    build: Build, vendor: str, interval: str, running: str
) -> None:
    async with build(start=IN_SESSION) as home:
        answer = await home.fetch(
            symbol="MSFT",
            interval=interval,
            source_policy=pinned(vendor),
            start="2024-06-11T00:00:00Z",
        )

    found = states(answer)
    assert found.get(running, PARTIAL) == PARTIAL
    assert all(time <= running for time in found)
    yesterday = [state for time, state in found.items() if time < TODAY]
    assert yesterday
    assert set(yesterday) == {FINAL}
    assert answer.completeness == truth.COMPLETENESS_COMPLETE


@pytest.mark.parametrize("symbol", ["EUR/USD", "BTC/USD"])
@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_running_day_of_what_never_closes_is_not_final(
    build: Build, vendor: str, symbol: str
) -> None:
    async with build(start=IN_SESSION) as home:
        answer = await home.fetch(
            symbol=symbol, source_policy=pinned(vendor), start="2024-06-03T00:00:00Z"
        )

    found = states(answer)
    assert found.pop(TODAY, PARTIAL) == PARTIAL
    assert set(found.values()) == {FINAL}


async def test_columns_say_the_same(build: Build) -> None:
    async with build(start=IN_SESSION) as home:
        rows = await home.fetch(symbol="MSFT", limit=5, source_policy=pinned("yahoo"))
        columns = await home.fetch(
            symbol="MSFT",
            limit=5,
            source_policy=pinned("yahoo"),
            layout="LAYOUT_COLUMNS",
        )

    assert list(columns.series.columns.state) == [bar.state for bar in rows.series.bars]
