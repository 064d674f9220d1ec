"""Hold what a subscriber of the soak was told against what the vendor sent."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from tests.process.soak_record import (
    MILLISECOND_NS,
    Gap,
    Line,
    Print,
    Record,
)

_UNREADABLE: Final = "a message could not be read"
_SHOWN: Final = 5
"""So many of the trades that break a rule are named."""


class Truth(NamedTuple):
    """Be what the vendor knows of a symbol."""

    sent: Sequence[Print]
    """What its connections were written, in that order."""
    tape: Sequence[Print]
    """What was traded, as far back as any fill goes; empty if nothing tells."""


class Damage(NamedTuple):
    """Say how many gaps there may be of a symbol."""

    cuts: int
    """How often the vendor was lost."""
    unreadable: int = 0
    """How many messages could not be read."""


class Edges(NamedTuple):
    """Say what of a subscriber's time is not judged, in ms by the vendor's clock."""

    first: int = 0
    """After its first trade."""
    last: int = 0
    """Before its last trade."""
    came: int = 0
    """When it came: it may be told of gaps before that as others are."""


def judge(
    record: Record, truths: Mapping[str, Truth], damage: Damage, edges: Edges
) -> Iterator[str]:
    """Return what breaks a rule."""
    yield from record.objections
    for symbol, line in record.lines.items():
        for wrong in _judged(record, line, truths[symbol], damage, edges):
            yield f"{record.name} {symbol}: {wrong}"


def _judged(
    record: Record, line: Line, truth: Truth, damage: Damage, edges: Edges
) -> Iterator[str]:
    live = list(line.prints(backfilled=False))
    late = list(line.prints(backfilled=True))
    yield from _arrived(line, live, truth.sent, edges)
    unknown = Counter(live) - Counter(truth.sent)
    if unknown:
        yield f"came live, but was not sent, or not so often: {_some(unknown)}"
    unreadable = [gap for gap in line.gaps if gap.cause.startswith(_UNREADABLE)]
    if len(unreadable) > damage.unreadable:
        yield (
            f"{len(unreadable)} GAPs of {damage.unreadable} messages: "
            f"{_times(unreadable)}"
        )
    cut = [gap for gap in line.gaps if gap not in unreadable]
    if len(cut) > damage.cuts:
        yield f"{len(cut)} GAPs of {damage.cuts} cuts: {_times(cut)}"
    for gap in line.gaps:
        if gap.to_ns is not None and gap.to_ns <= gap.from_ns:
            yield f"GAP of no length: {gap}"
    yield from _placed(line, late, edges)
    if not record.slow:
        yield from _whole(line, live, late, truth.tape, edges)
    if line.first and line.last - line.first + 1 > len(line) + line.declared:
        yield (
            f"{len(line)} came and {line.declared} were declared of the numbers "
            f"{line.first} to {line.last}"
        )


def _placed(line: Line, late: Sequence[Print], edges: Edges) -> Iterator[str]:
    """Judge whether what came later was declared missing before."""
    stray = [
        each for each in late if each[0] >= edges.came and not _within(each, line.gaps)
    ]
    if stray:
        yield f"backfilled, but in no GAP: {_some(stray)}"
    for fill in line.fills:
        gap = fill.gap
        if gap.from_ns < edges.came * MILLISECOND_NS:
            continue
        if not any(_covers(each, gap) for each in line.gaps):
            yield f"BACKFILLED {gap}, which is in no GAP of {_times(line.gaps)}"


def _arrived(
    line: Line, live: Sequence[Print], sent: Sequence[Print], edges: Edges
) -> Iterator[str]:
    """Judge whether all that was sent arrived, but for what was declared."""
    if not live:
        return
    low, high = live[0][0] + edges.first, live[-1][0] - edges.last
    due = Counter(each for each in sent if low < each[0] < high)
    lost = (due - Counter(live)).elements()
    left = [each for each in lost if not _within(each, line.gaps)]
    # Of what was merged only the number is known, and the times.
    merged = [each for each in left if _within(each, [s.gap for s in line.skipped])]
    if len(merged) > line.declared:
        yield f"{len(merged)} did not come, {line.declared} were declared"
    if len(left) > len(merged):
        stray = Counter(left) - Counter(merged)
        yield (
            f"sent between {low} and {high}, but neither came nor is in a GAP: "
            f"{_some(stray)}; GAPs near: {_near(stray, line.gaps)}"
        )


def _whole(
    line: Line,
    live: Sequence[Print],
    late: Sequence[Print],
    tape: Sequence[Print],
    edges: Edges,
) -> Iterator[str]:
    """Judge whether what was declared whole is what was traded."""
    if not live:
        return
    begin_ns = (live[0][0] + edges.first) * MILLISECOND_NS
    told, traded = sorted((*live, *late)), sorted(tape)
    for fill in line.fills:
        gap = fill.gap
        if not fill.verified or gap.from_ns < begin_ns:
            continue
        ours, theirs = _of(told, gap), _of(traded, gap)
        if theirs - ours:
            yield f"BACKFILLED {gap} lacks {_some(theirs - ours)}"
        if ours - theirs:
            yield f"BACKFILLED {gap} has too much: {_some(ours - theirs)}"


def _of(prints: Sequence[Print], gap: Gap) -> Counter[Print]:
    """Return the trades of a stretch; those that are given ascend."""
    first = bisect_left(prints, (gap.from_ns // MILLISECOND_NS,))
    found: Counter[Print] = Counter()
    for print_ in islice(prints, first, None):
        if gap.to_ns is not None and print_[0] * MILLISECOND_NS >= gap.to_ns:
            break
        if gap.holds(print_[0] * MILLISECOND_NS):
            found[print_] += 1
    return found


def _within(print_: Print, gaps: Iterable[Gap]) -> bool:
    return any(gap.holds(print_[0] * MILLISECOND_NS) for gap in gaps)


def _covers(outer: Gap, inner: Gap) -> bool:
    return outer.from_ns <= inner.from_ns and (
        outer.to_ns is None or (inner.to_ns is not None and inner.to_ns <= outer.to_ns)
    )


def _some(prints: Counter[Print] | Sequence[Print]) -> str:
    rows = sorted(prints.elements() if isinstance(prints, Counter) else prints)
    shown = ", ".join(f"{t} {s:g} at {p:g}" for t, p, s in rows[:_SHOWN])
    return f"{len(rows)} trades ({shown}{', …' if len(rows) > _SHOWN else ''})"


def _times(gaps: Sequence[Gap]) -> str:
    return "; ".join(map(str, gaps[-_SHOWN:])) or "none"


def _near(stray: Counter[Print], gaps: Sequence[Gap]) -> str:
    time_ns = min(stray)[0] * MILLISECOND_NS
    return _times(sorted(gaps, key=lambda gap: -abs(gap.from_ns - time_ns)))
