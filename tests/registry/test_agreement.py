"""Two vendors are compared bar by bar, and only where both have a price."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingestion_server.domain.bars import BarSeries, BarState, empty_series
from ingestion_server.domain.query import AGREEMENT
from ingestion_server.registry.agreement import Comparison, differences, settled
from tests.builders import bars

NAN = float("nan")
PRICES = ("open", "high", "low", "close")


def compared(
    mine: BarSeries, theirs: BarSeries, tolerance: float = AGREEMENT
) -> Comparison:
    """Compare, and check what is true of every comparison."""
    found = differences(mine, theirs, tolerance=tolerance)
    assert found.agreeing + len(found.disagreeing_ns) == found.compared
    assert len(found.details) == len(found.disagreeing_ns)
    assert (found.worst is None) == (found.worst_ns is None) == (not found.compared)
    return found


def quoted(price: float, *, at: int = 1, **prices: float) -> BarSeries:
    """Make one bar whose prices are the same, but for some."""
    columns = {name: np.array([prices.get(name, price)]) for name in PRICES}
    return BarSeries(np.array([at], np.int64), **columns)


def test_equal_series_agree_without_any_distance() -> None:
    found = compared(bars([1, 2, 3], [10.0, 20.0, 30.0]), bars([1, 2, 3], [10, 20, 30]))

    assert (found.compared, found.agreeing, found.worst, found.worst_ns) == (3, 3, 0, 1)
    assert found.details == []


def test_a_price_beyond_the_tolerance_is_told_with_both_values() -> None:
    found = compared(quoted(185.92), quoted(185.92, close=186.01))

    assert found.disagreeing_ns.tolist() == [1]
    assert found.details == ["close 185.92 against 186.01 (0.0484 %)"]
    assert found.worst == pytest.approx(0.09 / 186.01)


def test_every_price_beyond_the_tolerance_is_told() -> None:
    found = compared(quoted(100.0), quoted(100.0, open=50.0, high=200.0))

    assert found.details == ["open 100 against 50 (50 %), high 100 against 200 (50 %)"]


def test_only_bars_beyond_the_tolerance_are_told_by_their_times() -> None:
    found = compared(
        bars([1, 2, 3], [100.0, 100.0, 100.0]),
        bars([1, 2, 3], [100.0, 120.0, 100.4]),
        tolerance=0.01,
    )

    assert (found.compared, found.agreeing) == (3, 2)
    assert found.disagreeing_ns.tolist() == [2]
    assert found.worst_ns == 2


@pytest.mark.parametrize(("tolerance", "agrees"), [(0.5, True), (0.499, False)])
def test_exactly_the_tolerance_agrees(tolerance: float, *, agrees: bool) -> None:
    found = compared(quoted(1.0), quoted(2.0), tolerance)

    assert found.agreeing == agrees
    assert found.worst == 0.5


def test_with_no_tolerance_only_equal_prices_agree() -> None:
    found = compared(quoted(1.0), quoted(1.0, low=np.nextafter(1.0, 0)), 0.0)

    assert (found.compared, found.agreeing) == (1, 0)


def test_bars_that_only_one_has_are_told_apart() -> None:
    found = compared(bars([1, 2, 3]), bars([2, 4]))

    assert (found.compared, found.agreeing) == (1, 1)
    assert found.unmatched_mine_ns.tolist() == [1, 3]
    assert found.unmatched_theirs_ns.tolist() == [4]


def test_a_price_that_one_lacks_is_not_compared() -> None:
    found = compared(quoted(10.0, open=NAN), quoted(10.0, close=NAN))

    assert (found.compared, found.agreeing, found.worst) == (1, 1, 0)


def test_bars_without_a_price_in_common_are_neither_compared_nor_missing() -> None:
    lacking = quoted(NAN, close=10.0)

    found = compared(lacking, quoted(10.0, close=NAN))

    assert (found.compared, found.agreeing, found.worst) == (0, 0, None)
    assert not len(found.unmatched_mine_ns)
    assert not len(found.unmatched_theirs_ns)


def test_nothing_agrees_with_nothing() -> None:
    found = compared(empty_series(), empty_series())

    assert (found.compared, found.agreeing, found.worst) == (0, 0, None)


def test_against_nothing_all_bars_are_unmatched() -> None:
    found = compared(bars([1, 2]), empty_series())

    assert (found.compared, found.unmatched_mine_ns.tolist()) == (0, [1, 2])


def test_prices_below_zero_and_at_zero_are_compared_by_their_size() -> None:
    assert compared(quoted(0.0), quoted(0.0)).worst == 0
    assert compared(quoted(-37.0), quoted(-37.0)).worst == 0
    assert compared(quoted(-10.0), quoted(10.0)).worst == 2
    assert compared(quoted(0.0), quoted(10.0)).worst == 1


def test_huge_prices_do_not_overflow() -> None:
    assert compared(quoted(1e308), quoted(-1e308)).worst == 2


def test_bars_that_can_still_change_with_either_are_left_out() -> None:
    final, partial, revised = BarState.FINAL, BarState.PARTIAL, BarState.REVISED
    mine, theirs = bars([1, 2, 3]), bars([2, 3, 4, 5])

    kept = settled(
        mine,
        np.array([final, partial, revised], np.uint8),
        theirs,
        np.array([final, final, final, partial], np.uint8),
    )

    # 2 is final with one of them, and yet neither compared nor missing.
    assert [each.open_time_ns.tolist() for each in kept] == [[1, 3], [3, 4]]


PRICE = st.one_of(st.just(NAN), st.floats(0.01, 1e6))
ROWS = st.dictionaries(st.integers(0, 20), st.tuples(*[PRICE] * 4), max_size=15)


def series_of(rows: dict[int, tuple[float, ...]]) -> BarSeries:
    """Make the bars of a table."""
    times = sorted(rows)
    columns = np.array([rows[time] for time in times], np.float64).reshape(-1, 4)
    return BarSeries(np.array(times, np.int64), *columns.T)


@given(ROWS, ROWS, st.floats(0, 0.999))
def test_it_is_what_looking_at_each_price_would_tell(
    mine: dict[int, tuple[float, ...]],
    theirs: dict[int, tuple[float, ...]],
    tolerance: float,
) -> None:
    expected: dict[int, list[float]] = {}
    for time in mine.keys() & theirs.keys():
        pairs = zip(mine[time], theirs[time], strict=True)
        distances = [
            abs(a / max(a, b) - b / max(a, b)) for a, b in pairs if not isnan(a + b)
        ]
        if distances:
            expected[time] = distances

    found = compared(series_of(mine), series_of(theirs), tolerance)

    assert found.compared == len(expected)
    assert found.disagreeing_ns.tolist() == sorted(
        time for time, each in expected.items() if max(each) > tolerance
    )
    assert found.worst == max((max(each) for each in expected.values()), default=None)
    assert found.unmatched_mine_ns.tolist() == sorted(mine.keys() - theirs.keys())
    assert found.unmatched_theirs_ns.tolist() == sorted(theirs.keys() - mine.keys())


@given(ROWS, ROWS)
def test_it_is_the_same_the_other_way_round(
    mine: dict[int, tuple[float, ...]], theirs: dict[int, tuple[float, ...]]
) -> None:
    one = compared(series_of(mine), series_of(theirs))
    other = compared(series_of(theirs), series_of(mine))

    assert one.worst == other.worst
    assert one.disagreeing_ns.tolist() == other.disagreeing_ns.tolist()
    assert one.unmatched_mine_ns.tolist() == other.unmatched_theirs_ns.tolist()


def test_volume_is_not_compared() -> None:
    mine = bars([1], volume=1.0)

    assert compared(mine, replace(mine, volume=None)).agreeing == 1
