"""Prices are published as the vendor wrote them before it narrowed them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.kit.decimals import shortest_of_float32

FLOAT32 = st.floats(width=32, allow_nan=False)


def shortest(value: float) -> float:
    """Read the shortest text of a float32, as numpy writes it."""
    return float(np.format_float_positional(np.float32(value), unique=True))


@given(st.lists(FLOAT32, max_size=50))
def test_any_float32_becomes_its_shortest_decimal(values: list[float]) -> None:
    found = shortest_of_float32(np.array(values, np.float64))

    assert found.tolist() == [shortest(value) for value in values]
    with np.errstate(over="ignore"):
        assert found.astype(np.float32).astype(np.float64).tolist() == values


@given(st.lists(st.decimals("0.01", 9999, places=2).map(float), max_size=50))
def test_a_price_of_two_places_survives_being_narrowed(prices: list[float]) -> None:
    sent = np.array(prices, np.float64).astype(np.float32).astype(np.float64)

    assert shortest_of_float32(sent).tolist() == prices


@given(st.floats(allow_nan=False).filter(lambda value: not _is_float32(value)))
def test_what_is_no_float32_stays_as_it_is(value: float) -> None:
    assert shortest_of_float32(np.array([value])).tolist() == [value]


def _is_float32(value: float) -> bool:
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(value)) == value


def test_every_power_of_two_is_met_where_neighbours_are_not_equally_far() -> None:
    powers = 2.0 ** np.arange(-149, 128)

    assert shortest_of_float32(powers).tolist() == [shortest(p) for p in powers]


def test_a_recorded_price_is_what_yahoo_shows() -> None:
    recorded = np.array(
        [185.9199981689453, -0.10000000149011612, 3.4028234663852886e38]
    )

    assert shortest_of_float32(recorded).tolist() == [185.92, -0.1, 3.4028235e38]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e308])
def test_values_without_decimals_stay_as_they_are(value: float) -> None:
    column = np.array([value])

    found = shortest_of_float32(column)

    np.testing.assert_array_equal(found, column)
    assert np.signbit(found[0]) == np.signbit(value)


def test_the_column_itself_is_not_touched() -> None:
    column = np.array([185.9199981689453])

    shortest_of_float32(column)

    assert column.tolist() == [185.9199981689453]


def test_an_empty_column_stays_empty() -> None:
    assert len(shortest_of_float32(np.empty(0))) == 0
