"""How times, amounts and shares are written for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

_SPANS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_SIZES: Final = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def clock(moment: datetime) -> str:
    """Write a point in time, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def until(moment: datetime, now: datetime) -> str:
    """Write how far away a moment is, in its two largest units."""
    seconds = math.ceil((moment - now).total_seconds())
    if seconds <= 0:
        return "now"
    parts = []
    for unit, name in _SPANS:
        count, seconds = divmod(seconds, unit)
        parts.append((count, name))
    first = next(place for place, (count, _) in enumerate(parts) if count)
    told = [f"{count}{name}" for count, name in parts[first : first + 2] if count]
    return " ".join(told)


def span(length: timedelta) -> str:
    """Write a length of time in the unit that suits it."""
    seconds = length.total_seconds()
    units: Iterable[tuple[float, float, str]] = (
        (1, 0.001, "ms"),
        (120, 1, "s"),
        (7200, 60, "min"),
        (172_800, 3600, "h"),
    )
    for below, unit, name in units:
        if abs(seconds) < below:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 86_400:.3g} d"


def size(count: int) -> str:
    """Write a number of bytes in the largest unit of which there is one."""
    for unit, name in _SIZES:
        if count >= unit:
            return f"{count / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{count} B"


def usd(amount: float) -> str:
    """Write an amount; one below a dollar may need more than cents."""
    if amount == 0 or amount >= 1:
        return f"${amount:,.2f}"
    whole, _, fraction = f"{amount:.6f}".partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def cells_of(part: float, whole: float, cells: int) -> int:
    """Return how many cells a part fills: none if it is nothing, all if it is all."""
    if part <= 0:
        return 0
    if part >= whole:
        return cells
    return min(max(round(cells * part / whole), 1), cells - 1)
