"""The judge is strict to the nanosecond, and never makes an overrun up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.quota.judge import (
    SECOND_NS,
    Bucket,
    Fixed,
    Judge,
    Limit,
    Rolling,
    Violation,
    allowed,
)

NEW_YORK = "America/New_York"
DAY = Fixed(name="day", limit=2, period="day", zone=NEW_YORK)
MONTH = Fixed(name="month", limit=2, period="month", zone=NEW_YORK)
EARLY, LATE = date(2023, 12, 1), date(2025, 2, 2)

Arrivals = list[tuple[int, int]]
"""Times and weights."""

few = st.integers(1, 6)
spans = st.integers(1, 25)
dense: st.SearchStrategy[Arrivals] = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 4)), max_size=25
)


def utc(text: str) -> int:
    """Return a time of UTC as nanoseconds."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp()) * SECOND_NS


edges_of_days = st.builds(
    lambda noon, half_hours, ns: utc(noon) + half_hours * 1800 * SECOND_NS + ns,
    st.sampled_from(
        [
            *("2024-03-10 12:00:00", "2024-11-03 12:00:00", "2024-02-29 12:00:00"),
            *("2024-03-31 12:00:00", "2024-12-31 12:00:00"),
        ]
    ),
    st.integers(-60, 60),
    st.integers(-1, 1),
)


def judged(window: Limit, arrivals: Sequence[tuple[int, int]]) -> list[Violation]:
    """Return what a judge of one window says about these times and weights."""
    judge = Judge([window])
    for at_ns, weight in arrivals:
        judge.arrive(at_ns, calls=weight)
    return judge.violations()


def at(window: Limit, *times_ns: int) -> list[int]:
    """Return when single calls were too much."""
    return [found.at_ns for found in judged(window, [(t, 1) for t in times_ns])]


def beginning(day: date) -> int:
    """Return when a date begins in New York; clocks change at two there."""
    moment = datetime.combine(day, time.min, ZoneInfo(NEW_YORK))
    return int(moment.timestamp()) * SECOND_NS


def test_a_call_leaves_a_rolling_window_after_its_length_and_not_before() -> None:
    minute = Rolling(name="minute", limit=2, span_ns=60 * SECOND_NS)
    leaves = 60 * SECOND_NS

    assert at(minute, 0, 5, leaves) == []
    assert at(minute, 0, 5, leaves - 1) == [leaves - 1]


def test_a_rolling_window_has_no_edge_between_two_minutes() -> None:
    minute = Rolling(name="minute", limit=2, span_ns=60 * SECOND_NS)

    assert at(minute, *(s * SECOND_NS for s in (58, 59, 61, 62))) == [
        61 * SECOND_NS,
        62 * SECOND_NS,
    ]


def test_a_fixed_minute_does_have_that_edge() -> None:
    minute = Fixed(name="minute", limit=2, period="minute")

    assert at(minute, *(s * SECOND_NS for s in (58, 59, 60, 61))) == []
    assert at(minute, *(s * SECOND_NS for s in (57, 58, 59))) == [59 * SECOND_NS]


def test_an_hour_is_one_of_utc_wherever_the_vendor_is() -> None:
    hour = Fixed(name="hour", limit=1, period="hour", zone="Asia/Kolkata")

    assert at(hour, utc("2024-01-01 04:29:59"), utc("2024-01-01 04:30:00")) == [
        utc("2024-01-01 04:30:00")
    ]
    assert at(hour, utc("2024-01-01 04:59:59"), utc("2024-01-01 05:00:00")) == []


@pytest.mark.parametrize(
    ("begins", "ends", "hours"),
    [
        ("2024-03-10 05:00:00", "2024-03-11 04:00:00", 23),
        ("2024-11-03 04:00:00", "2024-11-04 05:00:00", 25),
        ("2024-02-29 05:00:00", "2024-03-01 05:00:00", 24),
        ("2024-12-31 05:00:00", "2025-01-01 05:00:00", 24),
    ],
)
def test_a_day_is_as_long_as_it_is_there(begins: str, ends: str, hours: int) -> None:
    first, last = utc(begins), utc(ends) - 1

    assert last + 1 - first == hours * 3600 * SECOND_NS
    assert at(DAY, first, first, last) == [last]
    assert at(DAY, first - 1, first - 1, first, last, last + 1, last + 1) == []


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ("2024-02-01 05:00:00", "2024-03-01 05:00:00"),
        ("2023-02-01 05:00:00", "2023-03-01 05:00:00"),
        ("2024-03-01 05:00:00", "2024-04-01 04:00:00"),
        ("2024-11-01 04:00:00", "2024-12-01 05:00:00"),
        ("2024-12-01 05:00:00", "2025-01-01 05:00:00"),
    ],
)
def test_a_month_ends_with_its_last_day_there(begins: str, ends: str) -> None:
    first, last = utc(begins), utc(ends) - 1

    assert at(MONTH, first, first, last) == [last]
    assert at(MONTH, first - 1, first - 1, first, last, last + 1, last + 1) == []


def test_a_date_that_comes_twice_is_one_day() -> None:
    """In 2010 the clocks of Newfoundland went back from 00:01 to 23:01."""
    day = Fixed(name="day", limit=1, period="day", zone="America/St_Johns")
    before, between = utc("2010-11-07 02:00:00"), utc("2010-11-07 02:30:30")
    again = utc("2010-11-07 03:00:00")

    assert at(day, before, between) == []
    assert at(day, before, between, again) == [again]


def test_a_bucket_starts_full_and_refills_evenly() -> None:
    bucket = Bucket(name="bucket", limit=3, refill_ns=30)

    assert at(bucket, 0, 0, 0, 10, 20, 30) == []
    assert at(bucket, 0, 0, 0, 9) == [9]
    assert at(bucket, 0, 0, 0, 10, 19) == [19]
    assert at(bucket, 0, 0, 0, 1000, 1000, 1000, 1000) == [1000]


def test_a_bucket_never_rounds_in_anybodys_favour() -> None:
    third = Bucket(name="third", limit=3, refill_ns=10)

    assert at(third, 0, 0, 0, 4, 7, 10) == []
    assert at(third, 0, 0, 0, 3) == [3]
    assert at(third, 0, 0, 0, 4, 6) == [6]


def test_it_tells_how_much_was_too_much() -> None:
    minute = Rolling(name="minute", limit=2, span_ns=60)
    bucket = Bucket(name="bucket", limit=2, refill_ns=60)

    assert judged(minute, [(0, 2), (5, 3), (5, 1)]) == [Violation("minute", 5, 4)]
    assert judged(bucket, [(0, 2), (15, 3)]) == [Violation("bucket", 15, 3)]


def test_calls_and_units_are_counted_by_the_windows_that_mean_them() -> None:
    judge = Judge(
        [
            Rolling(name="calls", limit=2, span_ns=10),
            Rolling(name="units", limit=100, span_ns=10, counts="units"),
        ]
    )

    judge.arrive(0, units=60)
    judge.arrive(1, units=40)
    assert judge.violations() == []
    judge.arrive(2, units=0)
    assert judge.violations() == [Violation("calls", 2, 1)]
    judge.arrive(3, calls=0, units=1)
    assert judge.violations() == [Violation("calls", 2, 1), Violation("units", 3, 1)]


def test_nothing_can_be_given_back() -> None:
    judge = Judge([DAY])

    with pytest.raises(ValueError, match="give anything back"):
        judge.arrive(0, units=-1)
    with pytest.raises(ValueError, match="give anything back"):
        judge.arrive(0, calls=-1)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Rolling, {"limit": 0, "span_ns": 1}),
        (Rolling, {"limit": 1, "span_ns": 0}),
        (Fixed, {"limit": 0, "period": "day"}),
        (Bucket, {"limit": 0, "refill_ns": 1}),
        (Bucket, {"limit": 1, "refill_ns": 0}),
    ],
)
def test_a_window_allows_something_for_some_time(
    kind: Callable[..., Limit], wrong: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        kind(name="wrong", **wrong)


@given(dense, few, spans)
def test_a_rolling_window_is_what_its_definition_says(
    arrivals: Arrivals, limit: int, span: int
) -> None:
    window = Rolling(name="w", limit=limit, span_ns=span)
    inside = {
        end: sum(weight for t, weight in arrivals if end - span < t <= end)
        for end in range(100)
    }
    told = {found.at_ns: found.over for found in judged(window, arrivals)}

    assert told == {
        t: inside[t] - limit for t, weight in arrivals if weight and inside[t] > limit
    }
    # And no stretch that ends between arrivals holds what none of these does.
    assert bool(told) == any(total > limit for total in inside.values())


@given(dense, few, spans)
def test_a_bucket_is_what_every_stretch_of_it_may_hold(
    arrivals: Arrivals, limit: int, refill: int
) -> None:
    window = Bucket(name="w", limit=limit, refill_ns=refill)
    ordered = sorted((t, weight) for t, weight in arrivals if weight)
    over = {
        end: max(
            sum(weight for t, weight in ordered if begin <= t <= end)
            - limit
            - Fraction((end - begin) * limit, refill)
            for begin, _ in ordered
            if begin <= end
        )
        for end, _ in ordered
    }

    told = {found.at_ns: found.over for found in judged(window, arrivals)}

    assert told == {end: -(-most // 1) for end, most in over.items() if most > 0}


@given(dense, few, spans)
def test_a_bucket_is_one_that_is_filled_step_by_step(
    arrivals: Arrivals, limit: int, refill: int
) -> None:
    window = Bucket(name="w", limit=limit, refill_ns=refill)
    weights: Counter[int] = Counter()
    for t, weight in arrivals:
        weights[t] += weight
    level, short = Fraction(limit), []
    for now in range(61):
        level -= weights[now]
        if weights[now] and level < 0:
            short.append(now)
        level = min(Fraction(limit), level + Fraction(limit, refill))

    assert [found.at_ns for found in judged(window, arrivals)] == short


@given(st.lists(st.tuples(edges_of_days, st.integers(1, 4)), max_size=12), few)
@example([(utc("2024-03-11 03:59:59"), 1), (utc("2024-03-10 05:00:00"), 1)], 1)
@example([(utc("2024-11-04 04:59:59"), 1), (utc("2024-11-03 04:00:00"), 1)], 1)
def test_days_and_months_lie_between_the_midnights_of_their_zone(
    arrivals: Arrivals, limit: int
) -> None:
    days = [EARLY + timedelta(n) for n in range((LATE - EARLY).days)]
    for period, firsts in {
        "day": days,
        "month": [day for day in days if day.day == 1],
    }.items():
        edges = [beginning(first) for first in firsts]
        over = {}
        for begin, end in pairwise(edges):
            within = [(t, weight) for t, weight in arrivals if begin <= t < end]
            for t, _ in within:
                used = sum(weight for other, weight in within if other <= t)
                if used > limit:
                    over[t] = used - limit
        window = Fixed(name="w", limit=limit, period=period, zone=NEW_YORK)  # type: ignore[arg-type]

        told = {found.at_ns: found.over for found in judged(window, arrivals)}

        assert told == over


@given(dense, st.randoms(use_true_random=False))
def test_the_order_of_telling_does_not_matter(
    arrivals: Arrivals, random: Random
) -> None:
    windows: list[Limit] = [
        Rolling(name="r", limit=3, span_ns=7),
        Bucket(name="b", limit=2, refill_ns=9),
        Fixed(name="f", limit=4, period="minute"),
    ]
    shuffled = random.sample(arrivals, len(arrivals))

    for window in windows:
        assert judged(window, arrivals) == judged(window, shuffled)


windows_of_all_kinds: st.SearchStrategy[Limit] = st.one_of(
    st.builds(Rolling, name=st.just("w"), limit=few, span_ns=spans),
    st.builds(Bucket, name=st.just("w"), limit=few, refill_ns=spans),
)


@given(windows_of_all_kinds, st.integers(0, 9), st.integers(1, 50))
def test_a_backlog_that_is_let_in_at_once_uses_all_that_is_allowed(
    window: Limit, begin: int, length: int
) -> None:
    judge = Judge([window])
    for now in range(begin, begin + length):
        while not judge.violations():
            judge.arrive(now)
        # The last one was too many.
        judge.arrivals.pop()

    assert len(judge.arrivals) == allowed(window, begin, begin + length)
    assert judge.utilisation(begin, begin + length) == 1


def test_utilisation_is_that_of_the_tightest_window() -> None:
    judge = Judge(
        [
            Rolling(name="second", limit=1, span_ns=SECOND_NS),
            Rolling(name="minute", limit=5, span_ns=60 * SECOND_NS),
            Fixed(name="day", limit=25, period="day"),
        ]
    )
    for second in (0, 1, 2, 3, 60, 119):
        judge.arrive(second * SECOND_NS)

    # 120 calls of the seconds, 10 of the minutes and 25 of the day were allowed.
    assert judge.utilisation(0, 120 * SECOND_NS) == Fraction(6, 10)
    # Of one second, one call: what came before or after is not counted.
    assert judge.utilisation(60 * SECOND_NS, 61 * SECOND_NS) == 1
    assert judge.utilisation(61 * SECOND_NS, 62 * SECOND_NS) == 0


def test_utilisation_compares_units_with_units() -> None:
    judge = Judge(
        [
            Rolling(name="calls", limit=10, span_ns=60),
            Rolling(name="units", limit=100, span_ns=60, counts="units"),
        ]
    )
    for _ in range(3):
        judge.arrive(0, units=30)

    assert judge.utilisation(0, 60) == Fraction(9, 10)


@pytest.mark.parametrize(
    ("begins", "ends", "days", "months"),
    [
        ("2024-03-10 05:00:00", "2024-03-11 04:00:00", 1, 1),
        ("2024-03-10 04:59:59", "2024-03-11 04:00:01", 3, 1),
        ("2024-11-03 04:00:00", "2024-11-04 05:00:00", 1, 1),
        ("2024-02-01 05:00:00", "2024-03-01 05:00:00", 29, 1),
        ("2023-02-01 05:00:00", "2023-03-01 05:00:01", 29, 2),
        ("2024-12-31 05:00:00", "2025-01-01 05:00:01", 2, 2),
    ],
)
def test_days_and_months_allow_once_for_each_that_is_touched(
    begins: str, ends: str, days: int, months: int
) -> None:
    assert allowed(DAY, utc(begins), utc(ends)) == 2 * days
    assert allowed(MONTH, utc(begins), utc(ends)) == 2 * months


def test_utilisation_needs_a_window_and_a_stretch() -> None:
    with pytest.raises(ValueError, match="without windows"):
        Judge([]).utilisation(0, 1)
    with pytest.raises(ValueError, match="empty"):
        Judge([DAY]).utilisation(1, 1)
