"""Bars keep their order, and their columns stay together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.bars import ascending, concatenated, empty_series
from tests.builders import bars


def test_rows_are_put_in_order_and_of_equal_times_the_last_stays() -> None:
    series = bars([30, 10, 20, 10], [3.0, 1.0, 2.0, 9.0])

    ordered = ascending(series)

    assert ordered.open_time_ns.tolist() == [10, 20, 30]
    assert ordered.close.tolist() == [9.0, 2.0, 3.0]


@given(st.lists(st.integers(-20, 20), max_size=30))
def test_any_rows_end_up_ascending_and_unique(opens: list[int]) -> None:
    series = bars(np.array(opens, np.int64), np.arange(len(opens), dtype=float))

    ordered = ascending(series)

    last = {time: float(index) for index, time in enumerate(opens)}
    assert dict(
        zip(ordered.open_time_ns.tolist(), ordered.close.tolist(), strict=True)
    ) == dict(sorted(last.items()))
    assert ordered.open_time_ns.tolist() == sorted(last)


def test_a_series_in_order_is_returned_as_it_is() -> None:
    series = bars([10, 20])

    assert ascending(series) is series


def test_a_volume_that_one_part_lacks_is_unknown() -> None:
    whole = concatenated([bars([20], volume=None), bars([10], volume=5.0)])

    assert whole.open_time_ns.tolist() == [10, 20]
    assert whole.volume is not None
    np.testing.assert_array_equal(whole.volume, [5.0, np.nan])


def test_a_volume_that_all_parts_lack_stays_absent() -> None:
    whole = concatenated([bars([10], volume=None), bars([20], volume=None)])

    assert whole.volume is None


def test_of_parts_that_overlap_the_later_part_wins() -> None:
    whole = concatenated([bars([10, 20], 1.0), bars([20, 30], 2.0)])

    assert whole.close.tolist() == [1.0, 2.0, 2.0]


def test_one_part_is_put_in_order_too() -> None:
    assert concatenated([bars([20, 10])]).open_time_ns.tolist() == [10, 20]


def test_no_parts_are_an_empty_series() -> None:
    assert len(concatenated([])) == 0
    assert len(ascending(empty_series())) == 0


def test_a_stretch_includes_its_start_and_not_its_end() -> None:
    series = bars([10, 20, 30], volume=None)

    assert series.between(10, 30).open_time_ns.tolist() == [10, 20]
    assert len(series.between(11, 20)) == 0
