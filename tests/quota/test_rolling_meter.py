"""A strict rolling window, as the vendor counts it."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion_server.quota.instant import Instant
from ingestion_server.quota.rolling_meter import MARGIN_SECONDS, RollingMeter
from tests.clocks import NOW_NS, SECOND_NS
from tests.quota.journeys import Journey, Road
from tests.quota.judge import Judge, Rolling

START = Instant(1000.0, NOW_NS, NOW_NS)
DAY_SECONDS = 86_400.0
MARGIN_NS = round(MARGIN_SECONDS * SECOND_NS)
# What rounding to floats may take off the margin.
PATIENT_NS = MARGIN_NS - 1000

moments = st.one_of(
    st.integers(0, 50_000_000),
    st.integers(0, 2 * SECOND_NS),
    st.integers(0, 10 * SECOND_NS),
)
journeys = st.builds(
    Journey,
    pause_ns=st.one_of(moments, st.integers(0, 90 * SECOND_NS)),
    amount=st.integers(1, 4),
    travel_ns=moments,
    thought_ns=moments,
    leaves=st.sampled_from([True, True, True, False]),
    told=st.sampled_from([0, 0, 0, 0, 1, 2, 4, 9]),
    restart=st.sampled_from([False] * 7 + [True]),
    uptime_ns=st.one_of(st.none(), st.integers(0, 120 * SECOND_NS)),
)


def at(seconds: float) -> Instant:
    """Name a moment after the start."""
    return START.at(1000.0 + seconds)


def full(limit: int = 5, seconds: float = 60.0) -> RollingMeter:
    """Return a window that one call in each second has filled."""
    meter = RollingMeter(limit, seconds)
    for second in range(limit):
        meter.debit(second, 1, at(second))
    return meter


def road(limit: int, seconds: float, patient_ns: int | None = PATIENT_NS) -> Road:
    """Lead to a vendor with one rolling window."""
    span_ns = round(seconds * SECOND_NS)
    window = Rolling(name="window", limit=limit, span_ns=span_ns, counts="units")
    return Road(
        lambda: [RollingMeter(limit, seconds)],
        Judge([window]),
        NOW_NS,
        patient_ns=patient_ns,
    )


def test_a_call_is_free_again_when_its_time_and_the_margin_are_over() -> None:
    meter = full()

    assert meter.used(at(60.0)) == 5
    assert meter.free_at(1, at(4.0)) == 1060.02
    assert meter.free_at(3, at(4.0)) == 1062.02
    assert meter.free_at(1, at(60.02)) == 1060.02
    assert meter.used(at(60.02)) == 4
    assert meter.free_at(1, at(70.0)) == 1070.0
    assert meter.clear_at(at(70.0)) is None


def test_an_empty_window_is_free_at_once() -> None:
    meter = RollingMeter(5, 60.0)

    assert meter.free_at(5, at(0.0)) == 1000.0
    assert meter.used(at(0.0)) == meter.load() == 0
    assert meter.clear_at(at(0.0)) is None


def test_it_is_clear_when_the_last_call_is_over() -> None:
    assert full().clear_at(at(5.0)) == 1064.02


@pytest.mark.parametrize("meter", [RollingMeter(5, 60.0), full()])
def test_more_than_the_limit_never_fits(meter: RollingMeter) -> None:
    assert meter.free_at(6, at(5.0)) == math.inf


def test_what_is_over_is_forgotten_with_the_next_call() -> None:
    meter = full()
    assert meter.load() == 5

    meter.debit(9, 1, at(100.0))

    assert meter.load() == 1
    assert meter.dump()["counted"] == [(1100.0, 1)]


def test_an_answered_call_counts_from_its_answer() -> None:
    meter = full()

    meter.arrive(0, at(30.0))

    assert meter.free_at(1, at(30.0)) == 1061.02
    assert meter.clear_at(at(30.0)) == 1090.02
    assert meter.load() == 5


def test_a_call_that_is_answered_when_it_is_over_counts_again() -> None:
    meter = RollingMeter(1, 1.0)
    meter.debit(1, 1, at(0.0))
    meter.debit(2, 1, at(1.5))

    meter.arrive(1, at(8.0))

    assert meter.used(at(8.0)) == 1
    assert meter.free_at(1, at(8.0)) == pytest.approx(1009.02)


def test_who_is_heard_of_twice_or_never_left_is_no_one() -> None:
    meter = full()
    meter.arrive(0, at(5.0))
    before = meter.dump()

    meter.arrive(0, at(6.0))
    meter.arrive(99, at(6.0))
    meter.refund(0, at(6.0))
    meter.refund(99, at(6.0))

    assert meter.dump() == before


def test_a_call_that_is_given_back_leaves_room() -> None:
    meter = full()

    meter.refund(3, at(5.0))
    meter.refund(3, at(5.0))

    assert meter.free_at(1, at(5.0)) == 1005.0
    assert meter.used(at(5.0)) == meter.load() == 4


def test_giving_back_what_is_over_takes_nothing_from_others() -> None:
    meter = RollingMeter(1, 1.0)
    meter.debit(1, 1, at(0.0))
    meter.debit(2, 1, at(1.5))

    meter.refund(1, at(2.0))

    assert meter.used(at(2.0)) == 1


def test_of_calls_that_left_at_once_the_right_one_is_given_back() -> None:
    meter = RollingMeter(9, 60.0)
    meter.debit(1, 5, at(0.0))
    meter.debit(2, 3, at(0.0))

    meter.refund(2, at(1.0))
    meter.arrive(1, at(2.0))

    assert meter.dump()["counted"] == [(1002.0, 5)]


def test_of_calls_that_left_at_once_the_right_one_is_answered() -> None:
    meter = RollingMeter(9, 60.0)
    for number, amount in enumerate((5, 3, 1)):
        meter.debit(number, amount, at(0.0))

    for number, second in enumerate((7.0, 8.0, 9.0)):
        meter.arrive(number, at(second))

    assert meter.dump()["counted"] == [(1007.0, 5), (1008.0, 3), (1009.0, 1)]


def test_what_others_used_counts_as_of_now_and_never_more_than_the_limit() -> None:
    meter = RollingMeter(5, 60.0)
    meter.debit(1, 2, at(0.0))

    meter.fill(1, at(10.0))
    assert meter.used(at(10.0)) == 2
    meter.fill(4, at(10.0))
    assert meter.used(at(10.0)) == 4
    meter.fill(99, at(10.0))

    assert meter.used(at(10.0)) == 5
    assert meter.clear_at(at(10.0)) == 1070.02


def test_a_lowered_limit_waits_for_all_that_is_too_much() -> None:
    meter = full()

    meter.limit = 2

    assert meter.free_at(1, at(5.0)) == 1063.02
    assert meter.free_at(2, at(5.0)) == 1064.02
    assert meter.free_at(3, at(5.0)) == math.inf


def test_a_copy_shares_nothing() -> None:
    for meter in (full(), full(5, DAY_SECONDS)):
        before = meter.dump()

        other = meter.copy()
        other.debit(77, 1, at(4.0))
        other.debit(78, 1, at(200_000.0))
        other.fill(5, at(200_000.0))
        other.arrive(77, at(200_001.0))
        other.limit = 1

        assert meter.dump() == before
        assert meter.limit == 5


def test_a_long_window_is_as_much_longer_as_a_call_may_take() -> None:
    meter = RollingMeter(1, DAY_SECONDS)
    meter.debit(1, 1, at(0.0))

    meter.arrive(1, at(9.0))

    assert meter.free_at(1, at(9.0)) == 1000.0 + DAY_SECONDS + 10.0


def test_of_a_long_window_a_steady_stream_is_not_held_together() -> None:
    meter = RollingMeter(100_000, DAY_SECONDS)
    for number in range(20_000):
        meter.debit(number, 1, at(number * 10.0))

    # The first of what is not over yet, and as much longer as a slot is.
    free = meter.free_at(100_000 - meter.used(at(199_990.0)) + 1, at(199_990.0))
    assert free <= 1000.0 + 199_990.0 + 10.0 + 22.0
    assert 8640 <= meter.used(at(199_990.0)) <= 8645
    assert len(meter.dump()["counted"]) <= 4097


def test_of_a_long_window_a_call_is_given_back_from_among_others() -> None:
    meter = RollingMeter(100, DAY_SECONDS)
    for number, second in enumerate((0.0, 5.0, 30.0)):
        meter.debit(number, 1, at(second))
    assert meter.dump()["counted"] == [(1005.0, 2), (1030.0, 1)]

    meter.refund(0, at(31.0))
    assert meter.dump()["counted"] == [(1005.0, 1), (1030.0, 1)]
    meter.refund(2, at(31.0))
    meter.debit(3, 1, at(32.0))

    assert meter.dump()["counted"] == [(1005.0, 1), (1032.0, 1)]
    assert meter.load() == 2


def test_of_a_long_window_what_is_of_one_time_may_be_apart() -> None:
    meter = RollingMeter(100, DAY_SECONDS)
    meter.debit(1, 1, at(0.0))
    meter.restore(meter.dump())
    meter.debit(2, 5, at(0.0))

    meter.refund(2, at(1.0))

    assert meter.dump()["counted"] == [(1000.0, 1)]


def test_nothing_is_given_back_where_nothing_is() -> None:
    meter = RollingMeter(100, DAY_SECONDS)
    meter.restore({"counted": [], "open": [(1, 1000.0, 1)]})

    meter.refund(1, at(1.0))

    assert meter.load() == 0


def test_after_a_restart_calls_under_way_count_as_late_as_they_may_have_come() -> None:
    meter, other = full(2), RollingMeter(2, 60.0)
    meter.arrive(0, at(3.0))
    other.restore(meter.dump())

    other.resume(lambda seconds, _: seconds, at(100.0))
    assert other.used(at(100.0)) == 0

    other.restore(meter.dump())
    other.resume(lambda seconds, _: seconds, at(20.0))
    assert other.dump() == {"counted": [(1003.0, 1), (1011.0, 1)], "open": []}
    other.restore(meter.dump())
    other.resume(lambda seconds, _: seconds, at(5.0))
    assert other.dump() == {"counted": [(1003.0, 1), (1005.0, 1)], "open": []}


def test_after_a_restart_a_call_counts_that_was_over_but_not_answered() -> None:
    meter, other = RollingMeter(1, 1.0), RollingMeter(1, 1.0)
    meter.debit(1, 1, at(0.0))
    meter.debit(2, 1, at(1.5))
    meter.arrive(2, at(1.6))
    other.restore(meter.dump())

    other.resume(lambda seconds, _: seconds, at(3.0))

    assert other.dump()["counted"] == [(1003.0, 1)]


def test_one_that_takes_longer_than_the_margin_can_make_the_next_too_many() -> None:
    for slower_ns, violations in ((MARGIN_NS - 1, 0), (MARGIN_NS + 1, 1)):
        way = road(1, 1.0, patient_ns=None)

        way.go(
            [
                Journey(travel_ns=3 * SECOND_NS),
                Journey(travel_ns=3 * SECOND_NS - slower_ns, thought_ns=SECOND_NS),
            ]
        )

        assert len(way.judge.violations()) == violations


@given(
    st.lists(journeys, max_size=30),
    st.integers(1, 8),
    st.sampled_from([0.1, 1.0, 5.0, 60.0]),
)
# The first is over when the second begins, which never leaves, and arrives late.
@example(
    [
        Journey(travel_ns=8 * SECOND_NS),
        Journey(pause_ns=1_500_000_000, leaves=False),
        Journey(pause_ns=6_600_000_000),
    ],
    1,
    1.0,
)
# The first is given back when it is over, and must not take the second with it.
@example(
    [
        Journey(leaves=False, thought_ns=2 * SECOND_NS),
        Journey(pause_ns=1_500_000_000),
        Journey(pause_ns=600_000_000),
    ],
    1,
    1.0,
)
def test_a_strict_vendor_sees_no_call_too_many_if_none_is_overtaken_by_more_than_the_margin(  # noqa: E501
    calls: list[Journey], limit: int, seconds: float
) -> None:
    # What travels when another leaves takes at most the margin longer than that one.
    way = road(limit, seconds)

    way.go(calls)

    assert way.judge.violations() == []


@given(st.lists(journeys, max_size=30), st.integers(1, 8))
def test_of_a_long_window_calls_may_overtake_each_other(
    calls: list[Journey], limit: int
) -> None:
    way = road(limit, 3600.0, patient_ns=None)

    way.go(calls)

    assert way.judge.violations() == []


@given(
    st.lists(journeys, max_size=30),
    st.integers(0, 30 * SECOND_NS),
    st.sampled_from([1.0, 5.0, 60.0, 3600.0]),
)
@settings(max_examples=50)
def test_a_restart_costs_no_more_than_what_was_under_way(
    calls: list[Journey], later_ns: int, seconds: float
) -> None:
    way = road(6, seconds)
    for call in calls:
        way.pass_by(way.true_ns + call.pause_ns)
        way.leave(call)
    before = way.meters[0]
    under_way = sum(each[-1] for each in before.dump()["open"])
    after = RollingMeter(6, seconds)
    after.restore(before.dump())
    now = way.now().at(way.now().seconds + later_ns / SECOND_NS)

    after.resume(lambda seconds, _: seconds, now)

    assert before.used(now) <= after.used(now) <= before.used(now) + under_way
    for amount in range(1, 7):
        free = after.free_at(amount, now)
        assert free <= max(before.free_at(amount, now) + 10.0, now.seconds)
