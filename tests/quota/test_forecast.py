"""What is left runs out when what is expected has reached it, and not before."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.domain.interval import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from ingestion_server.quota.forecast import (
    FARTHEST_NS,
    exhausts_at_ns,
    expected,
    half_life_seconds,
)
from ingestion_server.quota.history import HALF_LIVES_SECONDS

short = settings(deadline=None, max_examples=300, database=None)
MIDNIGHT = 20_000 * DAY_NS
OFFICE = [100.0 if 8 <= hour < 16 else 0.0 for hour in range(24)]
"""Nothing is used but at eight hours of the day."""

rates = st.floats(0, 1e6)
numbers = st.integers(-5, 10**9)
nows = st.integers(MIDNIGHT, MIDNIGHT + DAY_NS)
lengths = st.none() | st.integers(-HOUR_NS, 40 * DAY_NS)
profiles = st.none() | st.lists(
    st.just(0.0) | st.floats(0, 1e6), min_size=24, max_size=24
)


def at(hour: float, day: int = 0) -> int:
    """Return a time of day."""
    return MIDNIGHT + day * DAY_NS + round(hour * HOUR_NS)


def test_without_a_profile_the_present_rate_goes_on() -> None:
    assert expected(None, 2.0, at(7.3), at(7.3) + 90 * SECOND_NS) == pytest.approx(180)
    assert expected(None, 2.0, at(0), at(0, day=30)) == pytest.approx(30 * 86_400 * 2)

    found = exhausts_at_ns(180, None, 2.0, at(7.3), None)

    assert found == pytest.approx(at(7.3) + 90 * SECOND_NS, abs=2)


def test_nothing_is_expected_of_the_past() -> None:
    assert expected(OFFICE, 2.0, at(9), at(9)) == 0
    assert expected(None, 2.0, at(9), at(8)) == 0


def test_hours_are_as_usual_in_part_and_in_whole() -> None:
    usual = 100 / 3600

    assert expected(OFFICE, usual, at(9.5), at(9.75)) == pytest.approx(25)
    assert expected(OFFICE, usual, at(9.5), at(12)) == pytest.approx(250)
    assert expected(OFFICE, usual, at(9.5), at(20)) == pytest.approx(650)
    assert expected(OFFICE, usual, at(9.5), at(9.25, day=3)) == pytest.approx(2375)


@pytest.mark.parametrize(
    ("times", "scale"), [(0.0, 0.2), (0.1, 0.2), (0.5, 0.5), (3.0, 3.0), (100.0, 5.0)]
)
def test_the_present_rate_bends_the_profile_within_bounds(
    times: float, scale: float
) -> None:
    found = expected(OFFICE, times * 100 / 3600, at(9), at(9, day=1))

    assert found == pytest.approx(800 * scale)


def test_the_rate_does_not_bend_the_profile_in_an_idle_hour() -> None:
    assert expected(OFFICE, 50.0, at(5), at(10)) == pytest.approx(200)


def test_it_runs_out_in_the_hour_that_is_busy_enough() -> None:
    usual = 100 / 3600

    assert exhausts_at_ns(150, OFFICE, 0.0, at(5), None) == at(9.5)
    assert exhausts_at_ns(150, OFFICE, usual, at(15), None) == at(8.5, day=1)
    assert exhausts_at_ns(1650, OFFICE, usual, at(8), None) == at(8.5, day=2)


def test_it_runs_out_at_the_first_moment_even_if_idle_hours_follow() -> None:
    usual = 100 / 3600

    assert exhausts_at_ns(100, OFFICE, usual, at(15), None) == at(16)
    assert exhausts_at_ns(800, OFFICE, usual, at(8), None) == at(16)
    assert exhausts_at_ns(8000, OFFICE, usual, at(8), None) == at(16, day=9)


def test_what_resets_before_does_not_run_out() -> None:
    assert exhausts_at_ns(150, OFFICE, 0.0, at(5), at(9.5) + 1) == at(9.5)
    assert exhausts_at_ns(150, OFFICE, 0.0, at(5), at(9.5)) is None
    assert exhausts_at_ns(150, OFFICE, 0.0, at(5), at(4)) is None


@pytest.mark.parametrize("remaining", [0, -1])
def test_what_has_run_out_has_run_out_now(remaining: int) -> None:
    assert exhausts_at_ns(remaining, None, 0.0, at(5), at(4)) == at(5)


def test_what_is_not_used_never_runs_out() -> None:
    assert exhausts_at_ns(1, None, 0.0, at(5), None) is None
    assert exhausts_at_ns(1, [0.0] * 24, 7.0, at(5), None) is None
    assert exhausts_at_ns(10**18, None, 5e-324, at(5), None) is None


def test_nobody_looks_farther_than_400_days() -> None:
    daily = 1 / 86_400

    assert exhausts_at_ns(399, None, daily, at(5), None) == pytest.approx(
        at(5, day=399), abs=MINUTE_NS
    )
    assert exhausts_at_ns(401, None, daily, at(5), None) is None
    assert exhausts_at_ns(401, None, daily, at(5), at(5, day=500)) is not None


@given(numbers, profiles, rates, rates, nows, lengths)
@short
def test_more_use_never_makes_it_last_longer(
    remaining: int,
    profile: list[float] | None,
    rate: float,
    other: float,
    now: int,
    length: int | None,
) -> None:
    until = None if length is None else now + length
    low, high = sorted((rate, other))

    slow = exhausts_at_ns(remaining, profile, low, now, until)
    fast = exhausts_at_ns(remaining, profile, high, now, until)

    assert slow is None or (fast is not None and fast <= slow)


@given(numbers, numbers, profiles, rates, nows, lengths)
@short
def test_more_that_is_left_never_runs_out_earlier(
    remaining: int,
    other: int,
    profile: list[float] | None,
    rate: float,
    now: int,
    length: int | None,
) -> None:
    until = None if length is None else now + length
    little, much = sorted((remaining, other))

    early = exhausts_at_ns(little, profile, rate, now, until)
    late = exhausts_at_ns(much, profile, rate, now, until)

    assert late is None or (early is not None and early <= late)


@given(st.integers(1, 10**9), profiles, rates, nows, lengths)
@short
def test_it_runs_out_when_as_much_is_expected(
    remaining: int,
    profile: list[float] | None,
    rate: float,
    now: int,
    length: int | None,
) -> None:
    until = None if length is None else now + length
    ends = now + FARTHEST_NS if until is None else until

    found = exhausts_at_ns(remaining, profile, rate, now, until)

    if found is None:
        assert expected(profile, rate, now, ends) <= remaining * (1 + 1e-9)
        return
    assert now < found < ends
    # A nanosecond is as exact as it gets.
    busiest = 5 * max(profile) if profile else rate * 3600
    slack = remaining * 1e-9 + busiest * 2 / HOUR_NS
    assert expected(profile, rate, now, found) == pytest.approx(remaining, abs=slack)
    assert expected(profile, rate, now, found - 2) <= remaining * (1 + 1e-9)


@given(profiles, rates, nows, st.integers(0, 9 * DAY_NS), st.integers(0, 9 * DAY_NS))
@short
def test_more_time_is_never_expected_to_use_less(
    profile: list[float] | None, rate: float, now: int, length: int, other: int
) -> None:
    less, more = (
        expected(profile, rate, now, now + each) for each in sorted((length, other))
    )

    assert 0 <= less <= more * (1 + 1e-12)


@pytest.mark.parametrize(
    ("window_seconds", "half_life"),
    [
        (1.0, 60.0),
        (600.0, 60.0),
        (601.0, 300.0),
        (6 * 3600.0, 300.0),
        (86_400.0, 3600.0),
        (31 * 86_400.0, 3600.0),
    ],
)
def test_longer_windows_go_by_slower_rates(
    window_seconds: float, half_life: float
) -> None:
    assert half_life_seconds(window_seconds) == half_life
    assert half_life in HALF_LIVES_SECONDS
