"""Stretches of time: what is left of them, and what they come to together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ingestion_server.domain.query import Span


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return the same time as stretches that neither overlap nor touch, ascending."""
    found: list[Span] = []
    for span in sorted(spans):
        if span.start_ns >= span.end_ns:
            continue
        if found and span.start_ns <= found[-1].end_ns:
            last = found.pop()
            span = Span(last.start_ns, max(last.end_ns, span.end_ns))  # noqa: PLW2901 - grows
        found.append(span)
    return found


def subtracted(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return the part of the spans that lies in none of the others, ascending."""
    found: list[Span] = []
    taken = joined(others)
    for span in joined(spans):
        start_ns = span.start_ns
        for other in taken:
            if other.end_ns <= start_ns:
                continue
            if other.start_ns >= span.end_ns:
                break
            if other.start_ns > start_ns:
                found.append(Span(start_ns, other.start_ns))
            start_ns = other.end_ns
        if start_ns < span.end_ns:
            found.append(Span(start_ns, span.end_ns))
    return found


def hull(spans: Sequence[Span]) -> Span:
    """Return the shortest stretch that holds all of the spans; there must be one."""
    return Span(
        min(span.start_ns for span in spans), max(span.end_ns for span in spans)
    )
