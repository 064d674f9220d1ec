"""Adjustments are undone as they were made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.actions import CorporateActions, adjusted, dividend_factors
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.bars import BarSeries, empty_series
from ingestion_server.domain.interval import DAY_NS
from tests.builders import bars, dates, days, ns, times

RAW, SPLIT, BOTH = Adjustment
NOW = ns("2024-01-01")


def actions(
    splits: dict[str, float] | None = None, dividends: dict[str, float] | None = None
) -> CorporateActions:
    """Give the actions by their ex-dates."""
    splits, dividends = splits or {}, dividends or {}
    return CorporateActions(
        times(*splits),
        np.array(list(splits.values()), np.float64),
        times(*dividends),
        np.array(list(dividends.values()), np.float64),
        NOW,
    )


APPLE = actions({"2014-06-09": 7.0, "2020-08-31": 4.0}, {"2020-08-07": 0.998})


def turned(
    series: BarSeries,
    known: CorporateActions,
    given_: Adjustment,
    wanted: Adjustment,
    basis_ns: int = NOW,
) -> BarSeries:
    """Adjust bars of days."""
    return adjusted(
        series,
        known,
        given=given_,
        wanted=wanted,
        days_ns=series.open_time_ns,
        basis_ns=basis_ns,
    )


def test_prices_before_apples_split_are_a_quarter_and_volumes_fourfold() -> None:
    raw = bars(times("2020-08-28", "2020-08-31"), [499.23, 129.04], volume=[10.0, 20.0])

    split = turned(raw, APPLE, RAW, SPLIT)

    assert split.close.tolist() == [124.8075, 129.04]
    assert split.volume is not None
    assert split.volume.tolist() == [40.0, 20.0]


def test_several_splits_multiply() -> None:
    raw = bars(times("2014-06-06", "2014-06-09"), 645.57)

    assert turned(raw, APPLE, RAW, SPLIT).close.tolist() == [
        pytest.approx(645.57 / 28, rel=1e-11),
        pytest.approx(645.57 / 4, rel=1e-11),
    ]


def test_a_split_after_the_basis_is_not_applied() -> None:
    raw = bars(times("2020-08-28"), 499.23)

    before = turned(raw, APPLE, RAW, SPLIT, ns("2020-08-30 23:59"))
    on_the_day = turned(raw, APPLE, RAW, SPLIT, ns("2020-08-31"))

    assert before.close.tolist() == [499.23]
    assert on_the_day.close.tolist() == [124.8075]


def test_dividends_lower_the_prices_before_them_and_leave_the_volume() -> None:
    split = bars(times("2020-08-06", "2020-08-07"), 100.0)

    total = turned(split, APPLE, SPLIT, BOTH)

    assert total.close.tolist() == [99.8, 100.0]
    assert total.volume is not None
    assert total.volume.tolist() == [1000.0, 1000.0]


def test_raw_prices_take_splits_and_dividends_at_once() -> None:
    raw = bars(times("2020-08-06"), 400.0)

    total = turned(raw, APPLE, RAW, BOTH)

    assert total.close.tolist() == [99.8]
    assert total.volume is not None
    assert total.volume.tolist() == [4000.0]


def test_prices_with_no_action_after_them_keep_every_digit() -> None:
    precise = 129.040000000000123
    raw = bars(times("2020-08-28", "2020-08-31"), precise, volume=123_456_789_012_345.0)

    split = turned(raw, APPLE, RAW, SPLIT)

    assert split.close[1] == precise
    assert split.volume is not None
    assert split.volume[1] == 123_456_789_012_345.0


def test_unknown_values_stay_unknown() -> None:
    raw = bars(times("2020-08-27", "2020-08-28"), [np.nan, 400.0], volume=[np.nan, 0.0])

    split = turned(raw, APPLE, RAW, SPLIT)

    np.testing.assert_array_equal(split.close, [np.nan, 100.0])
    np.testing.assert_array_equal(split.volume, [np.nan, 0.0])


def test_a_volume_that_is_absent_stays_absent() -> None:
    raw = bars(times("2020-08-28"), 400.0, volume=None)

    assert turned(raw, APPLE, RAW, SPLIT).volume is None


@pytest.mark.parametrize("adjustment", list(Adjustment))
def test_what_is_wanted_already_is_returned_as_it_is(adjustment: Adjustment) -> None:
    series = bars(times("2020-08-28"))

    assert turned(series, APPLE, adjustment, adjustment) is series


def test_a_series_without_bars_needs_no_adjusting() -> None:
    assert len(turned(empty_series(), APPLE, RAW, SPLIT)) == 0


def test_without_actions_nothing_changes() -> None:
    series = bars(times("2020-08-28"), 123.456)

    total = turned(series, actions(), RAW, BOTH)

    assert total.close.tolist() == [123.456]


@pytest.mark.parametrize("extreme", [1e-320, 1e-300, 1e-30, 1e25, 1e300, np.inf])
def test_absurd_prices_raise_no_warning(extreme: float) -> None:
    series = bars(times("2020-08-28"), extreme)

    split = turned(series, APPLE, RAW, SPLIT)

    assert split.close[0] == pytest.approx(extreme / 4, rel=1e-11, abs=1e-30)


SPLITS = st.lists(
    st.tuples(
        st.integers(1, 99), st.sampled_from([2.0, 3.0, 4.0, 7.0, 1.5, 0.1, 0.05])
    ),
    max_size=6,
    unique_by=lambda split: split[0],
).map(sorted)
DIVIDENDS = st.lists(
    st.tuples(st.integers(1, 99), st.floats(0.5, 1.0)),
    max_size=6,
    unique_by=lambda dividend: dividend[0],
).map(sorted)
PRICES = st.lists(
    st.decimals(min_value="0.01", max_value=100_000, places=4).map(float),
    min_size=1,
    max_size=100,
)


@given(
    PRICES, SPLITS, DIVIDENDS, st.integers(0, 120), st.permutations(list(Adjustment))
)
def test_there_and_back_again_is_the_same_price(
    prices: list[float],
    splits: list[tuple[int, float]],
    dividends: list[tuple[int, float]],
    basis: int,
    way: list[Adjustment],
) -> None:
    known = CorporateActions(
        np.array([day for day, _ in splits], np.int64) * DAY_NS,
        np.array([ratio for _, ratio in splits], np.float64),
        np.array([day for day, _ in dividends], np.int64) * DAY_NS,
        np.array([factor for _, factor in dividends], np.float64),
        200 * DAY_NS,
    )
    series = bars(np.arange(len(prices)) * DAY_NS, prices)
    here, there = way[:2]

    forth = turned(series, known, here, there, basis * DAY_NS)
    back = turned(forth, known, there, here, basis * DAY_NS)

    np.testing.assert_allclose(back.close, series.close, rtol=1e-9)
    np.testing.assert_allclose(back.volume, series.volume, rtol=1e-9)


@given(SPLITS, st.integers(0, 100), st.integers(0, 120))
def test_a_day_is_divided_by_every_split_after_it_up_to_the_basis(
    splits: list[tuple[int, float]], day: int, basis: int
) -> None:
    known = actions()
    known = CorporateActions(
        np.array([at for at, _ in splits], np.int64) * DAY_NS,
        np.array([ratio for _, ratio in splits], np.float64),
        known.dividend_days_ns,
        known.dividend_factors,
        NOW,
    )
    expected = np.prod([ratio for at, ratio in splits if day < at <= basis])

    factors = known.split_factors(np.array([day * DAY_NS]), basis * DAY_NS)

    assert factors[0] == pytest.approx(expected)


def test_a_dividends_effect_is_its_part_of_the_close_before() -> None:
    closes = days("2024-05-06", 3, 50.0)
    amounts = np.array([0.5])

    known, factors = dividend_factors(times("2024-05-08"), amounts, closes)

    assert dates(known) == ["2024-05-08"]
    assert factors.tolist() == [0.99]


@pytest.mark.parametrize(
    ("amount", "close"),
    [
        (0.5, np.nan),
        (0.5, 0.0),
        (60.0, 50.0),
        (50.0, 50.0),
        (-1.0, 50.0),
        (np.nan, 5.0),
    ],
)
def test_an_effect_that_cannot_be_is_left_out(amount: float, close: float) -> None:
    closes = days("2024-05-06", 3, close)

    known, _ = dividend_factors(times("2024-05-08"), np.array([amount]), closes)

    assert len(known) == 0


def test_a_dividend_before_the_first_close_is_left_out() -> None:
    ex_dates = times("2024-05-06", "2024-05-07")

    known, factors = dividend_factors(
        ex_dates, np.array([1.0, 1.0]), days("2024-05-06", 3, 50.0)
    )

    assert dates(known) == ["2024-05-07"]
    assert factors.tolist() == [0.98]


def test_without_closes_or_dividends_there_are_no_effects() -> None:
    ex_date, none = times("2024-05-06"), np.empty(0)

    assert len(dividend_factors(ex_date, np.array([1.0]), empty_series())[0]) == 0
    assert len(dividend_factors(ex_date[:0], none, days("2024-05-06", 3))[0]) == 0
    assert len(dividend_factors(ex_date[:0], none, empty_series())[0]) == 0
