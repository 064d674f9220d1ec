"""Stretches of time of which something may be missing."""

from __future__ import annotations

from typing import Final, final

FOREVER_NS: Final = 1 << 62
_MOST: Final = 64


@final
class Doubts:
    """Hold stretches ``[from, to)``: merged, ascending, and no more than 64."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []

    def add(self, from_ns: int, to_ns: int) -> None:
        """Doubt a stretch."""
        apart = []
        for low, high in self._spans:
            if high < from_ns or to_ns < low:
                apart.append((low, high))
            else:
                from_ns, to_ns = min(low, from_ns), max(high, to_ns)
        self._spans = sorted([*apart, (from_ns, to_ns)])
        if len(self._spans) > _MOST:
            # Rather too much is doubted than too little.
            (low, _), (_, high), *rest = self._spans
            self._spans = [(low, high), *rest]

    def remove(self, from_ns: int, to_ns: int) -> None:
        """Doubt a stretch no longer; what was doubted on either side still is."""
        left: list[tuple[int, int]] = []
        for low, high in self._spans:
            left.extend(
                part
                for part in ((low, min(high, from_ns)), (max(low, to_ns), high))
                if part[0] < part[1]
            )
        self._spans = left

    def touch(self, from_ns: int, to_ns: int) -> bool:
        """Tell whether any of a stretch is doubted."""
        return self.first_within(from_ns, to_ns) is not None

    def first_within(self, from_ns: int, to_ns: int) -> int | None:
        """Return the earliest time of a stretch that is doubted."""
        for low, high in self._spans:
            if max(low, from_ns) < min(high, to_ns):
                return max(low, from_ns)
        return None

    def forget_before(self, time_ns: int) -> None:
        """Drop what nobody asks for any more."""
        self._spans = [span for span in self._spans if span[1] > time_ns]
