"""A token bucket, as the vendor fills it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.quota.bucket_meter import BucketMeter
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.rolling_meter import MARGIN_SECONDS
from tests.clocks import NOW_NS, SECOND_NS
from tests.quota.journeys import Journey, Road
from tests.quota.judge import Bucket, Judge

START = Instant(1000.0, NOW_NS, NOW_NS)
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


def bucket(limit: int = 10, seconds: float = 10.0) -> BucketMeter:
    """Return a bucket that begins with a token a second, and no margin."""
    return BucketMeter(limit, seconds, margin_seconds=0.0)


def road(limit: int, seconds: float, patient_ns: int | None = PATIENT_NS) -> Road:
    """Lead to a vendor with one bucket."""
    refill_ns = round(seconds * SECOND_NS)
    window = Bucket(name="bucket", limit=limit, refill_ns=refill_ns, counts="units")
    return Road(
        lambda: [BucketMeter(limit, seconds)],
        Judge([window]),
        NOW_NS,
        patient_ns=patient_ns,
    )


def test_a_full_bucket_gives_all_at_once() -> None:
    meter = bucket()

    assert meter.free_at(10, at(0.0)) == 1000.0
    assert meter.free_at(11, at(0.0)) == math.inf
    assert meter.used(at(0.0)) == meter.load() == 0
    assert meter.clear_at(at(0.0)) is None


def test_tokens_come_back_evenly() -> None:
    meter = bucket()
    meter.debit(1, 10, at(0.0))

    assert meter.load() == 10
    assert meter.used(at(3.5)) == 7
    assert meter.free_at(3, at(3.0)) == 1003.0
    assert meter.free_at(4, at(3.0)) == 1004.0
    assert meter.clear_at(at(3.0)) == 1010.0
    assert meter.clear_at(at(10.0)) is None
    assert meter.used(at(99.0)) == 0


def test_a_token_is_thought_to_be_there_the_margin_later() -> None:
    meter = BucketMeter(10, 10.0, margin_seconds=0.5)
    meter.debit(1, 10, at(0.0))

    assert meter.free_at(1, at(1.0)) == 1001.5
    assert meter.free_at(10, at(10.0)) == 1010.5
    assert meter.free_at(10, at(10.5)) == 1010.5


def test_a_full_bucket_holds_all_whatever_rounding_says() -> None:
    meter = BucketMeter(49, 0.1)
    meter.debit(1, 49, at(0.0))

    full_at = meter.free_at(49, at(0.0))

    assert full_at == pytest.approx(1000.12)
    assert meter.free_at(49, at(1.0)) == 1001.0


def test_an_answered_call_counts_from_its_answer() -> None:
    meter = bucket()
    meter.debit(1, 4, at(0.0))
    meter.debit(2, 1, at(1.0))

    meter.arrive(1, at(6.0))

    assert meter.clear_at(at(6.0)) == 1010.0
    assert meter.used(at(6.0)) == meter.load() == 4


def test_who_is_heard_of_twice_or_never_left_is_no_one() -> None:
    meter = bucket()
    meter.debit(1, 4, at(0.0))
    meter.arrive(1, at(1.0))
    before = meter.dump()

    meter.arrive(1, at(2.0))
    meter.arrive(99, at(2.0))
    meter.refund(1, at(2.0))
    meter.refund(99, at(2.0))

    assert meter.dump() == before


def test_tokens_that_were_not_needed_are_put_back() -> None:
    meter = bucket()
    meter.debit(1, 4, at(0.0))
    meter.debit(2, 5, at(0.0))

    meter.refund(1, at(1.0))

    assert meter.used(at(1.0)) == 4
    assert meter.clear_at(at(1.0)) == 1005.0


def test_nothing_is_remembered_of_calls_before_those_under_way() -> None:
    meter = bucket(1000, 1000.0)
    meter.debit(0, 1, at(0.0))
    for number in range(1, 500):
        meter.debit(number, 1, at(number))
        meter.arrive(number - 1, at(number + 0.5))

    assert len(meter.dump()["taken"]) <= 2
    assert meter.used(at(499.5)) == 2


def test_nothing_is_remembered_of_what_is_only_played() -> None:
    meter = bucket()
    meter.debit(1, 1, at(0.0))

    other = meter.copy()
    for second in range(100):
        other.debit(None, 1, at(second))

    assert len(other.dump()["taken"]) == 1
    assert other.used(at(99.0)) == 2


def test_what_others_took_is_missing_and_never_more_than_all() -> None:
    meter = bucket()
    meter.debit(1, 5, at(0.0))

    meter.fill(3, at(0.5))
    assert meter.clear_at(at(0.5)) == 1005.0
    # A token that is half there is used, as the vendor counts.
    meter.fill(7, at(0.5))
    assert meter.used(at(0.5)) == 8
    meter.fill(99, at(0.5))

    assert meter.clear_at(at(0.5)) == 1011.0


def test_a_lowered_limit_takes_no_longer_to_refill() -> None:
    meter = bucket(100, 60.0)
    meter.debit(1, 50, at(0.0))

    meter.limit = 10

    assert meter.used(at(0.0)) == 10
    assert meter.free_at(1, at(0.0)) == 1006.0
    assert meter.free_at(11, at(0.0)) == math.inf
    meter.arrive(1, at(6.0))
    assert meter.clear_at(at(6.0)) == 1066.0


def test_a_lowered_limit_misses_as_much_as_was_missing() -> None:
    meter = bucket(100, 100.0)
    for number in range(5):
        meter.debit(number, 4, at(0.0))
    for number in range(5):
        meter.arrive(number, at(0.0))

    meter.limit = 50

    assert meter.used(at(0.0)) == 20
    meter.limit = 10
    assert meter.used(at(0.0)) == 10
    assert meter.clear_at(at(0.0)) == 1100.0


def test_a_copy_shares_nothing() -> None:
    meter = bucket()
    meter.debit(1, 4, at(0.0))
    before = meter.dump()

    other = meter.copy()
    other.debit(2, 4, at(1.0))
    other.fill(10, at(1.0))
    other.refund(1, at(1.0))
    other.limit = 5

    assert meter.dump() == before
    assert meter.limit == 10
    assert meter.used(at(0.0)) == 4


def test_after_a_restart_calls_under_way_count_as_late_as_they_may_have_come() -> None:
    meter = bucket(10, 100.0)
    meter.debit(1, 2, at(0.0))
    meter.arrive(1, at(1.0))
    meter.debit(2, 3, at(2.0))
    for now, full in ((5.0, 1051.0), (50.0, 1051.0)):
        other = bucket(10, 100.0)
        other.restore(meter.dump())

        other.resume(lambda seconds, _: seconds, at(now))

        assert other.clear_at(at(now)) == full
        assert other.dump()["open"] == other.dump()["taken"] == []


def test_after_another_start_of_the_machine_what_lacks_still_lacks() -> None:
    meter, other = bucket(100, 100.0), bucket(100, 100.0)
    for number in range(90):
        meter.debit(number, 1, at(0.0))
    for number in range(90):
        meter.arrive(number, at(1.0))
    other.restore(meter.dump())
    now = Instant(5.0, at(21.0).wall_ns, at(21.0).wall_ns)

    # It was full before it would be empty: at a time that was not yet when it ended.
    other.resume(lambda seconds, _: seconds - 1021.0 + 5.0, now)

    assert other.used(now) == 70


def test_after_a_time_without_a_clock_it_lacks_no_more_than_all() -> None:
    meter, other = bucket(), bucket()
    for second in range(25):
        meter.debit(second, 1, at(second))
    other.restore(meter.dump())
    now = Instant(3.0, 0, 0)

    other.resume(lambda _, __: 0.0, now)

    assert other.clear_at(now) == 13.0


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
    st.sampled_from([0.1, 1.0, 5.0, 60.0, 86_400.0]),
)
def test_a_strict_vendor_sees_no_call_too_many_if_none_is_overtaken_by_more_than_the_margin(  # noqa: E501
    calls: list[Journey], limit: int, seconds: float
) -> None:
    # What travels when another leaves takes at most the margin longer than that one.
    way = road(limit, seconds)

    way.go(calls)

    assert way.judge.violations() == []


@given(
    st.lists(journeys, max_size=20), st.lists(journeys, max_size=20), st.integers(1, 8)
)
def test_after_its_limit_was_lowered_the_vendor_sees_no_call_too_many(
    before: list[Journey], after: list[Journey], limit: int
) -> None:
    way = road(8, 60.0)
    way.go(before)
    # What came before may have been too much: nobody knew.
    way.judge = Judge(
        [Bucket(name="b", limit=limit, refill_ns=60 * SECOND_NS, counts="units")]
    )
    make = way.make

    def lowered() -> list[BucketMeter]:
        meters = [meter for meter in make() if isinstance(meter, BucketMeter)]
        for meter in meters:
            meter.limit = limit
        return meters

    way.make = lowered
    for meter in way.meters:
        meter.limit = limit
    way.go(after)

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
    after = BucketMeter(6, seconds)
    after.restore(before.dump())
    now = way.now().at(way.now().seconds + later_ns / SECOND_NS)

    after.resume(lambda seconds, _: seconds, now)

    assert before.used(now) <= after.used(now) <= before.used(now) + under_way
    for amount in range(1, 7):
        free = after.free_at(amount, now)
        # What is under way counts up to so much later.
        assert free <= max(before.free_at(amount, now) + 10.0 + 1e-6, now.seconds)
