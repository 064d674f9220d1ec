"""
What is wrong with a budget; pure, and told as data.

A wrong budget would let too much through, or nothing for ever, so none is metered
before it was looked at here. The path of a fault is relative to the budget, such as
``windows[1].limit``; whoever has the budget from somewhere knows what is above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import combinations
from math import isfinite
from types import MappingProxyType
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from ingestion_server.ports.budget import Budget, Counts, Period, Window, WindowKind


class Fault(NamedTuple):
    """Name one wrong part of a budget, and say what was expected there."""

    path: str
    expected: str


MOST_WINDOWS: Final = 8
"""Vendors meter two or three; all of them are looked at for each call."""
MOST_PER_WINDOW: Final = 10_000_000
"""A rolling window remembers its calls; beyond this the limit is a slip of the pen."""
MOST_PER_PERIOD: Final = 1_000_000_000
"""A fixed window only counts, and messages are sold by the hundred million."""
LONGEST_SECONDS: Final = 400 * 86_400.0
"""No vendor meters more than a year; a longer window would outlive what is kept."""
MOST_UNITS: Final = 10**12
"""What databases and counters hold with room to spare."""
MOST_UNITS_PER_CALL: Final = 1_000_000
"""Of as many calls as ever a window holds, the sum can still be written down."""
MOST_USD: Final = 1_000_000

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_HEADER: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
"""A token of RFC 9110; names are compared in lower case."""
_SHORTEST_SECONDS: Final[Mapping[Period, float]] = MappingProxyType(
    {
        Period.MINUTE: 60.0,
        Period.HOUR: 3600.0,
        # One day in spring has 23 hours, and February 28 days.
        Period.DAY: 23 * 3600.0,
        Period.MONTH: 28 * 86_400.0,
    }
)
_UTC: Final = "UTC"


def faults(budget: Budget) -> Iterator[Fault]:
    """Yield everything that is wrong, in the order of the fields."""
    if len(budget.windows) > MOST_WINDOWS:
        yield Fault("windows", f"at most {MOST_WINDOWS} windows")
    for place, window in enumerate(budget.windows):
        for part, expected in _of_window(window):
            yield Fault(f"windows[{place}].{part}", expected)
    yield from _between_windows(budget.windows)
    yield from _of_weights(budget)
    yield from _of_price("price_per_unit_usd", budget.price_per_unit_usd)
    yield from _of_allowance(budget)
    yield from _of_price("monthly_price_usd", budget.monthly_price_usd)
    yield from _of_header("used_header", budget.used_header)


def _of_window(window: Window) -> Iterator[Fault]:
    if not _NAME.fullmatch(window.name):
        yield Fault("name", "a small letter, then up to 31 of a-z, 0-9 and _")
    if window.limit < 1:
        yield Fault("limit", "an integer ≥ 1")
    elif window.limit > (most := _most(window)):
        yield Fault("limit", f"an integer ≤ {most}")
    yield from _of_stretch(window)
    yield from _of_margin(window)
    yield from _of_header("limit_header", window.limit_header)
    yield from _of_header("remaining_header", window.remaining_header)
    yield from _of_header("reset_header", window.reset_header)


def _most(window: Window) -> int:
    return MOST_PER_PERIOD if window.kind is WindowKind.FIXED else MOST_PER_WINDOW


def _of_stretch(window: Window) -> Iterator[Fault]:
    if window.kind is WindowKind.FIXED:
        if window.seconds != 0:
            yield Fault("seconds", "none: a fixed window is as long as its period")
        if window.period is None:
            yield Fault("period", f"one of {', '.join(Period)}, of a fixed window")
        if not _is_zone(window.reset_zone):
            yield Fault("reset_zone", "an IANA zone, such as America/New_York")
        return
    if not isfinite(window.seconds) or window.seconds <= 0:
        yield Fault("seconds", f"a number > 0, of a {window.kind} window")
    elif window.seconds > LONGEST_SECONDS:
        yield Fault("seconds", f"a number ≤ {LONGEST_SECONDS:.0f} (400 days)")
    if window.period is not None:
        yield Fault("period", f"none: a {window.kind} window has seconds")
    if window.reset_zone != _UTC:
        # It would look as if days were those of the zone, and nothing would turn.
        yield Fault("reset_zone", f"none: a {window.kind} window turns at no midnight")


def _of_margin(window: Window) -> Iterator[Fault]:
    margin = window.margin_seconds
    if margin is None:
        return
    if not isfinite(margin) or margin < 0:
        yield Fault("margin_seconds", "a number ≥ 0")
        return
    # A margin is kept at both ends of a fixed window.
    length = _length_seconds(window)
    if length and margin >= length / 2:
        yield Fault("margin_seconds", f"a number < {length / 2:g}, half the window")


def _length_seconds(window: Window) -> float:
    """Return the least length of a window; 0 if it has none that makes sense."""
    if window.kind is WindowKind.FIXED:
        return _SHORTEST_SECONDS[window.period] if window.period else 0.0
    return window.seconds if isfinite(window.seconds) else 0.0


def _between_windows(windows: tuple[Window, ...]) -> Iterator[Fault]:
    for (first, one), (second, other) in combinations(enumerate(windows), 2):
        path = f"windows[{second}]"
        # Whatever their scopes are: refusals name the window, and nothing else.
        if one.name == other.name:
            yield Fault(f"{path}.name", f"another name than that of windows[{first}]")
        if (one.scope, one.counts) != (other.scope, other.counts):
            continue
        part = _same_stretch(one, other)
        if part:
            yield Fault(
                f"{path}.{part}",
                f"another than that of {one.name!r}: both meter {one.counts} of the "
                f"same {one.scope}",
            )


def _same_stretch(one: Window, other: Window) -> str:
    """Return the field by which two windows are equally long; empty if they are not."""
    if one.period is not None and one.period is other.period:
        return "period"
    return "seconds" if one.seconds and one.seconds == other.seconds else ""


def _of_weights(budget: Budget) -> Iterator[Fault]:
    metered = [each for each in budget.windows if each.counts is Counts.UNITS]
    tightest = min(metered, key=lambda window: window.limit, default=None)
    for endpoint, weight in budget.weights.items():
        path = f"weights.{endpoint}"
        if not endpoint or any(letter.isspace() for letter in endpoint):
            yield Fault(path, "the name of an endpoint, without blanks")
        elif weight < 1:
            yield Fault(path, "an integer ≥ 1")
        elif tightest is not None and weight > tightest.limit:
            # Such a call would wait for ever.
            yield Fault(
                path,
                f"an integer ≤ {tightest.limit}, the limit of window {tightest.name!r}",
            )
        elif weight > MOST_UNITS_PER_CALL:
            yield Fault(path, f"an integer ≤ {MOST_UNITS_PER_CALL}")


def _of_allowance(budget: Budget) -> Iterator[Fault]:
    if not 0 <= budget.allowance_units <= MOST_UNITS:
        yield Fault("allowance_units", f"an integer from 0 to {MOST_UNITS}")
    elif budget.allowance_units and budget.price_per_unit_usd == 0:
        yield Fault("allowance_units", "0, where price_per_unit_usd is 0")


def _of_price(path: str, price: Decimal) -> Iterator[Fault]:
    # Whether it is finite comes first: NaN cannot be compared.
    if not price.is_finite() or price < 0:
        yield Fault(path, "a number ≥ 0")
    elif price > MOST_USD:
        yield Fault(path, f"a number ≤ {MOST_USD}")


def _of_header(path: str, name: str) -> Iterator[Fault]:
    if name and not _HEADER.fullmatch(name):
        yield Fault(path, "the name of a header in lower case, such as x-credits-used")


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    # Not found, not a name, and a folder such as "America".
    except (KeyError, ValueError, OSError):
        return False
    return True
