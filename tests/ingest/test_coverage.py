"""What is known once a vendor has answered."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from ingestion_server.domain.interval import DAY_NS, MINUTE_NS, Interval
from ingestion_server.domain.query import Span
from ingestion_server.ingest.coverage import coverage, settled_until_ns
from tests.builders import ns
from tests.ingest.making import ACME, NOW, june, piece, progress

WHOLE = Span(ns("2024-06-03"), ns("2024-06-15"))
"""Ten sessions."""
ALL = june(3, 4, 5, 6, 7, 10, 11, 12, 13, 14)


def day(number: int) -> Span:
    """Return one day of June."""
    start = ns(f"2024-06-{number:02}")
    return Span(start, start + DAY_NS)


def test_what_was_asked_for_and_came_is_known_weekends_included() -> None:
    made = progress()

    found = coverage(made.query, made.scope, [WHOLE], piece(ACME, ALL), whole=True)

    assert list(found.spans) == [WHOLE]
    assert not found.absent


def test_a_bar_that_was_due_and_did_not_come_is_known_to_be_absent() -> None:
    made = progress()
    given = piece(ACME, june(3, 4, 5, 6, 7, 10, 12, 13, 14))

    found = coverage(made.query, made.scope, [WHOLE], given, whole=True)

    assert list(found.spans) == [WHOLE]
    assert list(found.absent) == [day(11)]


def test_of_an_answer_that_broke_off_only_its_bars_are_known() -> None:
    made = progress()
    given = piece(ACME, june(3, 4, 10))

    found = coverage(made.query, made.scope, [WHOLE], given, whole=False)

    assert list(found.spans) == [
        Span(day(3).start_ns, day(4).end_ns),
        day(10),
    ]
    assert not found.absent


def test_outside_of_the_scope_only_the_bars_that_came_are_known() -> None:
    made = progress("2024-06-10")
    wider = Span(day(3).start_ns, WHOLE.end_ns)
    given = piece(ACME, june(3, 10, 11, 12, 13, 14))

    found = coverage(made.query, made.scope, [wider], given, whole=True)

    assert list(found.spans) == [day(3), Span(day(10).start_ns, WHOLE.end_ns)]
    assert not found.absent


def test_without_a_calendar_a_long_pause_is_doubtful_and_a_weekend_is_not() -> None:
    made = progress(symbol="AAPL", exchange="XNYS")
    unknown = replace(made.scope, wanted=None, due=None)
    given = piece(ACME, june(3, 4, 5, 6, 7, 10))
    long = Span(WHOLE.start_ns, day(28).end_ns)

    found = coverage(made.query, replace(unknown, span=long), [long], given, whole=True)

    assert list(found.spans) == [long]
    assert list(found.absent) == [Span(day(10).end_ns, long.end_ns)]


def test_without_a_calendar_an_empty_answer_is_doubtful() -> None:
    made = progress()
    unknown = replace(made.scope, wanted=None, due=None)
    nothing = piece(ACME, june(3)).take(np.zeros(1, np.bool_))

    found = coverage(made.query, unknown, [WHOLE], nothing, whole=True)

    assert list(found.absent) == [WHOLE]


@pytest.mark.parametrize(
    ("interval", "now", "forming"),
    [
        (Interval.DAY_1, "2024-06-12T20:14:59Z", "2024-06-12"),
        (Interval.WEEK_1, "2024-06-12T20:15:00Z", "2024-06-10"),
    ],
)
def test_what_is_settled_ends_before_the_first_bar_that_is_not(
    interval: Interval, now: str, forming: str
) -> None:
    now_ns = ns(now)
    made = progress("2024-05-06", None, interval=interval, now_ns=now_ns)

    assert settled_until_ns(made.query, made.scope, now_ns) == ns(forming)


def test_a_session_is_settled_a_quarter_of_an_hour_after_its_end() -> None:
    now_ns = ns("2024-06-12T20:15:00Z")
    made = progress("2024-05-06", None, now_ns=now_ns)

    assert settled_until_ns(made.query, made.scope, now_ns) > ns("2024-06-12")


def test_without_a_calendar_a_day_is_settled_a_day_later() -> None:
    made = progress()
    unknown = replace(made.scope, wanted=None, due=None)
    early = ns("2024-06-12T00:15:00Z")

    assert settled_until_ns(made.query, unknown, early) == ns("2024-06-11")


def test_without_a_calendar_a_minute_is_settled_when_it_has_settled() -> None:
    made = progress(interval=Interval.MINUTE_1, start="2024-06-12", end="2024-06-13")
    unknown = replace(made.scope, wanted=None, due=None)
    now_ns = ns("2024-06-12T15:00:00Z")

    settled = settled_until_ns(made.query, unknown, now_ns)

    assert settled == now_ns - 16 * MINUTE_NS + 1


def test_of_long_ago_everything_is_settled() -> None:
    made = progress()

    assert settled_until_ns(made.query, made.scope, NOW) == made.scope.span.end_ns
