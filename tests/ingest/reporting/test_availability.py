"""Of the minutes in which an exchange was open, how many were good."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.service_counts import MINUTE_NS
from ingestion_server.domain.sessions import Sessions
from ingestion_server.ingest.reporting.availability import (
    availability,
    downtimes,
    open_minutes,
    up_minutes,
)
from ingestion_server.ports.reporting import Downtime, Stint

SECOND_NS = 10**9


def sessions(*spans: tuple[int, int], pause: tuple[int, int] = (-1, -1)) -> Sessions:
    """Return sessions that open and close at such minutes, with a pause at midday."""

    def column(values: list[int]) -> np.ndarray:
        return np.array(values, dtype=np.int64)

    paused = [each * MINUTE_NS if each >= 0 else -1 for each in pause]
    return Sessions(
        calendar="TEST",
        zone="UTC",
        labels_ns=column([0 for _ in spans]),
        opens_ns=column([opens * MINUTE_NS for opens, _ in spans]),
        closes_ns=column([closes * MINUTE_NS for _, closes in spans]),
        break_starts_ns=column([paused[0] for _ in spans]),
        break_ends_ns=column([paused[1] for _ in spans]),
        covers_from_ns=0,
        covers_until_ns=10**18,
    )


def stint(started: float, until: float) -> Stint:
    """Return a stint between two minutes."""
    return Stint("", int(started * MINUTE_NS), int(until * MINUTE_NS))


def test_only_minutes_within_the_window_and_outside_of_the_pause_are_open() -> None:
    calendar = sessions((10, 20), (30, 40), pause=(33, 35))

    found = open_minutes(calendar, 15, 37)

    assert (np.flatnonzero(found) + 15).tolist() == [
        *range(15, 20),
        *(30, 31, 32, 35, 36),
    ]


def test_a_window_without_a_session_has_no_availability() -> None:
    market = open_minutes(sessions((10, 20)), 20, 30)

    assert availability(market, up_minutes([], 20, 30), [], 20) is None
    assert availability(None, up_minutes([], 20, 30), [], 20) is None


def test_stints_of_several_servers_cover_each_other() -> None:
    ran = [stint(5, 10), stint(0, 6), stint(12, 13), stint(12, 12.5)]

    found = downtimes(ran, 0, 15 * MINUTE_NS)

    assert found == [
        Downtime(10 * MINUTE_NS, 12 * MINUTE_NS),
        Downtime(13 * MINUTE_NS, 15 * MINUTE_NS),
    ]


def test_a_minute_is_down_if_a_server_ran_for_less_than_half_of_it() -> None:
    down = [
        Downtime(0, 30 * SECOND_NS),
        Downtime(60 * SECOND_NS, 91 * SECOND_NS),
        Downtime(200 * SECOND_NS, 320 * SECOND_NS),
    ]

    assert up_minutes(down, 0, 7).tolist() == [
        True,
        False,
        True,
        # Of the fourth 20 seconds, of the sixth 40.
        False,
        False,
        True,
        True,
    ]


def test_minutes_in_which_most_calls_failed_are_not_good() -> None:
    market = open_minutes(sessions((0, 100)), 0, 100)

    share = availability(market, up_minutes([], 0, 100), [(3, 1), (60, 1 | 1 << 39)], 0)

    assert share == 0.97


@given(
    st.lists(
        st.tuples(st.integers(0, 600), st.integers(1, 100)), min_size=1, max_size=10
    ),
    st.integers(0, 600),
    st.integers(1, 600),
)
def test_what_is_no_downtime_was_covered_by_a_stint(
    ran: list[tuple[int, int]], start: int, length: int
) -> None:
    stints = [
        Stint("", begins * SECOND_NS, (begins + lasts) * SECOND_NS)
        for begins, lasts in ran
    ]
    end = start + length

    found = downtimes(stints, start * SECOND_NS, end * SECOND_NS)

    down = {
        second
        for each in found
        for second in range(each.start_ns // SECOND_NS, each.end_ns // SECOND_NS)
    }
    up = {second for begins, lasts in ran for second in range(begins, begins + lasts)}
    assert down == set(range(start, end)) - up
    assert all(one.end_ns < other.start_ns for one, other in pairwise(found))
