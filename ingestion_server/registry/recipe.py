"""How a vendor's own bars become the bars that were asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.domain.query import Span
from ingestion_server.ports.provider import Capability

_FINER: Final = {
    Interval.HOUR_1: (Interval.MINUTE_30, Interval.MINUTE_15, Interval.MINUTE_5),
    Interval.MINUTE_30: (Interval.MINUTE_15, Interval.MINUTE_5),
    Interval.WEEK_1: (Interval.DAY_1,),
    Interval.MONTH_1: (Interval.DAY_1,),
}
"""Of which shorter bars a bar can be made, best first."""
_PREFERRED: Final = (Adjustment.RAW, Adjustment.SPLIT, Adjustment.SPLIT_DIVIDEND)


class Recipe(msgspec.Struct, frozen=True):
    """Say what to ask a vendor for, and what to make of it."""

    interval: Interval
    """Interval to ask for; shorter than the wanted one = to be summed up."""
    adjustment: Adjustment
    """Adjustment to ask for; another than the wanted one = to be computed."""
    derivation: str = ""
    """How the bars are computed, in plain words; empty if they are not."""


class Need(msgspec.Struct, frozen=True):
    """Say what is wanted of a vendor."""

    asset_class: AssetClass
    interval: Interval
    adjustment: Adjustment
    hours: TradingHours
    span: Span
    now_ns: int
    from_the_start: bool = False
    """Whether bars are of no use without those at the start of the span."""


class Unable(msgspec.Struct, frozen=True):
    """Say why a vendor cannot serve a need."""

    reason: str


def recipe(capabilities: Iterable[Capability], need: Need) -> Recipe | Unable:
    """
    Return the shortest way from a vendor's own bars to the wanted ones.

    Bars as they are come first, then another adjustment of the same bars, then sums
    of shorter bars. Weeks and months are never adjusted themselves: an action within
    one would be applied to all of it, so they are made of adjusted days.
    """
    rows = [row for row in capabilities if need.asset_class in row.asset_classes]
    if not rows:
        return Unable(f"no {need.asset_class} bars")
    intervals = (need.interval, *_FINER.get(need.interval, ()))
    why = []
    for interval in intervals:
        if interval is not need.interval and _needs_extended(need):
            break
        found = _at(interval, rows, need)
        if isinstance(found, Recipe):
            return found
        if found is not None:
            why.append(found.reason)
    return Unable(why[0] if why else f"no {need.interval} bars")


def _at(
    interval: Interval, rows: Iterable[Capability], need: Need
) -> Recipe | Unable | None:
    """Return how to use bars of this interval, or why not; None if there are none."""
    rows = [row for row in rows if interval in row.intervals]
    if not rows:
        return None
    if _needs_extended(need):
        rows = [row for row in rows if row.extended_hours]
        if not rows:
            return Unable(f"no extended hours at {interval}")
    reaching = [row for row in rows if _reaches(row, need)]
    if not reaching:
        return Unable(_too_far(rows, interval, need))
    offered = {adjustment for row in reaching for adjustment in row.adjustments}
    given = _given(offered, interval, need)
    if given is None:
        return Unable(f"no {need.adjustment} prices at {interval}")
    return Recipe(interval, given, _derivation(interval, given, need))


def _given(
    offered: set[Adjustment], interval: Interval, need: Need
) -> Adjustment | None:
    if need.adjustment in offered:
        return need.adjustment
    computable = need.asset_class.adjustable and (
        interval.intraday or interval is Interval.DAY_1
    )
    if not computable:
        return None
    return next((given for given in _PREFERRED if given in offered), None)


def _needs_extended(need: Need) -> bool:
    return (
        need.interval.intraday
        and need.hours is TradingHours.EXTENDED
        and need.asset_class is AssetClass.EQUITY
    )


def _reaches(row: Capability, need: Need) -> bool:
    wanted = need.span.start_ns if need.from_the_start else need.span.end_ns - 1
    if row.earliest_ns is not None and wanted < row.earliest_ns:
        return False
    if row.oldest_seconds is None:
        return True
    return wanted >= need.now_ns - int(row.oldest_seconds * SECOND_NS)


def _too_far(rows: Iterable[Capability], interval: Interval, need: Need) -> str:
    ages = [
        row.oldest_seconds
        for row in rows
        if row.oldest_seconds is not None
        and _reaches(msgspec.structs.replace(row, oldest_seconds=None), need)
    ]
    if ages:
        return f"{interval} bars reach back only {max(ages) / 86_400:.0f} days"
    return f"{interval} bars do not reach back so far"


def _derivation(interval: Interval, given: Adjustment, need: Need) -> str:
    steps = []
    if given is not need.adjustment:
        steps.append(f"{need.adjustment} prices computed from {given} prices")
    if interval is not need.interval:
        steps.append(f"{need.interval} bars summed up from {interval} bars")
    return ", ".join(steps)
