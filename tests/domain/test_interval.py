"""Labels of bars agree with the calendar of the standard library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.interval import (
    DAY_NS,
    SECOND_NS,
    Interval,
    day_labels,
    label_ends,
    labels,
    month_labels,
    week_labels,
)
from tests.builders import dates, times

MOMENTS = st.datetimes(
    datetime(1771, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2169, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=0))


def column(moment: datetime) -> np.ndarray:
    """Give one moment as a column."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return np.array([(since.days * 86_400 + since.seconds) * SECOND_NS], np.int64)


@given(MOMENTS)
def test_a_day_is_labelled_by_its_midnight(moment: datetime) -> None:
    midnight = moment.replace(hour=0, minute=0, second=0)

    assert day_labels(column(moment)) == column(midnight)


@given(MOMENTS)
def test_a_week_is_labelled_by_its_monday(moment: datetime) -> None:
    midnight = moment.replace(hour=0, minute=0, second=0)

    monday = midnight - timedelta(days=moment.isoweekday() - 1)

    assert week_labels(column(moment)) == column(monday)


@given(MOMENTS)
def test_a_month_is_labelled_by_its_first(moment: datetime) -> None:
    first = moment.replace(day=1, hour=0, minute=0, second=0)

    assert month_labels(column(moment)) == column(first)


@given(MOMENTS, st.sampled_from([Interval.DAY_1, Interval.WEEK_1, Interval.MONTH_1]))
def test_every_moment_lies_within_its_bar(moment: datetime, interval: Interval) -> None:
    time = column(moment)

    label = labels(time, interval)

    end = label_ends(label, interval)
    assert label <= time < end
    assert labels(end, interval) == end
    assert labels(end - 1, interval) == label


def test_months_end_where_the_next_begins() -> None:
    opens = times("2024-01-01", "2024-02-01", "2024-12-01", "1969-12-01")

    ends = label_ends(opens, Interval.MONTH_1)

    assert dates(ends) == ["2024-02-01", "2024-03-01", "2025-01-01", "1970-01-01"]


def test_a_bar_within_a_day_ends_after_its_length() -> None:
    opens = times("2024-01-05 14:30")

    assert label_ends(opens, Interval.MINUTE_30) == times("2024-01-05 15:00")


@pytest.mark.parametrize("interval", list(Interval))
def test_no_labels_have_no_ends(interval: Interval) -> None:
    nothing = np.empty(0, np.int64)

    assert len(labels(nothing, interval)) == 0
    assert len(label_ends(nothing, interval)) == 0


def test_intervals_know_their_length_and_if_they_are_within_a_day() -> None:
    lengths = {i.value: i.length_ns / DAY_NS for i in Interval if not i.intraday}

    assert lengths == {"1d": 1, "1w": 7, "1mo": 31}
