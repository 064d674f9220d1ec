"""Before when all bars are final."""

from __future__ import annotations

import pytest

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.instrument import AssetClass, instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import BarQuery
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest.jobs.finality import final_until_ns
from tests.builders import ns, texts
from tests.ingest.making import CALENDAR


def until(
    now: str,
    interval: Interval,
    symbol: str = "AAPL",
    end: str | None = None,
    hours: TradingHours = TradingHours.REGULAR,
    calendar: Sessions | None = CALENDAR,
) -> str:
    """Tell before when bars since 2024 are final."""
    future = symbol.endswith("=F")
    query = BarQuery(
        instrument(
            symbol.removesuffix("=F"),
            asset_class=AssetClass.FUTURE if future else None,
        ),
        interval,
        start_ns=ns("2024-01-02"),
        end_ns=None if end is None else ns(end),
        hours=hours,
    )
    sessions = calendar if query.instrument.venue else None
    return texts([final_until_ns(query, sessions, now_ns=ns(now))])[0]


@pytest.mark.parametrize(
    ("now", "interval", "expected"),
    [
        # New York closes at 20:00, and bars settle for a quarter of an hour.
        ("2024-06-27 20:14", Interval.DAY_1, "2024-06-27 00:00"),
        ("2024-06-27 20:15", Interval.DAY_1, "2024-06-28 00:00"),
        ("2024-06-27 12:00", Interval.DAY_1, "2024-06-27 00:00"),
        ("2024-06-29 12:00", Interval.DAY_1, "2024-06-29 00:00"),
        ("2024-06-28 20:14", Interval.WEEK_1, "2024-06-24 00:00"),
        ("2024-06-28 20:15", Interval.WEEK_1, "2024-07-01 00:00"),
        ("2024-06-27 20:15", Interval.MONTH_1, "2024-06-01 00:00"),
        ("2024-06-27 15:00", Interval.MINUTE_5, "2024-06-27 14:45"),
        ("2024-06-27 15:04", Interval.MINUTE_5, "2024-06-27 14:45"),
        ("2024-06-27 15:05", Interval.MINUTE_5, "2024-06-27 14:50"),
        ("2024-06-27 23:00", Interval.HOUR_1, "2024-06-27 20:30"),
        ("2024-06-27 09:00", Interval.HOUR_1, "2024-06-26 20:30"),
    ],
)
def test_a_bar_of_an_exchange_is_final_when_it_is_over_and_has_settled(
    now: str, interval: Interval, expected: str
) -> None:
    assert until(now, interval) == expected


@pytest.mark.parametrize(
    ("symbol", "now", "interval", "expected"),
    [
        ("BTC/USD", "2024-06-29 00:14", Interval.DAY_1, "2024-06-28 00:00"),
        ("BTC/USD", "2024-06-29 00:15", Interval.DAY_1, "2024-06-29 00:00"),
        ("BTC/USD", "2024-06-29 12:17", Interval.MINUTE_1, "2024-06-29 12:02"),
        ("EUR/USD", "2024-06-28 12:00", Interval.DAY_1, "2024-06-28 00:00"),
        # When these trade nobody knows.
        ("GC=F", "2024-06-28 12:00", Interval.MINUTE_5, "2024-06-28 11:41"),
        ("GC=F", "2024-06-28 12:00", Interval.DAY_1, "2024-06-27 00:00"),
    ],
)
def test_where_there_is_no_exchange_the_time_that_passes_tells(
    symbol: str, now: str, interval: Interval, expected: str
) -> None:
    assert until(now, interval, symbol) == expected


def test_of_extended_hours_a_bar_is_final_though_the_session_goes_on() -> None:
    found = until("2024-06-27 22:20", Interval.MINUTE_5, hours=TradingHours.EXTENDED)

    assert found == "2024-06-27 22:01"


def test_without_a_calendar_a_day_is_final_a_day_later() -> None:
    found = until("2024-06-28 20:15", Interval.DAY_1, calendar=None)

    assert found == "2024-06-27 00:00"


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("2024-03-01", "2024-03-01 00:00"),
        ("2024-06-27 10:00", "2024-06-27 00:00"),
        ("2025-01-01", "2024-06-27 00:00"),
    ],
)
def test_an_end_is_not_passed_nor_what_is_final(end: str, expected: str) -> None:
    assert until("2024-06-27 12:00", Interval.DAY_1, end=end) == expected


def test_before_the_start_nothing_is_wanted() -> None:
    assert until("2023-12-01", Interval.DAY_1) == "2024-01-02 00:00"
