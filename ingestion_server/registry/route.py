"""
In which order vendors are asked that could all answer; pure and told the time.

The rules, the first one first:

1. Who costs less is asked before who costs more.
2. Who has the smaller number, its tier, is asked before others.
3. Within a tier the load is spread: of two that are drawn by their scores the better
   is asked, and if they are about as good, the one that was not asked for longer.
4. Who is judged and clearly worse than another of the same price that is asked with
   it or later goes behind it.
5. Who went behind, and has quota to spare, is asked first now and then, so that it
   can come back.

Where an operator chose a tier, neither price nor score moves anybody out of it, into
it or past it. Nobody is ever left out, so the last one standing is always tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Final

import msgspec

from ingestion_server.ports.routing import Factor, Score

CLEARLY_WORSE: Final = 0.10
"""
More than the whole factor of headroom: that quota is used alone moves nobody.

A second more of latency does, and so do three failures in a row.
"""
PROBE_SECONDS: Final = 10.0
"""How long who went behind is not asked before it is probed."""
_ABOUT_AS_GOOD: Final = 0.05
_LEAST_WEIGHT: Final = 0.01
"""So that the worst of equals is drawn now and then as well."""

Random = Callable[[], float]
"""Return a number from 0 to 1, always the same ones for the same seed."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Be one vendor that could answer."""

    name: str
    tier: int
    """Smaller is asked first; equals share the load."""
    score: Score
    hard: bool = False
    """Whether an operator chose the tier."""
    price_usd: Decimal = Decimal(0)
    able: bool = True
    """Whether its breaker and its quota would let a call pass now."""
    asked_seconds_ago: float | None = None
    """None = never."""
    quota_plentiful: bool = True
    """Whether it has quota to spare for probes."""


class Placed(msgspec.Struct, frozen=True):
    """Be one vendor at its place."""

    name: str
    why: str
    """Why it stands there, in plain words."""
    probe: bool = False
    """Whether it is asked first only to see whether it has recovered."""


def ranked(entries: Sequence[Entry], *, random: Random | None) -> list[Placed]:
    """
    Return all vendors, first choice first.

    Numbers are drawn only for tiers that several vendors share. Without ``random``,
    the likeliest order is returned instead: for those who only want to know.
    """
    placed: list[Placed] = []
    for block in _blocks(entries):
        placed.extend(_placed(block, random, begun=bool(placed)))
    return placed


def _blocks(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Return the runs within which scores may move vendors, in order."""
    by_tier = sorted(entries, key=lambda entry: entry.tier)
    tiers = [list(group) for _, group in groupby(by_tier, key=lambda e: e.tier)]
    blocks: list[list[Entry]] = []
    for hard, group in groupby(tiers, key=_is_hard):
        run = list(group)
        if hard:
            blocks.extend(run)
            continue
        pool = sorted((e for tier in run for e in tier), key=lambda e: e.price_usd)
        blocks.extend(
            list(same) for _, same in groupby(pool, key=lambda e: e.price_usd)
        )
    return blocks


def _is_hard(tier: Iterable[Entry]) -> bool:
    return any(entry.hard for entry in tier)


def _placed(
    block: Sequence[Entry], random: Random | None, *, begun: bool
) -> list[Placed]:
    whys: dict[str, str] = {}
    order: list[Entry] = []
    for _, group in groupby(block, key=lambda entry: entry.tier):
        tier = list(group)
        first = not (begun or order)
        order.extend(_spread(tier, random))
        whys |= {e.name: _why(e, tier, first=first and e is order[0]) for e in tier}
    behind: dict[str, list[Entry]] = {}
    for entry in order:
        better = _better(entry, order)
        if better is not None:
            behind.setdefault(better.name, []).append(entry)
            whys[entry.name] = _demotion(entry, better)
    demoted = [entry for group in behind.values() for entry in group]
    moved = [
        each
        for entry in order
        if entry not in demoted
        # Nobody stands behind one that went behind itself: that was not the best.
        for each in (entry, *behind.get(entry.name, ()))
    ]
    probe = _probe(demoted)
    if probe is not None:
        moved.remove(probe)
        moved.insert(0, probe)
        ago = f"{probe.asked_seconds_ago or 0.0:.3g}"
        whys[probe.name] = f"probe after {ago} s; else {whys[probe.name]}"
    return [Placed(entry.name, whys[entry.name], entry is probe) for entry in moved]


def _spread(tier: Sequence[Entry], random: Random | None) -> list[Entry]:
    """Return a tier in the order of one question; who can take no call is last."""
    left = [entry for entry in tier if entry.able]
    unable = [entry for entry in tier if not entry.able]
    if random is None:
        return [*sorted(left, key=lambda entry: -entry.score.value), *unable]
    order = []
    while len(left) > 1:
        chosen = _chosen(_drawn(left, random), _drawn(left, random))
        left.remove(chosen)
        order.append(chosen)
    return [*order, *left, *unable]


def _drawn(entries: Sequence[Entry], random: Random) -> Entry:
    weights = [max(entry.score.value, _LEAST_WEIGHT) for entry in entries]
    point = random() * sum(weights)
    for entry, weight in zip(entries, weights, strict=True):
        point -= weight
        if point < 0:
            return entry
    return entries[-1]


def _chosen(one: Entry, other: Entry) -> Entry:
    """Return the better of two; of two about as good, the one that has rested."""
    if abs(one.score.value - other.score.value) > _ABOUT_AS_GOOD:
        return max(one, other, key=lambda entry: entry.score.value)
    return max(one, other, key=_rested_seconds)


def _rested_seconds(entry: Entry) -> float:
    ago = entry.asked_seconds_ago
    return float("inf") if ago is None else ago


def _better(entry: Entry, order: Sequence[Entry]) -> Entry | None:
    """Return who is asked with it or later, able and clearly better; or None."""
    if not (entry.able and entry.score.judged):
        # Who can take no call costs no time where it stands, and says why.
        return None
    others = [e for e in order if e is not entry and e.able and e.tier >= entry.tier]
    best = max(others, key=lambda other: other.score.value, default=None)
    if best is None or best.score.value - entry.score.value <= CLEARLY_WORSE:
        return None
    return best


def _probe(demoted: Iterable[Entry]) -> Entry | None:
    """Return who is to be asked first for once: the one that waited longest."""
    ready = [
        entry
        for entry in demoted
        if entry.quota_plentiful and _rested_seconds(entry) >= PROBE_SECONDS
    ]
    return max(ready, key=_rested_seconds, default=None)


def _why(entry: Entry, tier: Sequence[Entry], *, first: bool) -> str:
    said = "asked first" if first else "asked next"
    chosen = ", set by an operator" if entry.hard else ""
    why = f"{said}: priority {entry.tier}{chosen}"
    if entry.price_usd:
        why += f", {entry.price_usd} US dollars"
    others = [other.name for other in tier if other is not entry]
    if others:
        shared = " and ".join(others)
        why += f", shared with {shared}, by score {entry.score.value:.2f}"
    return why if entry.able else f"{why}; takes no call now"


def _demotion(entry: Entry, better: Entry) -> str:
    """Say it by the factor that counts most."""
    mine, theirs = max(
        zip(_factors(entry), _factors(better), strict=True),
        key=lambda pair: (pair[1].value - pair[0].value) * pair[0].weight,
    )
    return (
        f"demoted: {mine.name} {mine.value:.2f} against {theirs.value:.2f} of "
        f"{better.name}; {mine.detail}"
    )


def _factors(entry: Entry) -> tuple[Factor, ...]:
    whole = Factor("score", entry.score.value, 1.0, "as a whole")
    return entry.score.factors or (whole,)
