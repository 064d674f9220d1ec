"""Pieces of a long stretch: exactly all of it, cut where calendars turn."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.interval import DAY_NS, MINUTE_NS
from ingestion_server.domain.query import Span
from ingestion_server.ingest.jobs.cutting import Scale, cut
from tests.builders import NEW_YORK, ns, span, texts

LONGEST_DAYS = {
    Scale.YEAR: 366,
    Scale.QUARTER: 92,
    Scale.MONTH: 31,
    Scale.WEEK: 7,
    Scale.DAY: 1,
}
HOUR_NS = 60 * MINUTE_NS
FIRST, LAST = ns("1995-01-01") // MINUTE_NS, ns("2030-01-01") // MINUTE_NS
minutes = st.integers(FIRST, LAST).map(lambda minute: minute * MINUTE_NS)


def starts(whole: Span, scale: Scale, zone: str = "UTC") -> list[str]:
    """Tell where the pieces begin."""
    return texts([each.start_ns for each in cut(whole, scale, zone)], zone)


@given(
    start_ns=minutes,
    length_ns=st.integers(1, 500 * DAY_NS),
    scale=st.sampled_from(list(Scale)),
    zone=st.sampled_from(["UTC", NEW_YORK, "Asia/Tokyo", "America/Sao_Paulo"]),
)
def test_the_pieces_are_exactly_the_whole_and_none_is_too_long(
    start_ns: int, length_ns: int, scale: Scale, zone: str
) -> None:
    whole = Span(start_ns, start_ns + length_ns)

    pieces = cut(whole, scale, zone)

    assert (pieces[0].start_ns, pieces[-1].end_ns) == (whole.start_ns, whole.end_ns)
    assert all(left.end_ns == right.start_ns for left, right in pairwise(pieces))
    # When clocks are put back, a day lasts longer.
    longest = LONGEST_DAYS.get(scale, 501) * DAY_NS + HOUR_NS
    assert all(0 < each.end_ns - each.start_ns <= longest for each in pieces)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (Scale.WHOLE, ["2023-11-15 00:00"]),
        (Scale.YEAR, ["2023-11-15 00:00", "2024-01-01 00:00"]),
        (Scale.QUARTER, ["2023-11-15 00:00", "2024-01-01 00:00"]),
        (
            Scale.MONTH,
            [
                "2023-11-15 00:00",
                "2023-12-01 00:00",
                "2024-01-01 00:00",
                "2024-02-01 00:00",
            ],
        ),
    ],
)
def test_pieces_begin_where_something_begins(scale: Scale, expected: list[str]) -> None:
    assert starts(span("2023-11-15", "2024-02-03"), scale) == expected


def test_weeks_begin_on_monday_and_days_at_midnight_of_the_zone() -> None:
    some_days = span("2024-03-09 10:00", "2024-03-12 10:00", NEW_YORK)

    assert starts(some_days, Scale.WEEK, NEW_YORK) == [
        "2024-03-09 10:00",
        "2024-03-11 00:00",
    ]
    assert starts(some_days, Scale.DAY, NEW_YORK) == [
        "2024-03-09 10:00",
        "2024-03-10 00:00",
        "2024-03-11 00:00",
        "2024-03-12 00:00",
    ]


def test_of_nothing_there_is_no_piece() -> None:
    assert cut(span("2024-01-02", "2024-01-02"), Scale.DAY, "UTC") == []
