"""Use is remembered by the hour for four weeks, and as rates that fade."""

from __future__ import annotations

from math import log

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.domain.interval import DAY_NS, HOUR_NS, SECOND_NS
from ingestion_server.ports.budget import Counts
from ingestion_server.quota.history import HALF_LIVES_SECONDS, KEPT_HOURS, History

short = settings(deadline=None, max_examples=50, database=None)
MONDAY = 20_000 * DAY_NS
"""Some midnight."""
half_lives = pytest.mark.parametrize("half_life", HALF_LIVES_SECONDS)


def used_daily(history: History, hours: dict[int, int], days: int) -> None:
    """Use units at some hours of each day, from `MONDAY` on."""
    for day in range(days):
        for hour, units in hours.items():
            history.add(1, units, 0.0, MONDAY + day * DAY_NS + hour * HOUR_NS)


def profile(
    history: History, wall_ns: int, counts: Counts = Counts.UNITS
) -> list[float]:
    """Return the profile, which there must be."""
    found = history.profile(counts, wall_ns)
    assert found is not None
    assert len(found) == 24
    return list(found)


def hours(history: History) -> list[tuple[int, int, int]]:
    """Return hours since `MONDAY`, with their calls and units."""
    first = MONDAY // HOUR_NS
    return [(hour - first, *used) for hour, *used in history.dump()["hours"]]


@half_lives
def test_a_burst_fades_by_half_each_half_life(half_life: float) -> None:
    history = History()
    history.add(10, 30, 1000.0, MONDAY)

    for halvings in (0, 1, 2, 10):
        rate = history.rate(Counts.CALLS, half_life, 1000.0 + halvings * half_life)
        assert rate == pytest.approx(10 * log(2) / half_life / 2**halvings)
    assert history.rate(Counts.UNITS, half_life, 1000.0) == pytest.approx(
        30 * log(2) / half_life
    )


@half_lives
def test_a_steady_stream_is_half_seen_after_one_half_life(half_life: float) -> None:
    history = History()
    step = half_life / 1000

    for index in range(1, 10_001):
        history.add(1, 5, 1000.0 + index * step, MONDAY)
        if index == 1000:
            early = history.rate(Counts.UNITS, half_life, 1000.0 + half_life)
    late = history.rate(Counts.UNITS, half_life, 1000.0 + 10 * half_life)

    assert early == pytest.approx(0.5 * 5 / step, rel=0.01)
    assert late == pytest.approx(5 / step, rel=0.01)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 9)), max_size=20))
@short
def test_a_rate_is_the_sum_of_what_is_left_of_each_burst(
    bursts: list[tuple[float, int]],
) -> None:
    history = History()
    for at, units in sorted(bursts):
        history.add(1, units, at, MONDAY)

    for half_life in HALF_LIVES_SECONDS:
        rate = history.rate(Counts.UNITS, half_life, 1e4)
        left = sum(units * 2 ** ((at - 1e4) / half_life) for at, units in bursts)
        assert rate == pytest.approx(left * log(2) / half_life)


def test_nothing_was_used_before_the_first_call() -> None:
    history = History()

    assert history.rate(Counts.CALLS, 60.0, 5.0) == 0
    assert history.profile(Counts.CALLS, MONDAY) is None


def test_calls_and_units_are_totalled_by_the_hour() -> None:
    history = History()

    history.add(1, 5, 0.0, MONDAY)
    history.add(2, 7, 1.0, MONDAY + HOUR_NS - 1)
    history.add(1, 1, 2.0, MONDAY + HOUR_NS)

    assert hours(history) == [(0, 3, 12), (1, 1, 1)]


def test_a_clock_that_is_set_back_adds_to_the_older_hour() -> None:
    history = History()
    history.add(1, 1, 0.0, MONDAY)
    history.add(1, 1, 1.0, MONDAY + 5 * HOUR_NS)

    history.add(1, 3, 2.0, MONDAY)
    history.add(1, 1, 3.0, MONDAY + 5 * HOUR_NS)

    assert hours(history) == [(0, 2, 4), (5, 2, 2)]


def test_four_weeks_are_kept() -> None:
    history = History()

    for hour in range(KEPT_HOURS + 100):
        history.add(1, 1, 0.0, MONDAY + hour * HOUR_NS)

    assert [hour for hour, _, _ in hours(history)] == list(range(100, KEPT_HOURS + 100))


def test_an_hour_older_than_all_that_are_kept_is_not_remembered() -> None:
    history = History()
    for hour in range(KEPT_HOURS):
        history.add(1, 1, 0.0, MONDAY + hour * HOUR_NS)
    before = history.dump()["hours"]

    history.add(1, 1, 0.0, MONDAY - HOUR_NS)

    assert history.dump()["hours"] == before


def test_a_clock_that_runs_ahead_for_a_moment_takes_little_with_it() -> None:
    history = History()
    used_daily(history, dict.fromkeys(range(24), 6), days=28)
    now = MONDAY + 28 * DAY_NS

    history.add(1, 1, 0.0, now + 9000 * DAY_NS)
    history.add(1, 1, 1.0, now)

    assert len(hours(history)) == KEPT_HOURS
    assert profile(history, now) == pytest.approx([6.0] * 24)


@pytest.mark.parametrize("counts", Counts)
def test_three_full_days_make_a_profile(counts: Counts) -> None:
    history = History()
    used_daily(history, {0: 4, 9: 8}, days=3)

    assert history.profile(counts, MONDAY + 3 * DAY_NS - 1) is None
    found = history.profile(counts, MONDAY + 3 * DAY_NS)

    usual = {Counts.CALLS: (1, 1), Counts.UNITS: (4, 8)}[counts]
    assert found is not None
    assert (found[0], found[9]) == pytest.approx(usual)
    assert sum(found) == pytest.approx(sum(usual))


def test_the_newest_day_counts_most() -> None:
    peaks = []

    for busy in range(3):
        history = History()
        for day in range(3):
            units = 100 if day == busy else 0
            history.add(1, units, 0.0, MONDAY + day * DAY_NS)
        peaks.append(profile(history, MONDAY + 3 * DAY_NS)[0])

    assert peaks == pytest.approx([49 / 2.19, 70 / 2.19, 100 / 2.19])


def test_hours_without_calls_count_but_not_those_before_the_first() -> None:
    history = History()
    # On the first day only from noon on.
    history.add(1, 12, 0.0, MONDAY + 12 * HOUR_NS)
    for day in (1, 2, 3):
        history.add(1, 6, 0.0, MONDAY + day * DAY_NS)

    found = profile(history, MONDAY + 3 * DAY_NS + 12 * HOUR_NS)

    assert found[0] == pytest.approx(6)
    assert found[12] == pytest.approx(12 * 0.49 / 2.19)


def test_the_present_hour_does_not_count_until_it_is_over() -> None:
    history = History()
    used_daily(history, {0: 10}, days=3)
    now = MONDAY + 3 * DAY_NS

    history.add(1, 1000, 0.0, now)

    assert profile(history, now + HOUR_NS - 1)[0] == pytest.approx(10)
    assert profile(history, now + HOUR_NS)[0] > 300


def test_use_that_ended_fades_and_is_no_profile_after_four_weeks() -> None:
    history = History()
    used_daily(history, {8: 100}, days=3)
    end = MONDAY + 3 * DAY_NS

    assert profile(history, end + 7 * DAY_NS)[8] == pytest.approx(5.57, abs=0.01)
    assert history.profile(Counts.UNITS, end + 28 * DAY_NS) is None


def test_hours_and_rates_go_on_in_another_process() -> None:
    history, other = History(), History()
    used_daily(history, {3: 7}, days=4)
    history.add(2, 20, 500.0, MONDAY + 4 * DAY_NS)
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(history.dump()))

    # The clock of the other began 490 seconds later.
    other.restore(sent, offset_seconds=-490.0)

    for counts in Counts:
        for half_life in HALF_LIVES_SECONDS:
            assert other.rate(counts, half_life, 70.0) == pytest.approx(
                history.rate(counts, half_life, 560.0)
            )
    now = MONDAY + 5 * DAY_NS
    assert profile(other, now) == profile(history, now)
    other.add(1, 1, 70.0, MONDAY + 4 * DAY_NS)
    assert hours(other)[-1] == (96, 3, 21)


def test_rates_are_forgotten_if_the_other_clock_is_not_known() -> None:
    history = History()
    history.add(2, 20, 500.0, MONDAY)

    history.restore(history.dump())

    assert history.rate(Counts.CALLS, 60.0, 500.0) == 0
    assert hours(history) == [(0, 2, 20)]
    history.add(1, 1, 3.0, MONDAY)
    assert history.rate(Counts.CALLS, 60.0, 3.0) == pytest.approx(log(2) / 60)


def test_a_rate_restored_from_the_future_does_not_grow() -> None:
    history, other = History(), History()
    history.add(2, 20, 500.0, MONDAY)
    other.restore(history.dump(), offset_seconds=1e6)

    assert other.rate(Counts.CALLS, 60.0, 0.0) == pytest.approx(2 * log(2) / 60)
    other.add(0, 0, 10.0, MONDAY)
    assert other.rate(Counts.CALLS, 60.0, 70.0) == pytest.approx(log(2) / 60)


def test_a_half_life_that_is_gone_is_not_restored() -> None:
    history = History()
    record = history.dump()
    record["rates"].append((7.0, 1.0, 1.0))

    history.restore(record, offset_seconds=0.0)

    assert [half_life for half_life, _, _ in history.dump()["rates"]] == list(
        HALF_LIVES_SECONDS
    )


def test_more_hours_than_are_kept_are_not_restored() -> None:
    history = History()
    record = history.dump()
    first = MONDAY // HOUR_NS
    record["hours"] = [(first + hour, 1, 1) for hour in range(KEPT_HOURS + 5)]

    history.restore(record)

    assert [hour for hour, _, _ in hours(history)] == list(range(5, KEPT_HOURS + 5))


def test_a_second_is_not_an_hour() -> None:
    history = History()

    for second in range(120):
        history.add(1, 1, float(second), MONDAY + second * SECOND_NS)

    assert hours(history) == [(0, 120, 120)]
