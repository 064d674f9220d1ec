"""What one window has seen, and when it has room."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ingestion_server.ports.provider import Window
from ingestion_server.quota.meters import DailyMeter, Instant, RollingMeter, meter
from tests.quota.vendors import DAY, MINUTE


def instant(text: str, seconds: float = 0.0) -> Instant:
    """Name a moment by ISO text and monotonic seconds."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return Instant(seconds, int(moment.timestamp() * 1_000_000) * 1000)


NOON = instant("2025-01-10T12:00")


def test_a_rolling_window_frees_a_call_when_its_time_and_the_margin_are_over() -> None:
    rolling = RollingMeter(MINUTE, 0.02)
    for second in range(5):
        rolling.debit(NOON.at(float(second)))

    assert rolling.used(NOON.at(60.0)) == 5
    assert rolling.free_at(NOON.at(4.0)) == 60.02
    assert rolling.free_at(NOON.at(60.02)) == 60.02
    assert rolling.used(NOON.at(60.02)) == 4
    assert rolling.free_at(NOON.at(70.0)) == 70.0


def test_a_rolling_window_that_is_refunded_has_room_again() -> None:
    rolling = RollingMeter(MINUTE, 0.02)
    for second in range(5):
        rolling.debit(NOON.at(float(second)))

    rolling.refund(NOON.at(3.0))
    rolling.refund(NOON.at(3.0))

    assert rolling.free_at(NOON.at(5.0)) == 5.0
    assert rolling.used(NOON.at(5.0)) == 4


def test_a_copy_does_not_change_its_original() -> None:
    for original in (RollingMeter(MINUTE, 0.0), DailyMeter(DAY, 0.0)):
        original.debit(NOON)

        original.copy().debit(NOON)

        assert original.used(NOON) == 1


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
    daily = DailyMeter(Window("day", 1, 86_400.0, "America/New_York"), 0.02)
    start, end = instant(now), instant(midnight)
    daily.debit(start)

    seconds = daily.free_at(start)

    assert seconds == pytest.approx((end.wall_ns - start.wall_ns) / 1e9 + 0.02)
    assert daily.free_at(start.at(seconds)) == seconds
    assert daily.used(start.at(seconds)) == 0


def test_a_wall_clock_that_is_set_back_frees_nothing() -> None:
    daily = DailyMeter(Window("day", 1, 86_400.0, "America/New_York"), 0.0)
    daily.debit(instant("2025-01-10T12:00"))

    back = instant("2025-01-09T12:00", 1.0)

    assert daily.used(back) == 1
    assert daily.free_at(back) == 1.0 + 41 * 3600


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        ("2025-01-11T04:59:59.970", 0.0),
        ("2025-01-11T04:59:59.990", 0.03),
        ("2025-01-11T05:00:00.010", 0.01),
        ("2025-01-11T05:00:00.020", 0.0),
    ],
)
def test_within_a_margin_of_midnight_nothing_leaves(now: str, seconds: float) -> None:
    daily = DailyMeter(DAY, 0.02)

    assert daily.free_at(instant(now)) == pytest.approx(seconds)


def test_a_refund_of_yesterday_is_none_of_today() -> None:
    daily = DailyMeter(DAY, 0.0)
    daily.debit(instant("2025-01-10T12:00"))
    daily.debit(instant("2025-01-11T12:00"))

    daily.refund(instant("2025-01-10T12:00"))
    assert daily.used(instant("2025-01-11T12:00")) == 1
    daily.refund(instant("2025-01-11T12:00"))
    assert daily.used(instant("2025-01-11T12:00")) == 0


@pytest.mark.parametrize(
    "window", [Window("none", 0, 60.0), Window("no_length", 1, 0.0)]
)
def test_a_window_that_lets_nothing_through_is_refused(window: Window) -> None:
    with pytest.raises(ValueError, match=window.name):
        meter(window, 0.02)


def test_asking_about_tomorrow_does_not_begin_it() -> None:
    daily = DailyMeter(DAY, 0.0)
    daily.debit(NOON)

    assert daily.used(NOON.at(86_400.0)) == 0
    assert daily.used(NOON) == 1
