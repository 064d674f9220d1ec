"""
What is missing in a gap, if the vendor's history can be trusted to say so.

Vendors give no ids, and equal trades are real: three lots of a hundred in the same
millisecond. So trades are compared as a multiset of time, price and size. A history
that lacks a trade which the stream brought is not believed about the gap either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from ingestion_server.domain.ticks import Trade

_Key = tuple[int, float, float | None]

_NOTHING_BEFORE: Final = "no trade is known from before the gap to hold it against"
_NOTHING_AFTER: Final = "no trade is known from after the gap to hold it against"


class Verdict(msgspec.Struct, frozen=True):
    """Say what a gap lacks."""

    verified: bool
    missing: tuple[Trade, ...] = ()
    """Ascending by time, of equal times as the history has them."""
    reason: str = ""
    """Why it is not verified; empty if it is."""


def missing_trades(
    before: Sequence[Trade],
    after: Sequence[Trade],
    fetched: Sequence[Trade],
    from_ns: int,
    to_ns: int,
) -> Verdict:
    """
    Return the trades of ``[from_ns, to_ns)`` that the stream did not bring.

    ``before`` and ``after`` are all that it brought of the stretch which ``fetched``
    covers, in any order: some of them outside the gap on either side, and any that
    lie within. So that no edge is lost, ``from_ns`` is the time of the last trade
    before, and ``to_ns`` is later than that of the first one after, since others of
    the same instant may be missing; the stream has brought all it will of that
    instant. ``fetched`` is all there is by the vendor's own word.
    """
    if not before:
        return Verdict(verified=False, reason=_NOTHING_BEFORE)
    if not after:
        return Verdict(verified=False, reason=_NOTHING_AFTER)
    known = Counter(_key(trade) for part in (before, after) for trade in part)
    told = Counter(map(_key, fetched))
    lacking = sum((known - told).values())
    if lacking:
        return Verdict(
            verified=False,
            reason=f"the vendor's history lacks {lacking} of {known.total()} trades "
            "that its stream brought",
        )
    edges = _edges(before, after)
    repeated = sum(
        told[key] > count
        for key, count in known.items()
        if not from_ns <= key[0] < to_ns and key[0] not in edges
    )
    if repeated:
        return Verdict(
            verified=False,
            reason="the vendor's history tells trades more often than its stream did "
            "where nothing was missed",
        )
    missing = []
    for trade in sorted(fetched, key=_time_ns):
        if not from_ns <= trade.time_ns < to_ns:
            continue
        key = _key(trade)
        if known[key]:
            known[key] -= 1
        else:
            missing.append(trade)
    return Verdict(verified=True, missing=tuple(missing))


def _edges(before: Sequence[Trade], after: Sequence[Trade]) -> frozenset[int]:
    """Return the instants of which the stream may have brought only a part."""
    return frozenset({min(map(_time_ns, before)), max(map(_time_ns, after))})


def _key(trade: Trade) -> _Key:
    return trade.time_ns, trade.price, trade.size


def _time_ns(trade: Trade) -> int:
    return trade.time_ns
