"""Calendars hold: no false gaps, no wrong labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from marketdata.ingestion.v1 import ingestion_service_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import UNMETERED, Build, House, pinned, times

VENDORS = ["alpha_vantage", "yahoo"]
MARCH = datetime(2024, 3, 20, 12, tzinfo=UTC)
JULY = datetime(2024, 7, 10, 12, tzinfo=UTC)
NOVEMBER = datetime(2024, 11, 13, 12, tzinfo=UTC)
DECEMBER = datetime(2024, 12, 4, 12, tzinfo=UTC)
MINUTES = {
    "INTERVAL_1_MINUTE": 1,
    "INTERVAL_5_MINUTES": 5,
    "INTERVAL_30_MINUTES": 30,
    "INTERVAL_1_HOUR": 60,
}


def whole(answer: ingestion_service_pb2.FetchResponse) -> bool:
    """Return whether an answer is complete, and says so consistently."""
    return answer.completeness == truth.COMPLETENESS_COMPLETE and not answer.missing


def grid(opens: str, closes: str, minutes: int) -> list[str]:
    """Return the bars of one session, as ISO text."""
    time, end = datetime.fromisoformat(opens), datetime.fromisoformat(closes)
    found = []
    while time < end:
        found.append(time.strftime("%Y-%m-%dT%H:%M:%SZ"))
        time += timedelta(minutes=minutes)
    return found


@pytest.mark.parametrize("interval", MINUTES)
@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("now", "before", "after"),
    [
        (
            MARCH,
            ("2024-03-08T14:30Z", "2024-03-08T21:00Z"),
            ("2024-03-11T13:30Z", "2024-03-11T20:00Z"),
        ),
        (
            NOVEMBER,
            ("2024-11-01T13:30Z", "2024-11-01T20:00Z"),
            ("2024-11-04T14:30Z", "2024-11-04T21:00Z"),
        ),
    ],
)
async def test_the_clocks_change_and_no_bar_is_missing_or_misplaced(
    build: Build,
    interval: str,
    vendor: str,
    now: datetime,
    before: tuple[str, str],
    after: tuple[str, str],
) -> None:
    async with build(start=now, settings=UNMETERED) as home:
        answer = await home.fetch(
            symbol="MSFT",
            interval=interval,
            source_policy=pinned(vendor),
            start=before[0][:10] + "T00:00:00Z",
            end=after[0][:10] + "T23:59:00Z",
        )

    minutes = MINUTES[interval]
    assert times(answer) == grid(*before, minutes) + grid(*after, minutes)
    assert whole(answer)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("now", "opens", "closes"),
    [
        (JULY, "2024-07-03T13:30Z", "2024-07-03T17:00Z"),
        (DECEMBER, "2024-11-29T14:30Z", "2024-11-29T18:00Z"),
    ],
)
async def test_half_days_end_early(
    build: Build, vendor: str, now: datetime, opens: str, closes: str
) -> None:
    date = opens[:10]
    async with build(start=now, settings=UNMETERED) as home:
        for interval, minutes in MINUTES.items():
            answer = await home.fetch(
                symbol="MSFT",
                interval=interval,
                source_policy=pinned(vendor),
                start=f"{date}T00:00:00Z",
                end=f"{date}T23:59:00Z",
            )
            assert times(answer) == grid(opens, closes, minutes), interval
            assert whole(answer), interval
        day = await home.fetch(
            symbol="MSFT",
            source_policy=pinned(vendor),
            start=f"{date}T00:00:00Z",
            end=f"{date}T23:59:00Z",
        )
    assert times(day) == [f"{date}T00:00:00Z"]
    assert whole(day)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2024-07-04T00:00:00Z", "2024-07-05T00:00:00Z"),
        ("2024-07-06T00:00:00Z", "2024-07-08T00:00:00Z"),
        ("2024-07-09T21:00:00Z", "2024-07-10T13:00:00Z"),
        ("2024-07-11T00:00:00Z", "2024-07-12T00:00:00Z"),
    ],
    ids=["holiday", "weekend", "night", "tomorrow"],
)
@pytest.mark.parametrize("interval", ["INTERVAL_1_HOUR", "INTERVAL_1_DAY"])
async def test_no_session_means_empty_and_complete_and_costs_nothing(
    build: Build, start: str, end: str, interval: str
) -> None:
    async with build(start=JULY) as home:
        answer = await home.fetch(
            symbol="MSFT", interval=interval, start=start, end=end
        )

        assert times(answer) == []
        assert whole(answer)
        assert not answer.attempts
        assert await home.calls("alpha_vantage") == 0
        assert await home.calls("yahoo") == 0


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_week_with_a_holiday_has_four_days(build: Build, vendor: str) -> None:
    async with build(start=JULY) as home:
        answer = await home.fetch(
            symbol="MSFT",
            source_policy=pinned(vendor),
            start="2024-07-01T00:00:00Z",
            end="2024-07-08T00:00:00Z",
        )

    assert [time[:10] for time in times(answer)] == [
        "2024-07-01",
        "2024-07-02",
        "2024-07-03",
        "2024-07-05",
    ]
    assert whole(answer)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("interval", ["INTERVAL_1_HOUR", "INTERVAL_1_DAY"])
async def test_crypto_never_sleeps(build: Build, vendor: str, interval: str) -> None:
    hours = 1 if interval == "INTERVAL_1_HOUR" else 24
    async with build(start=MARCH) as home:
        answer = await home.fetch(
            symbol="BTC/USD",
            interval=interval,
            source_policy=pinned(vendor),
            start="2024-03-08T00:00:00Z",
            end="2024-03-15T00:00:00Z",
        )

    found = [datetime.fromisoformat(time) for time in times(answer)]
    assert len(found) == 7 * 24 // hours
    assert found[0] == datetime(2024, 3, 8, tzinfo=UTC)
    assert {later - earlier for earlier, later in pairwise(found)} == {
        timedelta(hours=hours)
    }
    assert whole(answer)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("now", "friday", "monday"),
    [
        # 17:00 in New York is 22:00 UTC in winter and 21:00 in summer.
        (MARCH, "2024-03-08T21:00:00Z", "2024-03-11T00:00:00Z"),
        (JULY, "2024-07-05T20:00:00Z", "2024-07-08T00:00:00Z"),
        (NOVEMBER, "2024-11-01T20:00:00Z", "2024-11-04T00:00:00Z"),
    ],
)
async def test_currencies_rest_at_the_weekend_and_nobody_calls_it_a_gap(
    build: Build, vendor: str, now: datetime, friday: str, monday: str
) -> None:
    start = datetime.fromisoformat(friday) - timedelta(days=1)
    end = datetime.fromisoformat(monday) + timedelta(days=1)
    async with build(start=now) as home:
        answer = await home.fetch(
            symbol="EUR/USD",
            interval="INTERVAL_1_HOUR",
            source_policy=pinned(vendor),
            start=start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            end=end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )

    found = times(answer)
    assert friday in found
    assert monday in found
    # Some begin on Sunday evening, nobody trades on Saturday.
    assert not any(datetime.fromisoformat(time).weekday() == 5 for time in found)
    assert whole(answer)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_days_of_currencies_are_monday_to_friday(
    home: House, vendor: str
) -> None:
    answer = await home.fetch(
        symbol="EUR/USD",
        source_policy=pinned(vendor),
        start="2024-05-20T00:00:00Z",
        end="2024-06-08T00:00:00Z",
    )

    found = [datetime.fromisoformat(time) for time in times(answer)]
    assert [time.weekday() for time in found] == [0, 1, 2, 3, 4] * 3
    assert whole(answer)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_london_keeps_its_own_holidays_and_its_own_clock_change(
    build: Build, vendor: str
) -> None:
    async with build(start=datetime(2024, 4, 10, 12, tzinfo=UTC)) as home:
        request = {
            "symbol": "OCDO",
            "exchange": "XLON",
            "source_policy": pinned(vendor),
            "start": "2024-03-28T00:00:00Z",
            "end": "2024-04-03T00:00:00Z",
        }
        days = await home.fetch(**request)
        hours = await home.fetch(interval="INTERVAL_1_HOUR", **request)

    # Good Friday, the weekend with the change, Easter Monday.
    assert [time[:10] for time in times(days)] == ["2024-03-28", "2024-04-02"]
    assert whole(days)
    assert times(hours) == grid("2024-03-28T08:00Z", "2024-03-28T16:30Z", 60) + grid(
        "2024-04-02T07:00Z", "2024-04-02T15:30Z", 60
    )
    assert whole(hours)
    assert days.series.exchange == "XLON"
    assert days.series.time_zone == "Europe/London"


@pytest.mark.parametrize(
    ("interval", "minutes"),
    [("INTERVAL_5_MINUTES", 5), ("INTERVAL_30_MINUTES", 30), ("INTERVAL_1_HOUR", 60)],
)
async def test_tokyo_has_a_break_at_noon_and_begins_anew_after_it(
    home: House, interval: str, minutes: int
) -> None:
    answer = await home.fetch(
        symbol="7203",
        exchange="XTKS",
        interval=interval,
        start="2024-06-11T00:00:00Z",
        end="2024-06-12T00:00:00Z",
    )

    assert times(answer) == [
        *grid("2024-06-11T00:00Z", "2024-06-11T02:30Z", minutes),
        *grid("2024-06-11T03:30Z", "2024-06-11T06:00Z", minutes),
    ]
    assert whole(answer)
    assert answer.series.currency == "JPY"


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("symbol", ["MSFT", "EUR/USD", "BTC/USD"])
async def test_weeks_begin_on_monday_and_months_on_the_first(
    home: House, vendor: str, symbol: str
) -> None:
    request = {
        "symbol": symbol,
        "source_policy": pinned(vendor),
        "start": "2023-12-01T00:00:00Z",
        "end": "2024-06-01T00:00:00Z",
    }
    weeks = await home.fetch(interval="INTERVAL_1_WEEK", **request)
    months = await home.fetch(interval="INTERVAL_1_MONTH", **request)

    found = [datetime.fromisoformat(time) for time in times(weeks)]
    assert found[0] == datetime(2023, 12, 4, tzinfo=UTC)
    assert found[-1] == datetime(2024, 5, 27, tzinfo=UTC)
    assert len(found) == 26
    assert all(time.weekday() == 0 for time in found)
    assert whole(weeks)
    assert [time[:10] for time in times(months)] == [
        "2023-12-01",
        "2024-01-01",
        "2024-02-01",
        "2024-03-01",
        "2024-04-01",
        "2024-05-01",
    ]
    assert whole(months)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_nothing_is_missing_from_before_the_first_trade(
    home: House, vendor: str
) -> None:
    answer = await home.fetch(
        symbol="BABA",
        source_policy=pinned(vendor),
        start="2014-09-01T00:00:00Z",
        end="2014-10-01T00:00:00Z",
    )

    assert times(answer)[0] == "2014-09-19T00:00:00Z"
    assert len(times(answer)) == 8
