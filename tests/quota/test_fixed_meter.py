"""A window that begins anew with each period of a zone."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion_server.ports.budget import Period
from ingestion_server.quota.admission import LONG_AGO, waits
from ingestion_server.quota.fixed_meter import (
    LONGEST_SECONDS,
    MARGIN_SECONDS,
    FixedMeter,
    Stretch,
    stretch,
)
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.line import Slot
from tests.clocks import SECOND_NS
from tests.quota.journeys import CALL_NS, Journey, Road
from tests.quota.judge import Fixed, Judge

HOUR_NS = 3600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
MARGIN_NS = round(MARGIN_SECONDS * SECOND_NS)
NEW_YORK = "America/New_York"
ZONES = [
    # Half an hour of summer time, two hours of it, and midnights that do not exist or
    # that come an hour late.
    *("Australia/Lord_Howe", "Antarctica/Troll", "Asia/Beirut", "Africa/Cairo"),
    *("America/Havana", "America/Asuncion", "Atlantic/Azores"),
    *("Asia/Kathmandu", "Pacific/Kiritimati", NEW_YORK, "UTC"),
]
# Hours around which clocks are set somewhere, or a month, a year or February ends.
EDGES = [
    *("2024-03-10T05:00", "2024-11-03T05:00", "2025-03-30T01:00", "2025-10-26T01:00"),
    *("2025-04-05T15:00", "2025-10-04T15:30", "2024-04-25T22:00", "2024-10-31T21:00"),
    *("2024-02-29T12:00", "2024-03-01T00:00", "2024-12-31T12:00", "2024-03-24T04:00"),
    *("2023-10-01T04:00", "2025-11-01T00:00", "2025-10-31T21:00"),
]


def utc_ns(text: str) -> int:
    """Return a time of UTC as nanoseconds."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000) * 1000


def instant(text: str, seconds: float = 1000.0) -> Instant:
    """Name a moment by ISO text and monotonic seconds, with both clocks right."""
    ns = utc_ns(text)
    return Instant(seconds, ns, ns)


NOON = instant("2025-01-10T12:00")


def daily(limit: int = 5, zone: str = NEW_YORK, *, steady: bool = False) -> FixedMeter:
    """Return the meter of a day."""
    return FixedMeter(limit, Period.DAY, zone, steady=steady)


def later(moment: Instant, seconds: float) -> Instant:
    """Name a moment so much later."""
    return moment.at(moment.seconds + seconds)


moments = st.one_of(
    st.integers(0, 50_000_000),
    st.integers(0, 2 * SECOND_NS),
    st.integers(0, 10 * SECOND_NS),
)
pauses = st.one_of(
    moments, st.integers(0, 90 * SECOND_NS), st.integers(0, 30 * HOUR_NS)
)
jumps = st.one_of(
    st.integers(-2 * SECOND_NS, 2 * SECOND_NS),
    st.integers(-2 * DAY_NS, 2 * DAY_NS),
    st.sampled_from([-4000 * DAY_NS, 4000 * DAY_NS]),
)
starts = st.builds(
    lambda edge, seconds, ns: utc_ns(edge) + seconds * SECOND_NS + ns,
    st.sampled_from(EDGES),
    st.one_of(st.integers(-15, 15), st.integers(-90_000, 90_000)),
    st.integers(-1, 1),
)


def journeys(*, clock_is_set: bool) -> st.SearchStrategy[list[Journey]]:
    """Return what may happen."""
    return st.lists(
        st.builds(
            Journey,
            pause_ns=pauses,
            amount=st.integers(1, 3),
            travel_ns=moments,
            thought_ns=moments,
            leaves=st.sampled_from([True, True, True, False]),
            told=st.sampled_from([0, 0, 0, 0, 0, 0, 1, 4, 9]),
            jump_ns=st.one_of(st.just(0), jumps) if clock_is_set else st.just(0),
            restart=st.sampled_from([False] * 7 + [True]),
            uptime_ns=st.one_of(st.none(), st.integers(0, 120 * SECOND_NS)),
        ),
        max_size=25,
    )


def road(
    period: Period, zone: str, limit: int, true_ns: int, *, steady: bool | None = None
) -> Road:
    """Lead to a vendor with one fixed window, by meters of one or both clocks."""

    def meters() -> list[FixedMeter]:
        kinds = (False, True) if steady is None else (steady,)
        return [FixedMeter(limit, period, zone, steady=kind) for kind in kinds]

    window = Fixed(
        name="window", limit=limit, period=period.value, zone=zone, counts="units"
    )
    # Wherever what is under way is, it counts where it may still arrive.
    return Road(meters, Judge([window]), true_ns, all_arrive=False)


@pytest.mark.parametrize(
    ("now", "midnight"),
    [
        ("2025-01-10T12:00", "2025-01-11T05:00"),
        ("2025-03-09T04:59", "2025-03-09T05:00"),
        ("2025-03-09T06:00", "2025-03-10T04:00"),  # 23 hours long
        ("2025-11-02T06:00", "2025-11-03T05:00"),  # 25 hours long
    ],
)
def test_a_day_turns_at_midnight_of_its_zone(now: str, midnight: str) -> None:
    meter = daily(1)
    start, end_ns = instant(now), utc_ns(midnight)
    meter.debit(1, 1, start)
    meter.arrive(1, start)

    at_seconds = meter.free_at(1, start)

    left = (end_ns - start.wall_ns) / 1e9
    assert at_seconds - 1000.0 == pytest.approx(left + MARGIN_SECONDS, abs=1e-5)
    assert meter.clear_at(start) == pytest.approx(at_seconds, abs=1e-5)
    assert meter.free_at(1, start.at(at_seconds)) == at_seconds
    assert meter.used(start) == 1
    assert meter.used(start.at(at_seconds)) == 0


@pytest.mark.parametrize(
    ("period", "zone", "at", "start", "end"),
    [
        (Period.MINUTE, "UTC", "2025-01-10T12:34:56", "12:34", "12:35"),
        (Period.HOUR, "Asia/Kathmandu", "2025-01-10T12:34", "12:00", "13:00"),
        (
            *(Period.MONTH, NEW_YORK, "2024-03-01T04:59"),
            *("2024-02-01T05:00", "2024-03-01T05:00"),
        ),
        (
            *(Period.MONTH, "UTC", "2024-12-31T23:59"),
            *("2024-12-01T00:00", "2025-01-01T00:00"),
        ),
        # Midnight does not exist.
        (
            *(Period.DAY, "Asia/Beirut", "2024-03-30T22:00"),
            *("2024-03-30T22:00", "2024-03-31T21:00"),
        ),
        # The hour before midnight comes twice.
        (
            *(Period.DAY, "Asia/Beirut", "2024-10-26T21:30"),
            *("2024-10-25T21:00", "2024-10-26T22:00"),
        ),
        # A day was left out.
        (
            *(Period.DAY, "Pacific/Apia", "2011-12-30T09:59"),
            *("2011-12-29T10:00", "2011-12-30T10:00"),
        ),
        # Clocks went from 00:01 back to 23:01, so that midnight came twice.
        (
            *(Period.DAY, "America/St_Johns", "2010-11-07T02:45"),
            *("2010-11-06T02:30", "2010-11-07T03:30"),
        ),
    ],
)
def test_a_period_is_that_of_the_zone(
    period: Period, zone: str, at: str, start: str, end: str
) -> None:
    def whole(text: str) -> int:
        return utc_ns(text if "T" in text else f"2025-01-10T{text}")

    found = stretch(period, ZoneInfo(zone), utc_ns(at))

    assert found == Stretch(whole(start), whole(end))


@given(
    st.sampled_from([*ZONES, "America/St_Johns", "Pacific/Apia"]),
    st.sampled_from([Period.DAY, Period.MONTH]),
    st.integers(
        utc_ns("2008-01-01T00:00") // 10**9, utc_ns("2030-01-01T00:00") // 10**9
    ),
)
def test_every_moment_lies_in_its_period_and_none_is_longer_than_thought(
    zone: str, period: Period, at_seconds: int
) -> None:
    at_ns = at_seconds * SECOND_NS

    found = stretch(period, ZoneInfo(zone), at_ns)

    assert found.start_ns <= at_ns < found.end_ns
    assert (found.end_ns - found.start_ns) / SECOND_NS <= LONGEST_SECONDS[period]


def test_a_day_of_26_hours_is_no_two_days() -> None:
    # At Troll, clocks are put back by two hours.
    meter = daily(1, "Antarctica/Troll")
    first = instant("2024-10-26T22:30")
    meter.debit(1, 1, first)
    meter.arrive(1, later(first, 1.0))

    assert meter.used(later(first, 25.4 * 3600)) == 1
    assert meter.used(later(first, 25.6 * 3600)) == 0


def test_an_empty_window_is_free_at_once() -> None:
    meter = daily(5)

    assert meter.free_at(5, NOON) == NOON.seconds
    assert meter.free_at(6, NOON) == math.inf
    assert meter.used(NOON) == meter.load() == 0
    assert meter.clear_at(NOON) is None


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        ("2025-01-11T04:59:59.400", 0.0),
        ("2025-01-11T04:59:59.600", 0.9),
        ("2025-01-11T05:00:00.100", 0.4),
        ("2025-01-11T05:00:00.500", 0.0),
    ],
)
def test_within_a_margin_of_midnight_nothing_leaves(now: str, seconds: float) -> None:
    moment = instant(now)

    at_seconds = daily().free_at(1, moment)

    assert at_seconds - 1000.0 == pytest.approx(seconds, abs=1e-5)


@pytest.mark.parametrize("margin", [29.9999999, 30.0, 99.0])
def test_whatever_the_margin_a_turn_comes(margin: float) -> None:
    meter = FixedMeter(5, Period.MINUTE, "UTC", steady=False, margin_seconds=margin)
    slot = Slot("minute", by_units=False, batch_only=False, meter=meter)

    turn = waits([slot], 1, LONG_AGO, instant("2025-01-10T12:34:00.000001"))

    assert turn.at_seconds <= 1000.0 + 60.0


def test_a_call_under_way_when_the_day_turns_counts_in_both_days() -> None:
    meter = daily()
    late = instant("2025-01-11T04:59:55")
    meter.debit(1, 2, late)
    meter.debit(2, 1, later(late, -3600.0))
    after = later(late, 6.0)

    assert meter.used(after) == 2
    meter.arrive(1, after)
    meter.arrive(2, after)

    assert meter.used(after) == meter.load() == 2


def test_a_call_that_was_answered_before_midnight_is_none_of_the_next_day() -> None:
    meter = daily()
    late = instant("2025-01-11T04:59:55")
    meter.debit(1, 2, late)

    meter.arrive(1, later(late, 4.0))

    assert meter.used(later(late, 6.0)) == 0


@pytest.mark.parametrize("second", [4.6, 5.0, 5.4])
def test_a_call_that_is_answered_around_midnight_counts_in_both_days(
    second: float,
) -> None:
    meter = daily()
    late = instant("2025-01-11T04:59:55")
    meter.debit(1, 2, late)

    meter.arrive(1, later(late, second))

    assert meter.used(later(late, second)) == 2
    assert meter.used(later(late, 6.0)) == 2
    assert meter.copy().used(later(late, 6.0)) == 2
    meter.debit(2, 1, later(late, 6.0))
    assert meter.load() == 3
    # And not for ever.
    meter.debit(3, 1, later(late, 86_406.0))
    assert meter.load() == 1


def test_a_call_that_is_given_back_leaves_room_in_its_day_only() -> None:
    meter = daily()
    meter.debit(1, 2, NOON)
    meter.debit(2, 2, NOON)
    assert meter.used(NOON) == 4

    meter.refund(1, later(NOON, 1.0))
    meter.refund(1, later(NOON, 1.0))
    assert meter.used(NOON) == 2
    tomorrow = later(NOON, 86_400.0)
    meter.debit(3, 1, tomorrow)
    meter.refund(2, tomorrow)

    assert meter.used(tomorrow) == 1


def test_a_refund_after_a_turn_is_of_both_days() -> None:
    meter = daily()
    late = instant("2025-01-11T04:59:55")
    meter.debit(1, 2, late)

    meter.refund(1, later(late, 6.0))

    assert meter.used(later(late, 6.0)) == 0


def test_who_is_heard_of_twice_or_never_left_is_no_one() -> None:
    meter = daily()
    meter.debit(1, 2, NOON)
    meter.arrive(1, NOON)
    before = meter.dump()

    meter.arrive(1, NOON)
    meter.arrive(99, NOON)
    meter.refund(1, NOON)
    meter.refund(99, NOON)

    assert meter.dump() == before


def test_what_others_used_counts_and_never_more_than_the_limit() -> None:
    meter = daily()
    meter.debit(1, 2, NOON)

    meter.fill(1, NOON)
    assert meter.used(NOON) == 2
    meter.fill(99, NOON)

    assert meter.used(NOON) == 5
    assert meter.used(later(NOON, 86_400.0)) == 0


def test_a_lowered_limit_holds_at_once() -> None:
    meter = daily()
    meter.debit(1, 3, NOON)

    meter.limit = 3

    assert meter.free_at(1, NOON) > NOON.seconds
    assert meter.free_at(4, NOON) == math.inf


def test_asking_about_tomorrow_does_not_begin_it() -> None:
    meter = daily()
    meter.debit(1, 1, NOON)
    meter.arrive(1, NOON)

    assert meter.used(later(NOON, 86_400.0)) == 0
    assert meter.used(NOON) == 1


def test_a_copy_shares_nothing() -> None:
    meter = daily()
    late = instant("2025-01-11T04:59:55")
    meter.debit(1, 1, late)
    before = meter.dump()

    other = meter.copy()
    other.debit(2, 1, late)
    other.fill(4, late)
    other.arrive(1, later(late, 5.0))
    other.refund(2, later(late, 5.0))
    other.debit(3, 1, later(late, 90_000.0))
    other.limit = 1

    assert meter.dump() == before
    assert meter.limit == 5


def test_a_wall_clock_that_is_set_back_frees_nothing() -> None:
    wall, steady = daily(1), daily(1, steady=True)
    for meter in (wall, steady):
        meter.debit(1, 1, NOON)
        meter.arrive(1, NOON)
    back = Instant(1001.0, NOON.wall_ns - DAY_NS, NOON.steady_ns + SECOND_NS)

    assert wall.used(back) == steady.used(back) == 1
    # The day is over when it would be by that clock, or when no day is so long.
    assert wall.free_at(1, back) == 1000.0 + 26 * 3600.0 + 10.0
    assert steady.free_at(1, back) == pytest.approx(1000.0 + 17 * 3600.0 + 0.5)


def test_a_wall_clock_that_is_set_forward_hands_out_no_day_twice() -> None:
    wall, steady = daily(1), daily(1, steady=True)
    for meter in (wall, steady):
        meter.debit(1, 1, NOON)
        meter.arrive(1, NOON)
    ahead = Instant(1001.0, NOON.wall_ns + DAY_NS, NOON.steady_ns + SECOND_NS)

    assert wall.used(ahead) == 0
    assert steady.used(ahead) == 1


def test_a_clock_that_is_set_back_for_years_holds_nothing_for_years() -> None:
    meter = daily(1)
    meter.debit(1, 1, NOON)
    meter.arrive(1, NOON)
    back = Instant(1001.0, NOON.wall_ns - 4000 * DAY_NS, NOON.steady_ns)
    longest = 26 * 3600.0 + 10.0

    assert meter.clear_at(back) == 1000.0 + longest
    turned = later(back, longest)
    assert meter.free_at(1, turned) == turned.seconds
    meter.debit(2, 1, turned)

    # From now on it goes by the days of that time.
    assert meter.load() == 1
    assert meter.free_at(1, turned) - turned.seconds < 86_400.0


def test_a_clock_that_is_set_back_can_be_waited_for_by_what_others_used() -> None:
    meter = daily(2)
    meter.debit(1, 1, NOON)
    back = Instant(5000.0, NOON.wall_ns - 4000 * DAY_NS, NOON.steady_ns)

    meter.fill(2, back)

    assert meter.free_at(1, back) == 5000.0 + 26 * 3600.0 + 10.0


def test_after_a_restart_it_knows_the_day_and_what_is_under_way() -> None:
    meter = daily()
    late = instant("2025-01-11T04:59:55")
    meter.debit(1, 1, late)
    meter.debit(2, 1, late)
    meter.arrive(1, later(late, 4.8))
    for seconds, used in ((4.9, 2), (6.0, 2), (86_406.0, 0)):
        other = daily()
        other.restore(meter.dump())

        other.resume(lambda at, _: at, later(late, seconds))

        assert other.used(later(late, seconds)) == used
        # Numbers begin anew.
        other.debit(2, 1, later(late, seconds))
        other.refund(2, later(late, seconds))
        assert other.used(later(late, seconds)) == used


def test_a_meter_that_never_counted_can_be_started_again() -> None:
    meter, other = daily(), daily()
    other.restore(meter.dump())

    other.resume(lambda at, _: at, NOON)

    assert other.used(NOON) == 0


periods = st.sampled_from(Period)
zones = st.sampled_from(ZONES)


@given(journeys(clock_is_set=False), periods, zones, st.integers(1, 5), starts)
# It leaves before midnight, and arrives and is answered before ours is over.
@example(
    [Journey(travel_ns=650_000_000, thought_ns=50_000_000), Journey()],
    Period.DAY,
    "UTC",
    1,
    utc_ns("2025-10-31T23:59:59.4"),
)
def test_a_strict_vendor_sees_no_call_too_many(
    calls: list[Journey], period: Period, zone: str, limit: int, start_ns: int
) -> None:
    way = road(period, zone, limit, start_ns)

    way.go(calls)

    assert way.judge.violations() == []


@given(journeys(clock_is_set=True), periods, zones, st.integers(1, 5), starts)
def test_setting_the_wall_clock_hands_out_nothing_twice(
    calls: list[Journey], period: Period, zone: str, limit: int, start_ns: int
) -> None:
    way = road(period, zone, limit, start_ns)

    way.go([call if not call.restart else _same_boot(call) for call in calls])

    assert way.judge.violations() == []


@given(journeys(clock_is_set=False), periods, zones, st.integers(1, 5), starts, jumps)
def test_one_of_two_clocks_that_is_right_is_enough(
    calls: list[Journey],
    period: Period,
    zone: str,
    limit: int,
    start_ns: int,
    error_ns: int,
) -> None:
    way = road(period, zone, limit, start_ns)
    way.anchor_error_ns = error_ns

    way.go([_same_boot(call) for call in calls])

    assert way.judge.violations() == []


@given(
    journeys(clock_is_set=False),
    zones,
    starts,
    st.integers(-MARGIN_NS + 1000, MARGIN_NS - 1000),
)
def test_the_clock_of_the_vendor_may_differ_by_the_margin(
    calls: list[Journey], zone: str, start_ns: int, skew_ns: int
) -> None:
    way = road(Period.DAY, zone, 3, start_ns, steady=True)
    way.skew_ns = skew_ns

    way.go(calls)

    assert way.judge.violations() == []


@given(journeys(clock_is_set=False), st.integers(0, 60 * SECOND_NS), starts)
@settings(max_examples=50)
def test_a_restart_costs_no_more_than_what_was_under_way(
    calls: list[Journey], later_ns: int, start_ns: int
) -> None:
    way = road(Period.MINUTE, "UTC", 6, start_ns, steady=True)
    way.go(calls)
    for call in calls[:3]:
        way.leave(call)
    before = way.meters[0]
    under_way = sum(each[-1] for each in before.dump()["open"])
    after = FixedMeter(6, Period.MINUTE, "UTC", steady=True)
    after.restore(before.dump())
    now = later(way.now(), later_ns / SECOND_NS)

    after.resume(lambda at, _: at, now)

    assert before.used(now) <= after.used(now) <= before.used(now) + under_way
    much_later = later(now, 60.0 + 2 * CALL_NS / SECOND_NS)
    assert after.used(much_later) == 0


def _same_boot(call: Journey) -> Journey:
    return Journey(
        pause_ns=call.pause_ns,
        amount=call.amount,
        travel_ns=call.travel_ns,
        thought_ns=call.thought_ns,
        leaves=call.leaves,
        told=call.told,
        jump_ns=call.jump_ns,
        restart=call.restart,
    )
