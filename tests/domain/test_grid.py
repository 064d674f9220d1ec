"""Which bars should exist, on every kind of market."""

from __future__ import annotations

import time
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.grid import Grid, grid, missing_spans
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import DAY_NS, HOUR_NS, MINUTE_NS, Interval
from ingestion_server.domain.query import Span
from ingestion_server.domain.sessions import Sessions
from tests.builders import NEW_YORK, dates, grid_of, ns, sessions, span, texts, times

EQUITY, CRYPTO, FX = AssetClass.EQUITY, AssetClass.CRYPTO, AssetClass.FX
YEAR = sessions(
    "2024-01-01",
    "2024-12-31",
    closed=["2024-01-01", "2024-03-29", "2024-07-04", "2024-12-25"],
    half=["2024-07-03"],
)
TOKYO = sessions(
    "2024-05-06",
    "2024-05-10",
    zone="Asia/Tokyo",
    hours=("09:00", "15:00"),
    pause=("11:30", "12:30"),
)
HONG_KONG = sessions(
    "2024-12-23",
    "2024-12-27",
    zone="Asia/Hong_Kong",
    hours=("09:30", "16:00"),
    pause=("12:00", "13:00"),
    half=["2024-12-24"],
    half_close="12:00",
)


@cache
def centuries() -> Sessions:
    """Give a calendar of two hundred years without a holiday."""
    return sessions("1870-01-03", "2069-12-31", zone="UTC")


def found(
    interval: Interval,
    stretch: Span,
    calendar: Sessions | None = YEAR,
    kind: AssetClass = EQUITY,
) -> Grid:
    """Give a grid that is known."""
    known = grid(kind, interval, stretch, calendar)
    assert known is not None
    return known


def test_a_session_is_anchored_at_its_open_and_ends_with_a_short_bar() -> None:
    hours = found(Interval.HOUR_1, span("2024-05-06", "2024-05-07"))

    assert [text[-5:] for text in texts(hours.opens_ns, NEW_YORK)] == [
        "09:30",
        "10:30",
        "11:30",
        "12:30",
        "13:30",
        "14:30",
        "15:30",
    ]
    assert texts(hours.closes_ns[-1:], NEW_YORK) == ["2024-05-06 16:00"]


def test_sessions_keep_their_local_hours_when_daylight_saving_begins() -> None:
    bars = found(Interval.HOUR_1, span("2024-03-08", "2024-03-12"))

    firsts = [t for t in texts(bars.opens_ns) if t.endswith(("13:30", "14:30"))]
    assert firsts == ["2024-03-08 14:30", "2024-03-11 13:30", "2024-03-11 14:30"]
    assert len(bars) == 14


def test_a_half_day_ends_early() -> None:
    bars = found(Interval.MINUTE_1, span("2024-07-03", "2024-07-05"))

    assert len(bars) == 210
    assert texts(bars.closes_ns[-1:], NEW_YORK) == ["2024-07-03 13:00"]


def test_days_are_labelled_by_date_and_over_at_the_close() -> None:
    days = found(Interval.DAY_1, span("2024-07-02", "2024-07-06"))

    assert dates(days.opens_ns) == ["2024-07-02", "2024-07-03", "2024-07-05"]
    assert texts(days.closes_ns, NEW_YORK) == [
        "2024-07-02 16:00",
        "2024-07-03 13:00",
        "2024-07-05 16:00",
    ]


def test_tokyo_has_no_bars_during_lunch() -> None:
    bars = found(Interval.MINUTE_30, span("2024-05-07", "2024-05-08"), TOKYO)

    assert [text[-5:] for text in texts(bars.opens_ns, "Asia/Tokyo")] == [
        "09:00",
        "09:30",
        "10:00",
        "10:30",
        "11:00",
        "12:30",
        "13:00",
        "13:30",
        "14:00",
        "14:30",
    ]


def test_hours_begin_anew_after_lunch() -> None:
    bars = found(Interval.HOUR_1, span("2024-05-07", "2024-05-08"), TOKYO)

    assert [text[-5:] for text in texts(bars.opens_ns, "Asia/Tokyo")] == [
        "09:00",
        "10:00",
        "11:00",
        "12:30",
        "13:30",
        "14:30",
    ]


def test_a_half_day_of_hong_kong_ends_with_the_morning() -> None:
    bars = found(Interval.MINUTE_15, span("2024-12-24", "2024-12-26"), HONG_KONG)

    by_day = [text[:10] for text in texts(bars.opens_ns, "Asia/Hong_Kong")]
    assert by_day.count("2024-12-24") == 10
    assert by_day.count("2024-12-25") == 22


def test_weeks_begin_on_monday_even_if_that_is_a_holiday() -> None:
    weeks = found(Interval.WEEK_1, span("2024-01-01", "2024-01-15"))

    assert dates(weeks.opens_ns) == ["2024-01-01", "2024-01-08"]
    assert texts(weeks.closes_ns, NEW_YORK) == ["2024-01-05 16:00", "2024-01-12 16:00"]


def test_a_week_that_ends_with_a_holiday_is_over_a_day_earlier() -> None:
    week = found(Interval.WEEK_1, span("2024-03-25", "2024-04-01"))

    assert texts(week.closes_ns, NEW_YORK) == ["2024-03-28 16:00"]


def test_months_begin_on_the_first_and_end_with_their_last_session() -> None:
    months = found(Interval.MONTH_1, span("2024-03-01", "2024-05-01"))

    assert dates(months.opens_ns) == ["2024-03-01", "2024-04-01"]
    assert texts(months.closes_ns, NEW_YORK) == ["2024-03-28 16:00", "2024-04-30 16:00"]


def test_a_span_from_the_middle_of_a_week_begins_with_the_next() -> None:
    weeks = found(Interval.WEEK_1, span("2024-05-08", "2024-05-14"))

    assert dates(weeks.opens_ns) == ["2024-05-13"]
    assert texts(weeks.closes_ns, NEW_YORK) == ["2024-05-17 16:00"]


def test_a_span_from_the_middle_of_a_month_begins_with_the_next() -> None:
    months = found(Interval.MONTH_1, span("2024-05-02", "2024-07-02"))

    assert dates(months.opens_ns) == ["2024-06-01", "2024-07-01"]


@pytest.mark.parametrize("kind", [EQUITY, CRYPTO, FX])
@pytest.mark.parametrize("interval", list(Interval))
@pytest.mark.parametrize("start", ["2024-05-06", "2024-05-01", "2024-05-08 15:07"])
def test_an_empty_span_has_no_bars(
    kind: AssetClass, interval: Interval, start: str
) -> None:
    assert len(found(interval, span(start, start), YEAR, kind)) == 0


def test_a_weekend_has_no_bars() -> None:
    weekend = span("2024-05-11", "2024-05-13")

    assert len(found(Interval.DAY_1, weekend)) == 0
    assert len(found(Interval.MINUTE_1, weekend)) == 0


def test_crypto_never_sleeps() -> None:
    hours = found(Interval.HOUR_1, span("2024-03-09", "2024-03-12"), None, CRYPTO)
    days = found(Interval.DAY_1, span("2024-12-24", "2024-12-27"), None, CRYPTO)
    weeks = found(Interval.WEEK_1, span("2024-12-23", "2025-01-06"), None, CRYPTO)

    assert len(hours) == 72
    assert dates(days.opens_ns) == ["2024-12-24", "2024-12-25", "2024-12-26"]
    assert dates(weeks.closes_ns) == ["2024-12-30", "2025-01-06"]


def test_bars_round_the_clock_are_on_the_clock() -> None:
    bars = found(
        Interval.MINUTE_15, span("2024-05-06 10:07", "2024-05-06 10:46"), None, CRYPTO
    )

    assert texts(bars.opens_ns) == [
        "2024-05-06 10:15",
        "2024-05-06 10:30",
        "2024-05-06 10:45",
    ]


@pytest.mark.parametrize(
    ("friday_turn", "monday_in_london"),
    [
        ("2024-01-12 22:00", "2024-01-15 00:00"),
        ("2024-03-08 22:00", "2024-03-11 00:00"),
        ("2024-03-15 21:00", "2024-03-18 00:00"),
        ("2024-07-12 21:00", "2024-07-14 23:00"),
        ("2024-10-25 21:00", "2024-10-28 00:00"),
        ("2024-11-01 21:00", "2024-11-04 00:00"),
    ],
)
def test_currencies_rest_from_five_in_new_york_until_london_has_monday(
    friday_turn: str, monday_in_london: str
) -> None:
    around = Span(ns(friday_turn) - DAY_NS, ns(monday_in_london) + DAY_NS)

    week = found(Interval.HOUR_1, around, None, FX)

    (gap,) = np.flatnonzero(np.diff(week.opens_ns) > HOUR_NS)
    assert texts(week.closes_ns[[gap]]) == [friday_turn]
    assert texts(week.opens_ns[[gap + 1]]) == [monday_in_london]
    assert len(week) == 48


def test_currencies_rest_at_new_year_and_christmas() -> None:
    days = found(Interval.DAY_1, span("2024-12-23", "2025-01-03"), None, FX)
    hours = found(
        Interval.HOUR_1,
        span("2024-12-24 17:00", "2024-12-25 17:00", NEW_YORK),
        None,
        FX,
    )

    assert "2024-12-25" not in dates(days.opens_ns)
    assert "2025-01-01" not in dates(days.opens_ns)
    assert len(days) == 7
    assert len(hours) == 0


def test_a_currency_day_is_over_when_every_vendor_has_ended_it() -> None:
    friday = found(Interval.DAY_1, span("2024-07-12", "2024-07-15"), None, FX)

    assert dates(friday.opens_ns) == ["2024-07-12"]
    assert dates(friday.closes_ns) == ["2024-07-13"]


def test_nobody_knows_when_a_future_trades_within_a_day() -> None:
    day = span("2024-05-06", "2024-05-07")

    assert grid(AssetClass.FUTURE, Interval.MINUTE_5, day, YEAR) is None
    assert len(found(Interval.DAY_1, day, YEAR, AssetClass.FUTURE)) == 1


@pytest.mark.parametrize("kind", [EQUITY, AssetClass.INDEX, AssetClass.FUTURE])
def test_without_a_calendar_nobody_knows(kind: AssetClass) -> None:
    assert grid(kind, Interval.DAY_1, span("2024-05-06", "2024-05-07"), None) is None


@pytest.mark.parametrize("interval", [Interval.DAY_1, Interval.MINUTE_1])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2023-12-01", "2023-12-20"),
        ("2024-12-20", "2025-01-10"),
        ("2025-02-01", "2025-02-10"),
    ],
)
def test_outside_of_what_the_calendar_covers_nobody_knows(
    interval: Interval, start: str, end: str
) -> None:
    assert grid(EQUITY, interval, span(start, end), YEAR) is None


def test_minutes_before_the_calendar_begins_are_not_known() -> None:
    stretch = span("2023-12-29", "2024-01-05")

    assert grid(EQUITY, Interval.MINUTE_1, stretch, YEAR) is None


def test_of_days_those_that_the_calendar_covers_are_known() -> None:
    days = found(Interval.DAY_1, span("1990-01-01", "2024-01-05"))

    assert dates(days.opens_ns) == ["2024-01-02", "2024-01-03", "2024-01-04"]


def test_a_span_of_which_only_holidays_are_known_is_not_known_to_be_empty() -> None:
    assert grid(EQUITY, Interval.DAY_1, span("1990-01-01", "2024-01-02"), YEAR) is None


def test_a_month_of_which_the_calendar_covers_a_part_is_left_out() -> None:
    late = sessions("2024-01-10", "2024-12-31")

    months = found(Interval.MONTH_1, span("2023-01-01", "2024-04-01"), late)
    weeks = found(Interval.WEEK_1, span("2023-01-01", "2024-01-23"), late)

    assert dates(months.opens_ns) == ["2024-02-01", "2024-03-01"]
    assert dates(weeks.opens_ns) == ["2024-01-15", "2024-01-22"]


@pytest.mark.parametrize("kind", [EQUITY, CRYPTO, FX])
@pytest.mark.parametrize("interval", list(Interval))
def test_two_centuries_are_cheap(kind: AssetClass, interval: Interval) -> None:
    calendar = centuries()
    # The zones of New York and of this calendar are read once.
    found(Interval.DAY_1, span("2024-05-06", "2024-05-07"), None, FX)
    stretch = span("1870-01-05", "2069-12-01")

    began = time.process_time()
    bars = grid(kind, interval, stretch, calendar)
    took = time.process_time() - began

    assert took < 2
    assert bars is None or len(bars) <= 4_000_000
    assert bars is not None or interval.intraday


@given(
    st.sampled_from([EQUITY, CRYPTO, FX]),
    st.sampled_from(list(Interval)),
    st.integers(ns("2024-01-02") // MINUTE_NS, ns("2024-11-20") // MINUTE_NS),
    st.integers(0, 14 * 24 * 60),
    st.integers(0, 14 * 24 * 60),
)
def test_a_span_has_the_bars_of_its_parts(
    kind: AssetClass, interval: Interval, start: int, left: int, right: int
) -> None:
    edges = [start * MINUTE_NS, (start + left) * MINUTE_NS]
    edges.append(edges[1] + right * MINUTE_NS)

    whole = found(interval, Span(edges[0], edges[2]), YEAR, kind)
    parts = [found(interval, Span(a, b), YEAR, kind) for a, b in pairwise(edges)]

    assert whole.opens_ns.tolist() == [t for p in parts for t in p.opens_ns.tolist()]
    assert whole.closes_ns.tolist() == [t for p in parts for t in p.closes_ns.tolist()]
    assert np.all(np.diff(whole.opens_ns) > 0)
    assert np.all(whole.closes_ns > whole.opens_ns)


def test_missing_bars_on_both_sides_of_a_weekend_are_one_stretch() -> None:
    days = found(Interval.DAY_1, span("2024-05-06", "2024-05-18"))
    have = times("2024-05-06", "2024-05-07", "2024-05-15", "2024-05-16", "2024-05-17")

    assert missing_spans(days, have, Interval.DAY_1) == [
        span("2024-05-08", "2024-05-15")
    ]


def test_a_missing_bar_in_the_middle_parts_nothing_else() -> None:
    days = found(Interval.DAY_1, span("2024-05-06", "2024-05-11"))
    have = times("2024-05-07", "2024-05-09")

    assert missing_spans(days, have, Interval.DAY_1) == [
        span("2024-05-06", "2024-05-07"),
        span("2024-05-08", "2024-05-09"),
        span("2024-05-10", "2024-05-11"),
    ]


def test_a_missing_month_lasts_until_the_next() -> None:
    months = found(Interval.MONTH_1, span("2024-01-01", "2024-04-01"))

    assert missing_spans(
        months, times("2024-01-01", "2024-03-01"), Interval.MONTH_1
    ) == [span("2024-02-01", "2024-03-01")]


def test_nothing_is_missing_if_all_is_there() -> None:
    days = found(Interval.DAY_1, span("2024-05-06", "2024-05-11"))
    nothing = np.empty(0, np.int64)

    assert missing_spans(days, days.opens_ns, Interval.DAY_1) == []
    assert missing_spans(days.first(0), nothing, Interval.DAY_1) == []


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_missing_stretches_hold_exactly_the_missing_bars(
    wanted: set[int], have: set[int]
) -> None:
    bars = grid_of(np.array(sorted(wanted), np.int64) * DAY_NS)
    given_ns = np.array(sorted(have), np.int64) * DAY_NS

    spans = missing_spans(bars, given_ns, Interval.DAY_1)

    missing = bars.within(spans).opens_ns // DAY_NS
    assert set(missing.tolist()) == wanted - have


def test_a_grid_can_be_cut() -> None:
    bars = grid_of(np.arange(5), 1)

    assert bars.first(2).opens_ns.tolist() == [0, 1]
    assert bars.last(2).opens_ns.tolist() == [3, 4]
    assert bars.last(9).opens_ns.tolist() == [0, 1, 2, 3, 4]
    assert bars.last(0).opens_ns.tolist() == []
    assert bars.due(3).opens_ns.tolist() == [0, 1, 2]
