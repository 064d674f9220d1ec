"""When jobs run again: over changes of the clocks, after half days, and never."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.errors import InvalidQueryError, StateUnavailableError
from ingestion_server.domain.interval import MINUTE_NS, SECOND_NS
from ingestion_server.domain.jobs import AfterClose, Schedule
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest.jobs.schedules import check, next_run
from tests.builders import NEW_YORK, ns, sessions, texts

NOVEMBER = sessions(
    "2024-11-01", "2024-12-31", closed=["2024-11-28", "2024-12-25"], half=["2024-11-29"]
)


class Known:
    """Know the sessions of one exchange."""

    def __init__(self, known: Sessions | None = NOVEMBER) -> None:
        """Know these, or none."""
        self.known = known

    async def sessions(self, calendar: str) -> Sessions | None:
        """Tell them, whatever the calendar is called."""
        del calendar
        return self.known


async def runs(
    schedule: Schedule, after: str, count: int, *, zone: str = "UTC"
) -> list[str]:
    """Tell the next so many runs by the wall clock of a zone."""
    found = [ns(after, zone)]
    for _ in range(count):
        found.append(await next_run(schedule, found[-1], Known()))
    return texts(found[1:], zone)


def wrong(schedule: Schedule) -> dict[str, str]:
    """Tell which fields are refused, and how."""
    with pytest.raises(InvalidQueryError) as refused:
        check(schedule)
    return {
        each.field.removeprefix("spec.schedule").removeprefix("."): each.description
        for each in refused.value.violations
    }


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 18 * * *", ["2024-05-01 18:30", "2024-05-02 18:30"]),
        ("*/20 * * * *", ["2024-05-01 00:20", "2024-05-01 00:40"]),
        ("5/25 7 * * *", ["2024-05-01 07:05", "2024-05-01 07:30"]),
        ("0 0 1 * *", ["2024-06-01 00:00", "2024-07-01 00:00"]),
        ("0 12 * FEB,aug *", ["2024-08-01 12:00", "2024-08-02 12:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        # 2024-05-05 is a Sunday.
        ("0 0 * * 0", ["2024-05-05 00:00", "2024-05-12 00:00"]),
        ("0 0 * * 7", ["2024-05-05 00:00", "2024-05-12 00:00"]),
        ("0 0 * * sun", ["2024-05-05 00:00", "2024-05-12 00:00"]),
        ("0 0 * * 1", ["2024-05-06 00:00", "2024-05-13 00:00"]),
        ("0 0 * * sat-sun", ["2024-05-04 00:00", "2024-05-05 00:00"]),
        ("0 0 * * 6-7", ["2024-05-04 00:00", "2024-05-05 00:00"]),
        ("0 0 * * 5-7/2", ["2024-05-03 00:00", "2024-05-05 00:00"]),
        ("0 0 * * Mon-Fri", ["2024-05-02 00:00", "2024-05-03 00:00"]),
        # Of a day of the month and a day of the week, either will do.
        ("0 0 4 * mon", ["2024-05-04 00:00", "2024-05-06 00:00"]),
        ("0 0 30 2 mon", ["2025-02-03 00:00", "2025-02-10 00:00"]),
    ],
)
async def test_an_expression_fires_when_people_expect_it(
    cron: str, expected: list[str]
) -> None:
    assert await runs(Schedule(cron), "2024-05-01 00:00", 2) == expected


async def test_an_expression_is_read_in_its_zone() -> None:
    schedule = Schedule("30 18 * * mon-fri", zone=NEW_YORK)

    found = await runs(schedule, "2024-03-08 12:00", 2)

    # On Sunday in between, clocks are put forward.
    assert found == ["2024-03-08 23:30", "2024-03-11 22:30"]


async def test_a_time_that_is_left_out_in_spring_runs_once_at_the_change() -> None:
    schedule = Schedule("30 2 * * *", zone=NEW_YORK)

    found = await runs(schedule, "2024-03-09 00:00", 3, zone=NEW_YORK)

    assert found == ["2024-03-09 02:30", "2024-03-10 03:00", "2024-03-11 02:30"]


async def test_several_times_that_are_left_out_run_as_one() -> None:
    schedule = Schedule("*/20 1-3 * * *", zone=NEW_YORK)

    found = await runs(schedule, "2024-03-10 01:10", 5, zone=NEW_YORK)

    hours = ["01:20", "01:40", "03:00", "03:20", "03:40"]
    assert found == [f"2024-03-10 {hour}" for hour in hours]


async def test_a_time_that_is_there_twice_in_autumn_runs_once() -> None:
    schedule = Schedule("30 1 * * *", zone=NEW_YORK)

    found = await runs(schedule, "2024-11-02 12:00", 2)

    assert found == ["2024-11-03 05:30", "2024-11-04 06:30"]


async def test_in_the_hour_that_is_there_twice_nothing_runs_again() -> None:
    schedule = Schedule("30 1 * * *", zone=NEW_YORK)

    # 01:10 for the second time.
    found = await runs(schedule, "2024-11-03 06:10", 1)

    assert found == ["2024-11-04 06:30"]


@pytest.mark.parametrize("start", ["2024-11-03 04:10", "2024-03-10 05:10"])
async def test_what_runs_in_every_hour_goes_on_by_the_time_that_passes(
    start: str,
) -> None:
    schedule = Schedule("*/30 * * * *", zone=NEW_YORK)

    found = await runs(schedule, start, 8)

    first = datetime.fromisoformat(start) + timedelta(minutes=20)
    half_hours = [first + n * timedelta(minutes=30) for n in range(8)]
    assert found == [f"{each:%Y-%m-%d %H:%M}" for each in half_hours]


@given(
    after=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001
    zone=st.sampled_from([NEW_YORK, "Australia/Lord_Howe", "Africa/Casablanca"]),
    cron=st.sampled_from(["30 2 * * *", "*/7 1-3 * * *", "15 * * * *", "0 0 * * 0"]),
)
async def test_each_run_is_later_than_the_one_before_and_none_comes_in_between(
    after: datetime, zone: str, cron: str
) -> None:
    schedule, start_ns = Schedule(cron, zone=zone), _ns(after)

    first = await next_run(schedule, start_ns, Known())
    second = await next_run(schedule, first, Known())

    assert start_ns < first < second
    assert first % MINUTE_NS == second % MINUTE_NS == 0
    # Whenever one asks, the same run is the next.
    between = start_ns + (first - start_ns) // 2
    assert await next_run(schedule, between, Known()) == first
    assert await next_run(schedule, first - 1, Known()) == first


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 0 30 2 *", "never fires: day of the month '30' is in no month of '2'"),
        ("0 0 31 4,jun,9,11 *", "never fires: day of the month '31' is in no month"),
        ("0 0 * *", "has 4 fields instead of five: minute, hour, "),
        ("0 0 * * * *", "has 6 fields instead of five"),
        ("60 0 * * *", "minute: 60 is not from 0 to 59"),
        ("0 24 * * *", "hour: 24 is not from 0 to 23"),
        ("0 0 0 * *", "day of the month: 0 is not from 1 to 31"),
        ("0 0 * 13 *", "month: 13 is not from 1 to 12"),
        ("0 0 * * 8", "day of the week: 8 is not from 0 to 7"),
        ("0 0 * * xyz", "day of the week: 'xyz' is no name here; expected sun, mon"),
        ("0 jan * * *", "hour: 'jan' is no name here"),
        ("0 0 * * mon/2/3", "day of the week: 'mon/2/3' cannot be read"),
        ("*/0 0 * * *", "minute: a step of 0, in '*/0', comes to nothing"),
        ("30-10 0 * * *", "minute: '30-10' ends before it begins"),
        ("*-3 0 * * *", "minute: '*-3' begins nowhere"),
        (", 0 * * *", "minute: '' cannot be read"),
        ("0 0 last * *", "day of the month: 'last' cannot be read"),
        ("x" * 300, "is longer than 256 characters"),
    ],
)
def test_an_expression_that_is_wrong_or_never_fires_is_refused_by_its_field(
    cron: str, said: str
) -> None:
    assert wrong(Schedule(cron))["cron"].startswith(said)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "America", "a\0b"])
def test_a_zone_that_is_not_known_is_refused(zone: str) -> None:
    assert (
        "is no zone of the tz database"
        in wrong(Schedule("0 0 * * *", zone=zone))["time_zone"]
    )


def test_without_a_zone_utc_is_meant() -> None:
    check(Schedule("0 0 * * *", zone=""))


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (Schedule(), {"": "takes either cron or after_close; neither is there"}),
        (
            Schedule("0 0 * * *", AfterClose("XNYS")),
            {"": "takes either cron or after_close; both are there"},
        ),
    ],
)
def test_a_schedule_has_exactly_one_way_to_say_when(
    schedule: Schedule, said: dict[str, str]
) -> None:
    assert wrong(schedule) == said


@pytest.mark.parametrize("delay", [-1.0, 86_401.0, math.nan])
def test_a_delay_is_within_a_day(delay: float) -> None:
    assert set(wrong(Schedule(after_close=AfterClose("XNYS", delay)))) == {
        "after_close.delay"
    }


def test_an_exchange_that_is_not_known_and_a_zone_of_its_own_are_refused_together() -> (
    None
):
    schedule = Schedule(after_close=AfterClose("XXXX"), zone=NEW_YORK)

    assert set(wrong(schedule)) == {"after_close.exchange", "time_zone"}


async def test_runs_come_after_each_close_half_days_and_holidays_heeded() -> None:
    schedule = Schedule(after_close=AfterClose("xnys", 1800.0))

    found = await runs(schedule, "2024-11-27 12:00", 3, zone=NEW_YORK)

    # Thanksgiving is closed, and the day after is half a day.
    assert found == ["2024-11-27 16:30", "2024-11-29 13:30", "2024-12-02 16:30"]


async def test_of_runs_that_were_missed_only_the_next_after_now_is_left() -> None:
    schedule = Schedule(after_close=AfterClose("XNYS"))

    found = await runs(schedule, "2024-12-16 12:00", 1, zone=NEW_YORK)

    assert found == ["2024-12-16 16:00"]


async def test_a_calendar_that_cannot_be_computed_is_named() -> None:
    schedule = Schedule(after_close=AfterClose("XNAS"))

    with pytest.raises(StateUnavailableError, match="when XNAS closes: its calendar"):
        await next_run(schedule, ns("2024-11-27"), Known(None))


async def test_a_calendar_that_ends_too_soon_is_named() -> None:
    schedule = Schedule(after_close=AfterClose("XNYS"))

    with pytest.raises(StateUnavailableError, match="XNYS closes next"):
        await next_run(schedule, ns("2025-01-02"), Known())


async def test_a_schedule_that_is_wrong_has_no_next_run() -> None:
    with pytest.raises(InvalidQueryError, match="never fires"):
        await next_run(Schedule("0 0 31 2 *"), ns("2024-01-01"), Known())


def _ns(moment: datetime) -> int:
    return round(moment.replace(tzinfo=UTC).timestamp()) * SECOND_NS
