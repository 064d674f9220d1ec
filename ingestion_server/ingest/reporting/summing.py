"""Add up what was counted, a stretch at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import final

from ingestion_server.domain.service_counts import Counts, Facts, Stretch, joined
from ingestion_server.domain.service_packing import unpacked
from ingestion_server.ports.reporting import CountedStretch

BadMinutes = Sequence[tuple[int, int]]
"""Minutes in which most calls failed: the first of a stretch, and a bit for each."""


@final
class Sum:
    """
    Hold what a long time came to, and which of its minutes were bad.

    Unpacked, counts are many times as large as packed: never more of them are at hand
    than those of one stretch.
    """

    def __init__(self, counted: Iterable[CountedStretch]) -> None:
        """Add up; it takes a while."""
        self.facts = Facts()
        self.damaged = 0
        """How many entries cannot be read."""
        self.overall: list[tuple[int, int]] = []
        """The bad minutes of all RPCs together."""
        self.rpcs: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        """Those of each RPC."""
        self.providers: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        """Those of each vendor."""
        for _, same in groupby(sorted(counted, key=_stretch), key=_stretch):
            for each in joined(self._readable(same)):
                self._add(each)

    def _readable(self, same: Iterable[CountedStretch]) -> Iterable[Stretch]:
        for each in same:
            facts = unpacked(each.packed)
            if facts is None:
                self.damaged += 1
            else:
                yield Stretch(each.start_minute, each.minutes, facts)

    def _add(self, stretch: Stretch) -> None:
        facts = stretch.facts
        self.facts.add(facts)
        if facts.bad_minutes:
            self.overall.append((stretch.start_minute, facts.bad_minutes))
        _note(self.rpcs, facts.rpcs, stretch.start_minute)
        _note(self.providers, facts.providers, stretch.start_minute)


def _stretch(counted: CountedStretch) -> tuple[int, int]:
    return counted.start_minute, counted.minutes


def _note(
    bad: defaultdict[str, list[tuple[int, int]]],
    counts: Mapping[str, Counts],
    start_minute: int,
) -> None:
    for name, each in counts.items():
        if each.bad_minutes:
            bad[name].append((start_minute, each.bad_minutes))
