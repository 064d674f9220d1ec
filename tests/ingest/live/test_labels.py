"""Which bar a trade belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.grid import grid
from ingestion_server.domain.instrument import AssetClass, instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import Span
from ingestion_server.ingest.live.labels import BarLabels
from tests.builders import NEW_YORK, ns, sessions, texts

EXTENDED, REGULAR = TradingHours.EXTENDED, TradingHours.REGULAR
HOUR, HALF_HOUR, MINUTE = Interval.HOUR_1, Interval.MINUTE_30, Interval.MINUTE_1
EQUITY = instrument("AAPL")
CALENDAR = sessions("2024-06-03", "2024-06-14", half=["2024-06-07"])
TOKYO = sessions(
    "2024-06-03",
    "2024-06-14",
    zone="Asia/Tokyo",
    hours=("09:00", "15:30"),
    pause=("11:30", "12:30"),
)
MUMBAI = sessions(
    "2024-06-03", "2024-06-14", zone="Asia/Kolkata", hours=("09:15", "15:30")
)


def bar(labels: BarLabels, moment: str, zone: str = NEW_YORK) -> tuple[str, str] | None:
    """Tell the bar around a moment on the wall clock, as hours and minutes."""
    open_ns = labels.open_ns(ns(f"2024-06-{moment}", zone))
    if open_ns is None:
        return None
    first, last = texts([open_ns, labels.end_ns(open_ns)], zone)
    return first[11:], last[11:]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("03 04:00", ("04:00", "05:00")),
        ("03 09:29:59", ("09:00", "09:30")),
        ("03 09:30", ("09:30", "10:30")),
        ("03 15:45", ("15:30", "16:00")),
        ("03 16:00", ("16:00", "17:00")),
        ("03 19:59", ("19:00", "20:00")),
        ("07 12:59", ("12:30", "13:00")),
        ("07 13:01", ("13:00", "14:00")),
        ("08 12:34", ("12:00", "13:00")),
        ("29 09:45", ("09:00", "10:00")),
    ],
)
def test_hours_are_anchored_at_the_open_and_cut_where_a_session_begins_or_ends(
    moment: str, expected: tuple[str, str]
) -> None:
    assert bar(BarLabels(HOUR, EXTENDED, EQUITY, CALENDAR), moment) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("03 09:29:59", None),
        ("03 09:30", ("09:30", "10:30")),
        ("03 15:59:59", ("15:30", "16:00")),
        ("03 16:00", None),
        ("07 13:00", None),
        ("08 12:00", None),
        ("29 03:15", ("03:00", "04:00")),
    ],
)
def test_outside_of_regular_hours_no_trade_counts_unless_nobody_knows_them(
    moment: str, expected: tuple[str, str] | None
) -> None:
    assert bar(BarLabels(HOUR, REGULAR, EQUITY, CALENDAR), moment) == expected


def test_before_the_calendar_begins_the_clock_decides() -> None:
    labels = BarLabels(HOUR, REGULAR, EQUITY, CALENDAR)

    assert bar(labels, "01 09:45") == ("09:00", "10:00")


def test_after_a_midday_break_hours_begin_anew() -> None:
    labels = BarLabels(HOUR, REGULAR, EQUITY, TOKYO)
    moments = ["11:29", "11:30", "12:30", "15:29"]

    assert [bar(labels, f"04 {each}", "Asia/Tokyo") for each in moments] == [
        ("11:00", "11:30"),
        None,
        ("12:30", "13:30"),
        ("14:30", "15:30"),
    ]


def test_half_hours_are_anchored_at_an_odd_open_too() -> None:
    labels = BarLabels(HALF_HOUR, REGULAR, EQUITY, MUMBAI)

    assert bar(labels, "04 09:50", "Asia/Kolkata") == ("09:45", "10:15")


@pytest.mark.parametrize("symbol", ["EUR/USD", "BTC/USD"])
def test_pairs_have_the_hours_of_the_clock(symbol: str) -> None:
    labels = BarLabels(HOUR, REGULAR, instrument(symbol), CALENDAR)

    assert bar(labels, "08 09:45") == ("09:00", "10:00")


def test_without_a_calendar_every_trade_counts() -> None:
    labels = BarLabels(MINUTE, REGULAR, EQUITY, None)

    assert bar(labels, "08 03:00:30") == ("03:00", "03:01")


def test_bars_of_a_day_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter than a day"):
        BarLabels(Interval.DAY_1, REGULAR, EQUITY, None)


@pytest.mark.parametrize("interval", [i for i in Interval if i.intraday])
@pytest.mark.parametrize("calendar", [CALENDAR, TOKYO, MUMBAI])
def test_regular_bars_are_those_that_fetch_expects(interval, calendar) -> None:
    expected = grid(
        AssetClass.EQUITY,
        interval,
        Span(ns("2024-06-03"), ns("2024-06-14")),
        calendar,
    )
    labels = BarLabels(interval, REGULAR, EQUITY, calendar)

    assert expected is not None
    for open_ns, close_ns in zip(
        expected.opens_ns.tolist(), expected.closes_ns.tolist(), strict=True
    ):
        assert labels.open_ns(close_ns - 1) == open_ns
        assert labels.open_ns(open_ns) == open_ns
        assert labels.end_ns(open_ns) == close_ns


@given(
    st.integers(ns("2024-06-01"), ns("2024-06-20")),
    st.sampled_from([i for i in Interval if i.intraday]),
    st.sampled_from([CALENDAR, TOKYO, MUMBAI, None]),
)
def test_bars_touch_each_other_and_a_label_is_its_own_bar(
    time_ns, interval, calendar
) -> None:
    labels = BarLabels(interval, EXTENDED, EQUITY, calendar)

    open_ns = labels.open_ns(time_ns)

    assert open_ns is not None
    end_ns = labels.end_ns(open_ns)
    assert open_ns <= time_ns < end_ns <= open_ns + interval.length_ns
    assert labels.open_ns(end_ns) == end_ns
    assert labels.open_ns(end_ns - 1) == open_ns
    assert BarLabels(interval, EXTENDED, EQUITY, calendar).end_ns(open_ns) == end_ns
