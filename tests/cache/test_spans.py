"""Stretches of time are sets of moments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.cache.spans import Spans, TimedSpans
from ingestion_server.domain.query import Span

EDGES = st.integers(0, 30)
CHANGES = st.lists(st.tuples(st.booleans(), EDGES, EDGES), max_size=12)


def moments(spans: Spans) -> set[int]:
    return {moment for span in spans for moment in range(span.start_ns, span.end_ns)}


@given(CHANGES, EDGES, EDGES)
def test_stretches_hold_what_was_added_and_not_cut_out(
    changes: list[tuple[bool, int, int]], start: int, end: int
) -> None:
    spans = Spans()
    expected: set[int] = set()
    for adds, first, stop in changes:
        if adds:
            spans.add(first, stop)
            expected |= set(range(first, stop))
        else:
            spans.cut(first, stop)
            expected -= set(range(first, stop))

    assert moments(spans) == expected
    assert moments(spans.within(start, end)) == expected & set(range(start, end))
    assert all(a < b for a, b in zip(spans.edges, spans.edges[1:], strict=False))
    assert moments(Spans.of(spans.edges)) == expected


@given(CHANGES, EDGES, EDGES, st.integers(0, 5))
def test_of_stretches_with_times_the_last_one_counts(
    changes: list[tuple[bool, int, int]], start: int, end: int, most: int
) -> None:
    spans = TimedSpans()
    expected: dict[int, int] = {}
    for number, (puts, first, stop) in enumerate(changes):
        for moment in range(first, stop):
            expected.pop(moment, None)
        if puts:
            spans.put(first, stop, number // 2)
            expected |= dict.fromkeys(range(first, stop), number // 2)
        else:
            spans.cut(first, stop)

    def told(parts: list[tuple[int, int, int]]) -> dict[int, int]:
        return {moment: at for a, b, at in parts for moment in range(a, b)}

    assert told(list(spans)) == expected
    assert told(spans.within(start, end)) == {
        moment: at for moment, at in expected.items() if start <= moment < end
    }
    gone = told(spans.forget(most))
    assert len(spans) <= most
    assert told(list(spans)) | gone == expected
    assert max(gone.values(), default=0) <= min(told(list(spans)).values(), default=99)


@pytest.mark.parametrize("edges", [[1], [1, 1], [1, 3, 3, 4], [5, 2]])
def test_edges_that_are_not_ascending_pairs_are_refused(edges: list[int]) -> None:
    with pytest.raises(ValueError, match="ascending pairs"):
        Spans.of(edges)


def test_an_empty_stretch_is_nothing() -> None:
    spans = Spans([Span(5, 5), Span(7, 6)])

    assert len(spans) == 0
    assert list(spans.within(9, 9)) == []
