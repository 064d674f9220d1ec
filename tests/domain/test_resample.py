"""Longer bars are made of all their shorter ones, or not at all."""

from __future__ import annotations

import numpy as np

from ingestion_server.domain.bars import empty_series
from ingestion_server.domain.grid import Grid, grid
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import HOUR_NS, Interval
from ingestion_server.domain.resample import resampled
from tests.builders import (
    NEW_YORK,
    bars,
    dates,
    grid_of,
    ns,
    sessions,
    span,
    texts,
    times,
)

HALF = HOUR_NS // 2
YEAR = sessions("2024-01-01", "2024-12-31", half=["2024-07-03"], closed=["2024-07-04"])


def listed(interval: Interval, start: str, end: str) -> Grid:
    """Give the bars of a year of ours."""
    found = grid(AssetClass.EQUITY, interval, span(start, end), YEAR)
    assert found is not None
    return found


def test_a_longer_bar_has_the_first_open_the_extremes_and_the_last_close() -> None:
    parts = grid_of([0, HALF], HALF)

    (hour,) = [resampled(bars([0, HALF], [10.0, 20.0]), parts, grid_of([0], HOUR_NS))]

    assert [hour.open[0], hour.high[0], hour.low[0], hour.close[0]] == [9, 21, 8, 20]
    assert hour.volume is not None
    assert hour.volume.tolist() == [2000.0]


def test_a_longer_bar_that_lacks_a_shorter_one_is_left_out() -> None:
    opens = np.arange(4) * HALF

    hours = resampled(
        bars(opens[[0, 1, 3]]), grid_of(opens, HALF), grid_of([0, HOUR_NS], HOUR_NS)
    )

    assert hours.open_time_ns.tolist() == [0]


def test_without_a_word_about_the_parts_whatever_is_there_is_summed_up() -> None:
    hours = resampled(bars([HALF]), None, grid_of([0], HOUR_NS))

    assert hours.open_time_ns.tolist() == [0]


def test_the_current_bar_is_made_of_what_there_is_so_far() -> None:
    week = listed(Interval.WEEK_1, "2024-05-06", "2024-05-13")
    parts = listed(Interval.DAY_1, "2024-05-06", "2024-05-13")

    so_far = resampled(
        bars(parts.opens_ns[:2]), parts.due(ns("2024-05-08 12:00")), week
    )

    assert dates(so_far.open_time_ns) == ["2024-05-06"]


def test_a_part_of_a_bar_that_is_not_wanted_takes_nothing_from_its_neighbour() -> None:
    parts = grid_of(np.arange(6) * HALF, HALF)

    hour = resampled(bars([0, HALF]), parts, grid_of([0], HOUR_NS))

    assert hour.open_time_ns.tolist() == [0]


def test_an_unknown_volume_makes_the_sum_unknown() -> None:
    series = bars([0, HALF], volume=[1.0, np.nan])

    hour = resampled(series, grid_of([0, HALF], HALF), grid_of([0], HOUR_NS))

    assert hour.volume is not None
    assert np.isnan(hour.volume[0])


def test_a_series_without_volume_sums_to_one_without() -> None:
    hour = resampled(bars([0], volume=None), None, grid_of([0], HOUR_NS))

    assert hour.volume is None


def test_hours_of_a_half_day_end_with_half_an_hour() -> None:
    parts = listed(Interval.MINUTE_30, "2024-07-03", "2024-07-05")
    hours = listed(Interval.HOUR_1, "2024-07-03", "2024-07-05")

    summed = resampled(bars(parts.opens_ns), parts, hours)

    assert texts(summed.open_time_ns, NEW_YORK) == [
        "2024-07-03 09:30",
        "2024-07-03 10:30",
        "2024-07-03 11:30",
        "2024-07-03 12:30",
    ]
    assert summed.volume is not None
    assert summed.volume.tolist() == [2000, 2000, 2000, 1000]


def test_rows_outside_of_every_wanted_bar_are_not_summed() -> None:
    evening = times("2024-05-06 22:00")
    hours = listed(Interval.HOUR_1, "2024-05-06", "2024-05-07")

    assert len(resampled(bars(evening), None, hours)) == 0


def test_nothing_sums_to_nothing() -> None:
    nothing = grid_of(np.empty(0))

    assert len(resampled(empty_series(), None, grid_of([0]))) == 0
    assert len(resampled(bars([0]), None, nothing)) == 0
