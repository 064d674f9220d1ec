"""How lengths of time are told in messages."""

from __future__ import annotations

import math
from typing import Final

_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def in_words(seconds: float) -> str:
    """
    Tell a length of time: "45 s", "2 hours", "1 day 3 hours"; a negative one is none.

    From a minute on it is rounded up, so that nobody comes too early.
    """
    # Without what sums of fractions leave behind.
    seconds = max(round(seconds, 3), 0)
    if seconds < 60:  # noqa: PLR2004 - a minute
        # No "1e-05", and no "60 s".
        return f"{min(math.ceil(seconds * 100) / 100, 59.9):.3g} s"
    place = next(at for at, (unit, _) in enumerate(_UNITS) if seconds >= unit)
    # In its two largest units.
    smallest = _UNITS[place + 1][0]
    left, told = math.ceil(seconds / smallest) * smallest, []
    for unit, name in _UNITS[max(place - 1, 0) : place + 2]:
        count, left = divmod(left, unit)
        if count:
            told.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(told)
