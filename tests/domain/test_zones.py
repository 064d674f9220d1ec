"""Wall clocks agree with those of the standard library."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.zones import local_from_utc, utc_from_local
from tests.builders import NEW_YORK, texts, times

ZONES = (
    NEW_YORK,
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Asia/Gaza",
    "Asia/Hong_Kong",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/London",
    "Europe/Warsaw",
    "Pacific/Apia",
    "Pacific/Auckland",
    "UTC",
)
SINCE_1900 = st.integers(
    int(datetime(1900, 1, 2, tzinfo=UTC).timestamp()),
    int(datetime(2099, 12, 30, tzinfo=UTC).timestamp()),
)


def reading(moment: datetime) -> int:
    """Give a wall clock's reading, as if it were UTC."""
    return round(moment.replace(tzinfo=UTC).timestamp())


@given(SINCE_1900, st.sampled_from(ZONES))
def test_any_moment_reads_as_the_standard_library_says(seconds: int, zone: str) -> None:
    expected = reading(datetime.fromtimestamp(seconds, ZoneInfo(zone)))

    local = local_from_utc(np.array([seconds * SECOND_NS]), zone)

    assert local[0] // SECOND_NS == expected


@given(SINCE_1900, st.sampled_from(ZONES))
def test_any_reading_means_the_moment_that_the_standard_library_says(
    seconds: int, zone: str
) -> None:
    naive = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    expected = round(naive.replace(tzinfo=ZoneInfo(zone)).timestamp())

    utc = utc_from_local(np.array([seconds * SECOND_NS]), zone)

    assert utc[0] // SECOND_NS == expected


@pytest.mark.parametrize("zone", ZONES)
def test_the_hours_around_every_change_agree_too(zone: str) -> None:
    info = ZoneInfo(zone)
    hours = range(
        int(datetime(2010, 1, 1, tzinfo=UTC).timestamp()),
        int(datetime(2012, 1, 1, tzinfo=UTC).timestamp()),
        1800,
    )
    naive = [datetime.fromtimestamp(s, UTC).replace(tzinfo=None) for s in hours]
    expected = [round(moment.replace(tzinfo=info).timestamp()) for moment in naive]

    utc = utc_from_local(np.array(hours) * SECOND_NS, zone) // SECOND_NS

    assert utc.tolist() == expected


def test_of_an_hour_that_occurs_twice_the_first_is_meant() -> None:
    autumn = times("2024-11-03 01:30")

    assert texts(utc_from_local(autumn, NEW_YORK)) == ["2024-11-03 05:30"]


def test_an_hour_that_never_occurs_is_read_with_the_offset_before() -> None:
    spring = times("2024-03-10 02:30")

    assert texts(utc_from_local(spring, NEW_YORK)) == ["2024-03-10 07:30"]


def test_the_last_second_of_a_daylight_saving_time_is_found() -> None:
    change = times("2024-11-03 06:00")

    around = local_from_utc(np.array([change[0] - SECOND_NS, change[0]]), NEW_YORK)

    assert texts(around) == ["2024-11-03 01:59", "2024-11-03 01:00"]


def test_nothing_converts_to_nothing() -> None:
    nothing = np.empty(0, np.int64)

    assert len(local_from_utc(nothing, NEW_YORK)) == 0
    assert len(utc_from_local(nothing, NEW_YORK)) == 0
