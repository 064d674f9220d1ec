"""What a soak showed: the rules that were broken, and what was done and seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.process.programs import Ended
from tests.process.soak_mischief import KINDS, Mischief
from tests.process.soak_record import Record
from tests.process.soak_subscribers import Crowd
from tests.process.soak_verdict import Damage, Edges, Truth, judge
from tests.process.watched import Sight

EDGE_MS: Final = 1000
"""
Of those who come amid faults, the first and last second is not judged: frames that
were swapped may have come before them, or come after.
"""
_SPARE_CUTS: Final = 3
MOST_GROWTH: Final = 1.2
"""
How much more memory may be in use at the end than when it was warm, at the least.

A page of past trades takes megabytes while it is read, and the allocator gives them
back as it likes. What is kept for those who resume, and what waits for slow ones, is
full by then.
"""
_WARM: Final = 1 / 3
"""The part of the run in which memory may grow."""
BACK_SECONDS: Final = 20.0
"""How long it may take until all symbols come again once nothing fails any more."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold what is judged at the end."""

    crowd: Crowd
    mischief: Mischief
    truths: Mapping[str, Truth]
    stats: Mapping[str, Any]
    left: Mapping[str, int]
    """What was still subscribed upstream when everybody had long gone."""
    sights: Sequence[Sight]
    restless: Sequence[str]
    """Symbols that did not come again at the end."""

    @property
    def reconnections(self) -> int:
        """Return how often the server connected anew."""
        return int(self.stats["connections_opened"]) - self.mischief.rivals - 1


def broken(seen: Seen, ended: Ended) -> Iterator[str]:
    """Return all rules that were broken."""
    crowd = seen.crowd
    damage = Damage(max(seen.reconnections, 0), seen.mischief.unreadable)
    for record in crowd.everybody:
        guest = record in crowd.guests
        edges = Edges(EDGE_MS, EDGE_MS, record.came_ms) if guest else Edges()
        yield from judge(record, seen.truths, damage, edges)
    yield from _empty(crowd)
    for who in seen.restless:
        yield f"{who}: did not come again within {BACK_SECONDS} s"
    if seen.left:
        yield f"nobody is there, and upstream still has {dict(seen.left)}"
    if seen.reconnections > seen.mischief.cuts + _SPARE_CUTS:
        yield (
            f"the server connected anew {seen.reconnections} times after "
            f"{seen.mischief.cuts} cuts"
        )
    yield from _unwell(seen.sights, ended)


def _empty(crowd: Crowd) -> Iterator[str]:
    """Return what makes the soak prove less than it should."""
    for record in crowd.slow:
        if not any(line.declared for line in record.lines.values()):
            yield f"{record.name}: never fell behind, so it proves nothing"
    if not crowd.returns:
        yield "nobody came back with a token"
    if not any(line.fills for record in crowd.steady for line in record.lines.values()):
        yield "no gap was filled"


def _unwell(sights: Sequence[Sight], ended: Ended) -> Iterator[str]:
    """Return what was wrong with the server itself."""
    early, late = _memory(sights)
    if late > early * MOST_GROWTH:
        yield f"memory grew from {early / 1e6:.0f} to {late / 1e6:.0f} MB"
    if sights[-1].task_errors:
        yield f"{sights[-1].task_errors:.0f} unhandled errors of tasks"
    if ended.status:
        yield f"the server ended with {ended.status}"
    for bad in ("Traceback", "never retrieved", "defect"):
        if place := ended.complaints.find(bad) + 1:
            yield f"the server said: …{ended.complaints[max(place - 500, 0) :][:2000]}"


def _memory(sights: Sequence[Sight]) -> tuple[float, float]:
    """Return the least memory in use in the first and in the last third, once warm."""
    warm = [sight.resident_bytes for sight in sights][round(len(sights) * _WARM) :]
    third = max(len(warm) // 3, 1)
    return min(warm[:third]), min(warm[-third:])


def table(seen: Seen) -> Iterator[str]:
    """Return what happened, line by line."""
    yield "done: " + ", ".join(f"{seen.mischief.done[kind]} {kind}" for kind in KINDS)
    early, late = _memory(seen.sights)
    yield (
        f"{seen.reconnections} reconnections, at most {seen.mischief.cuts} cuts; "
        f"{seen.crowd.returns} returns with a token; {early / 1e6:.0f} MB when warm, "
        f"{late / 1e6:.0f} MB at the end; longest stall of the server's own "
        f"{seen.sights[-1].longest_own_stall_seconds:.3f} s"
    )
    yield (
        f"{'subscriber':<18}{'sent':>8}{'live':>8}{'filled':>8}{'skipped':>8}"
        f"{'gaps':>6}{'fills':>6}{'gap s':>7}{'stale':>6}"
    )
    for record in (*seen.crowd.steady, *seen.crowd.slow, *_longest(seen.crowd.guests)):
        yield _row(record, seen.truths)


def _longest(guests: Sequence[Record]) -> Sequence[Record]:
    """Return those of the guests that were there for longest."""
    return sorted(guests, key=lambda record: -record.trades)[:5]


def _row(record: Record, truths: Mapping[str, Truth]) -> str:
    lines = record.lines
    late = sum(1 for line in lines.values() for _ in line.prints(backfilled=True))
    gap_ns = sum(
        gap.to_ns - gap.from_ns
        for line in lines.values()
        for gap in line.gaps
        if gap.to_ns is not None
    )
    return (
        f"{record.name:<18}{sum(len(truths[symbol].sent) for symbol in lines):>8}"
        f"{record.trades - late:>8}{late:>8}"
        f"{sum(line.declared for line in lines.values()):>8}"
        f"{sum(len(line.gaps) for line in lines.values()):>6}"
        f"{sum(len(line.fills) for line in lines.values()):>6}"
        f"{gap_ns / len(lines) / 1e9:>7.1f}{record.events['STALE']:>6}"
    )
