"""Stretches of time that do not overlap: added, cut out, and looked up."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple, Self, final

from ingestion_server.domain.query import Span


@final
class Spans:
    """
    Hold stretches, disjoint and ascending; those that touch are one.

    They are kept as one list of edges: a start, its end, the next start, and so on.
    So a time is inside if an odd number of edges is at or before it.
    """

    __slots__ = ("edges",)

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self.edges: list[int] = []
        for span in spans:
            self.add(span.start_ns, span.end_ns)

    @classmethod
    def of(cls, edges: list[int]) -> Self:
        """
        Return the stretches between edges that somebody has kept.

        Raises:
            ValueError: They are not pairs, ascending.

        """
        if len(edges) % 2 or any(a >= b for a, b in pairwise(edges)):
            raise ValueError("the edges of stretches are not ascending pairs")
        spans = cls()
        spans.edges = edges
        return spans

    def __iter__(self) -> Iterator[Span]:
        edges = self.edges
        return map(Span, edges[::2], edges[1::2])

    def __len__(self) -> int:
        return len(self.edges) // 2

    def add(self, start_ns: int, end_ns: int) -> None:
        """Add a stretch; an empty one adds nothing."""
        if start_ns >= end_ns:
            return
        first = bisect_left(self.edges, start_ns)
        stop = bisect_right(self.edges, end_ns)
        # An edge inside of another stretch is none any more.
        edges = [] if first % 2 else [start_ns]
        if stop % 2 == 0:
            edges.append(end_ns)
        self.edges[first:stop] = edges

    def cut(self, start_ns: int, end_ns: int) -> None:
        """Take a stretch out."""
        if start_ns >= end_ns:
            return
        first = bisect_left(self.edges, start_ns)
        stop = bisect_right(self.edges, end_ns)
        edges = [start_ns] if first % 2 else []
        if stop % 2:
            edges.append(end_ns)
        self.edges[first:stop] = edges

    def within(self, start_ns: int, end_ns: int) -> Spans:
        """Return the parts that are in ``[start, end)``."""
        found = Spans()
        if start_ns >= end_ns:
            return found
        first = bisect_right(self.edges, start_ns)
        stop = bisect_left(self.edges, end_ns)
        found.edges = self.edges[first:stop]
        if first % 2:
            found.edges.insert(0, start_ns)
        if stop % 2:
            found.edges.append(end_ns)
        return found


class Timed(NamedTuple):
    """Be a stretch, and the time at which somebody was asked for it."""

    start_ns: int
    end_ns: int
    at_ns: int


@final
class TimedSpans:
    """Hold stretches, disjoint and ascending, each with the time it was asked for."""

    __slots__ = ("_at", "_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._at: list[int] = []

    def __iter__(self) -> Iterator[Timed]:
        return map(Timed, self._starts, self._ends, self._at)

    def __len__(self) -> int:
        return len(self._starts)

    def put(self, start_ns: int, end_ns: int, at_ns: int) -> None:
        """Put a stretch in the place of whatever it overlaps."""
        if start_ns >= end_ns:
            return
        self.cut(start_ns, end_ns)
        place = bisect_left(self._starts, start_ns)
        if place and (self._ends[place - 1], self._at[place - 1]) == (start_ns, at_ns):
            self._ends[place - 1] = end_ns
            return
        self._starts.insert(place, start_ns)
        self._ends.insert(place, end_ns)
        self._at.insert(place, at_ns)

    def cut(self, start_ns: int, end_ns: int) -> None:
        """Take a stretch out."""
        first = bisect_right(self._ends, start_ns)
        stop = bisect_left(self._starts, end_ns)
        if start_ns >= end_ns or first >= stop:
            return
        left = self._starts[first], start_ns, self._at[first]
        right = end_ns, self._ends[stop - 1], self._at[stop - 1]
        rest = [Timed(*each) for each in (left, right) if each[0] < each[1]]
        self._starts[first:stop] = [each.start_ns for each in rest]
        self._ends[first:stop] = [each.end_ns for each in rest]
        self._at[first:stop] = [each.at_ns for each in rest]

    def within(self, start_ns: int, end_ns: int) -> list[Timed]:
        """Return the parts that are in ``[start, end)``."""
        first = bisect_right(self._ends, start_ns)
        stop = bisect_left(self._starts, end_ns)
        if start_ns >= end_ns:
            return []
        return [
            Timed(
                max(self._starts[index], start_ns),
                min(self._ends[index], end_ns),
                self._at[index],
            )
            for index in range(first, stop)
        ]

    def forget(self, most: int) -> list[Timed]:
        """Take out those asked for longest ago until ``most`` are left; return them."""
        if len(self) <= most:
            return []
        by_age = sorted(self, key=lambda each: each.at_ns)
        gone = by_age[: len(by_age) - most]
        for each in gone:
            self.cut(each.start_ns, each.end_ns)
        return gone
