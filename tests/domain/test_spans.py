"""What is left of stretches of time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.query import Span
from ingestion_server.domain.spans import hull, joined, subtracted

SPANS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda each: Span(*each)),
    max_size=6,
)


def moments(spans: Iterable[Span]) -> set[int]:
    """Return every moment that is inside."""
    return {time for span in spans for time in range(span.start_ns, span.end_ns)}


def tidy(spans: list[Span]) -> bool:
    """Tell whether stretches ascend and neither overlap nor touch."""
    return all(
        one.start_ns < one.end_ns < other.start_ns for one, other in pairwise(spans)
    ) and all(span.start_ns < span.end_ns for span in spans)


@given(SPANS)
def test_joining_changes_no_moment(spans: list[Span]) -> None:
    found = joined(spans)

    assert moments(found) == moments(spans)
    assert tidy(found)


@given(SPANS, SPANS)
def test_what_is_subtracted_is_gone_and_nothing_else(
    spans: list[Span], others: list[Span]
) -> None:
    found = subtracted(spans, others)

    assert moments(found) == moments(spans) - moments(others)
    assert found == sorted(found)


def test_a_hull_holds_all() -> None:
    assert hull([Span(5, 7), Span(1, 2)]) == Span(1, 7)
