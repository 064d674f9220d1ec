"""Lengths of time on a ladder: what is told of them is hardly more than they were."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.latencies import LEAST_SECONDS, place_of, quantile_seconds

SECONDS = st.floats(min_value=1e-6, max_value=86_400.0)
SHARES = st.sampled_from([0.001, 0.5, 0.95, 0.99, 1.0])


@given(st.lists(SECONDS, min_size=1, max_size=200), SHARES)
def test_a_quantile_is_never_too_short_and_at_most_five_per_cent_too_long(
    lengths: list[float], share: float
) -> None:
    places = Counter(map(place_of, lengths))
    rank = math.ceil(share * len(lengths) - 1e-9)
    true = sorted(lengths)[rank - 1]

    told = quantile_seconds(places, share, max(lengths))

    assert true <= told
    assert told <= max(true * 1.0500001, LEAST_SECONDS)
    assert told <= max(lengths)


@given(
    st.lists(SECONDS, min_size=1, max_size=50),
    st.lists(SECONDS, min_size=1, max_size=50),
    SHARES,
)
def test_what_is_added_up_is_as_if_one_had_counted_all_of_it(
    here: list[float], there: list[float], share: float
) -> None:
    apart = Counter(map(place_of, here)) + Counter(map(place_of, there))
    together = Counter(map(place_of, here + there))
    longest = max(here + there)

    assert quantile_seconds(apart, share, longest) == quantile_seconds(
        together, share, longest
    )


def test_a_share_that_a_float_cannot_hold_is_met_exactly() -> None:
    # 57 of 60 are 95 of 100; the 58th is of no interest.
    places = {place_of(1.0): 57, place_of(50.0): 3}

    assert quantile_seconds(places, 0.95, 50.0) == pytest.approx(1.0, rel=0.05)


def test_of_what_takes_longer_than_a_day_the_longest_is_told() -> None:
    places = {place_of(100_000.0): 1, place_of(200_000.0): 1}

    assert quantile_seconds(places, 0.5, 200_000.0) == 200_000.0


@given(st.floats(max_value=0.0, allow_nan=False))
def test_no_time_at_all_is_the_lowest_place(seconds: float) -> None:
    assert place_of(seconds) == 0
