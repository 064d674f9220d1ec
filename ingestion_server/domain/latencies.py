"""Lengths of time as places on a ladder, so that millions of them are few numbers."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

STEP: Final = 1.05
"""How much longer each place of the ladder is than the one below: the precision."""
LEAST_SECONDS: Final = 1e-5
"""The lowest place; what is shorter is told as this."""
_MOST_SECONDS: Final = 86_400.0
"""The highest; of what is longer, only the longest is told."""
_LADDER: Final = [
    LEAST_SECONDS * STEP**place
    for place in range(math.ceil(math.log(_MOST_SECONDS / LEAST_SECONDS, STEP)) + 1)
]


def place_of(seconds: float) -> int:
    """Return the place of a length of time: the lowest one that is not below it."""
    return bisect_left(_LADDER, seconds)


def quantile_seconds(
    places: Mapping[int, int], share: float, longest_seconds: float
) -> float:
    """
    Return how long that share took at most; at most one step more than it was.

    Args:
        places: how many took so long, by their place; at least one.
        share: above 0, at most 1.
        longest_seconds: how long the longest took, of which a place knows less.

    """
    # 0.95 of 60 is not a little more than 57, whatever a float says.
    left = math.ceil(share * sum(places.values()) - 1e-9)
    for place in sorted(places):
        left -= places[place]
        if left <= 0 and place < len(_LADDER):
            return min(_LADDER[place], longest_seconds)
    return longest_seconds
