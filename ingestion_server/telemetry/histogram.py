"""Durations, counted by how long they were, for little more than a lookup each."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final, TypeAlias, final

from prometheus_client.samples import Exemplar

CALL_SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)
"""Limits for calls: from what is known already to what is given up; 2 is promised."""
LAG_SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 60.0, 900.0),
)
"""Limits for how late live data are: some plans are a quarter of an hour behind."""

Bucket: TypeAlias = tuple[str, float] | tuple[str, float, Exemplar]
"""A limit, how many were no longer, and one of those that the limit before was not."""


@final
class Histogram:
    """
    Count durations by limits, and keep the latest traced one of each.

    The library's own takes locks and a dictionary per value; here everything happens
    in the thread of the event loop, and what is read is made when it is read.
    """

    __slots__ = ("_counts", "_exemplars", "_limits", "_now", "total_seconds")

    def __init__(
        self, limits: Sequence[float], now: Callable[[], float] = time.time
    ) -> None:
        """``limits`` ascend, in seconds; ``now`` tells the time of exemplars."""
        self._limits = limits
        self._now = now
        self._counts = [0] * (len(limits) + 1)
        self._exemplars: dict[int, Exemplar] = {}
        self.total_seconds = 0.0
        """All durations together."""

    def observe(self, seconds: float, trace_id: str = "") -> None:
        """Count one; with the id of its trace, if that can be found by it."""
        place = bisect_left(self._limits, seconds)
        self._counts[place] += 1
        self.total_seconds += seconds
        if trace_id:
            self._exemplars[place] = Exemplar(
                {"trace_id": trace_id}, seconds, self._now()
            )

    def buckets(self) -> list[Bucket]:
        """Return how many were no longer than each limit; the last one is infinite."""
        return list(self._buckets())

    def _buckets(self) -> Iterator[Bucket]:
        names = [*map(str, self._limits), "+Inf"]
        for place, count in enumerate(accumulate(self._counts)):
            exemplar = self._exemplars.get(place)
            if exemplar is None:
                yield names[place], count
            else:
                yield names[place], count, exemplar
