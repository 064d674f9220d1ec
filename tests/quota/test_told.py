"""What vendors tell in headers, believed only where it makes sense."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.ports.budget import Budget, Period, Window, WindowKind
from ingestion_server.quota import told
from ingestion_server.quota.told import Reading
from tests.clocks import NOW_NS

NOW_SECONDS = NOW_NS // 10**9
MINUTE = Window(
    name="minute",
    limit=60,
    seconds=60.0,
    limit_header="x-limit",
    remaining_header="x-left",
    reset_header="x-reset",
)
MONTH = Window(
    name="month",
    limit=1000,
    kind=WindowKind.FIXED,
    period=Period.MONTH,
    remaining_header="x-month-left",
    reset_header="x-month-reset",
)
BUDGET = Budget(windows=(MINUTE, MONTH), used_header="x-used")


def resets_in(reset: str) -> float | None:
    """Return what is made of a reset."""
    headers = {"x-left": "1", "x-reset": reset}
    (reading,) = told.readings(BUDGET, headers, NOW_NS)
    return reading.resets_in_seconds


def test_all_windows_that_are_told_of_are_read() -> None:
    headers = {"x-limit": "50", "x-left": "7", "x-reset": "30", "x-month-left": "0"}

    assert told.readings(BUDGET, headers, NOW_NS) == [
        Reading("minute", 50, 7, 30.0),
        Reading("month", None, 0, None),
    ]


@pytest.mark.parametrize("headers", [{}, {"x-reset": "30"}, {"x-left": "many"}])
def test_a_window_of_which_nothing_is_told_is_not_there(
    headers: dict[str, str],
) -> None:
    assert told.readings(BUDGET, headers, NOW_NS) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("7.9", 7),
        ("0", 0),
        ("1000000000000", 10**12),
        ("1000000000001", None),
        ("1e300", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("7, 100;w=60", None),
    ],
)
def test_only_whole_numbers_that_make_sense_are_believed(
    text: str, number: int | None
) -> None:
    assert told.units(BUDGET, {"x-used": text}) == number


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("30", 30.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("3600", 60.0),  # A minute is never longer than a minute.
        (f"{NOW_SECONDS + 20}", 20.0),
        (f"{(NOW_SECONDS + 20) * 1000}", 20.0),
        (f"{NOW_SECONDS - 20}", 0.0),
        (f"{NOW_SECONDS + 10**6}", 60.0),
        ("soon", None),
        ("inf", None),
    ],
)
def test_a_reset_is_a_point_in_time_or_seconds_from_now(
    reset: str, seconds: float | None
) -> None:
    assert resets_in(reset) == seconds


def test_a_month_resets_within_the_longest_month() -> None:
    headers = {"x-month-left": "1", "x-month-reset": f"{NOW_SECONDS + 10**8}"}

    (reading,) = told.readings(BUDGET, headers, NOW_NS)

    assert reading.resets_in_seconds == 31 * 86_400.0


def test_the_cost_of_a_call_is_told_only_where_a_header_is_known() -> None:
    assert told.units(BUDGET, {}) is None
    assert told.units(Budget(), {"": "5"}) is None


@pytest.mark.parametrize(
    ("budget", "listens"),
    [
        (BUDGET, True),
        (Budget(used_header="x-used"), True),
        (Budget(windows=(MONTH,)), True),
        (Budget(windows=(Window(name="a", limit=1, limit_header="x-limit"),)), True),
        # When it resets is of no use if nobody knows what is left.
        (Budget(windows=(Window(name="a", limit=1, reset_header="x-reset"),)), False),
        (Budget(), False),
    ],
)
def test_one_listens_where_something_may_be_told(
    budget: Budget, *, listens: bool
) -> None:
    assert told.listens(budget) is listens


@given(
    st.dictionaries(
        st.sampled_from(["x-limit", "x-left", "x-reset", "x-used", "x-month-left"]),
        st.one_of(st.text(max_size=20), st.floats().map(str), st.integers().map(str)),
    ),
    st.integers(0, 2 * NOW_NS),
)
def test_whatever_is_told_is_a_number_that_can_be_used(
    headers: dict[str, str], wall_ns: int
) -> None:
    readings = told.readings(BUDGET, headers, wall_ns)
    units = told.units(BUDGET, headers)

    numbers = [units, *(number for each in readings for number in each[1:3])]
    assert all(number is None or 0 <= number <= 10**12 for number in numbers)
    for reading in readings:
        resets = reading.resets_in_seconds
        assert resets is None or (math.isfinite(resets) and resets >= 0.0)
