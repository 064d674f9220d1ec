"""Whatever vendors deliver in whatever order, what is known is what they said last."""

from __future__ import annotations

from dataclasses import dataclass, field
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.cache import finals, history
from ingestion_server.cache.series import Delivery, Life
from ingestion_server.cache.spans import Spans
from ingestion_server.domain.bars import BarState
from ingestion_server.domain.interval import MINUTE_NS
from ingestion_server.domain.query import Span
from tests.cache import deliveries as of

MINUTES = 40


@dataclass
class Cell:
    """Say what is known of one minute."""

    close: float | None = None
    state: BarState = BarState.FINAL
    received: int = 0
    covered: bool = False
    asked: int | None = None
    """When, if it was not settled."""
    void: int | None = None


@dataclass
class Said:
    """Be a delivery in minutes."""

    spans: list[tuple[int, int]]
    closes: dict[int, float]
    absent: set[int]
    settled: int
    received: int

    def delivery(self) -> Delivery:
        return of.delivery(
            [of.span(*each) for each in self.spans],
            self.closes,
            settled=self.settled,
            received=self.received,
            absent=[of.span(each, each + 1) for each in sorted(self.absent)],
        )

    def minutes(self) -> set[int]:
        return {each for first, stop in self.spans for each in range(first, stop)}


@dataclass
class Model:
    """Remember minute by minute."""

    cells: list[Cell] = field(default_factory=lambda: [Cell() for _ in range(MINUTES)])

    def keep(self, said: Said) -> int:
        revised = 0
        for minute in said.minutes():
            cell, close = self.cells[minute], said.closes.get(minute)
            if cell.close is not None and cell.state is BarState.PARTIAL:
                cell.close = None
            cell.covered = minute < said.settled
            cell.asked = None if cell.covered else said.received
            if close is not None:
                if cell.close is not None:
                    if cell.close != close:
                        cell.state = BarState.REVISED
                        revised += 1
                else:
                    cell.state = BarState.FINAL if cell.covered else BarState.PARTIAL
                cell.close, cell.received = close, said.received
            void = minute in said.absent and cell.close is None
            cell.void = said.received if void else None
        return revised

    def look(
        self, first: int, stop: int, now: int, life: tuple[int, int]
    ) -> tuple[dict[int, tuple[float, int]], set[int], set[int]]:
        bars: dict[int, tuple[float, int]] = {}
        covered, absent = set(), set()
        for minute in range(first, stop):
            cell = self.cells[minute]
            young = cell.asked is not None and now - cell.asked < life[0]
            if cell.close is not None and (cell.state is not BarState.PARTIAL or young):
                bars[minute] = cell.close, cell.state
            if cell.covered or young:
                if cell.void is None:
                    covered.add(minute)
                elif now - cell.void < life[1]:
                    covered.add(minute)
                    absent.add(minute)
        return bars, covered, absent


@st.composite
def stretches(draw: st.DrawFn) -> tuple[int, int]:
    first = draw(st.integers(0, MINUTES - 1))
    return first, draw(st.integers(first + 1, MINUTES))


@st.composite
def sayings(draw: st.DrawFn) -> Said:
    spans = draw(st.lists(stretches(), min_size=1, max_size=3))
    minutes = sorted({each for a, b in spans for each in range(a, b)})
    closes = draw(
        st.dictionaries(st.sampled_from(minutes), st.sampled_from([100.0, 101.0]))
    )
    absent = draw(st.sets(st.sampled_from(minutes))) - closes.keys()
    return Said(
        spans, closes, absent, draw(st.integers(0, MINUTES)), draw(st.integers(0, 80))
    )


def told(spans: list[Span]) -> set[int]:
    return {each for a, b in of.minutes(spans) for each in range(a, b)}


@settings(deadline=None, max_examples=150)
@given(
    st.lists(sayings(), max_size=8),
    stretches(),
    st.tuples(st.integers(0, 30), st.integers(0, 30)),
    st.integers(0, 20),
)
def test_what_is_known_is_what_was_said_last(
    said: list[Said], wanted: tuple[int, int], life: tuple[int, int], later: int
) -> None:
    memory, model = of.segments(), Model()
    revised = 0
    for received, each in enumerate(sorted(said, key=lambda each: each.received)):
        each.received = each.received * 10 + received
        # Small blocks and many tails, so that few bars show what many would.
        with (
            patch.object(finals, "BLOCK_BARS", 7),
            patch.object(history, "_MOST_FORMING", 1000),
        ):
            kept = memory.keep(of.KEY, each.delivery())
        assert kept.revised == model.keep(each)
        assert not kept.rebased
        revised += kept.revised
    now = max((each.received for each in said), default=0) + later
    known = of.look(
        memory,
        of.span(*wanted),
        now=now,
        life=Life(life[0] * 60.0, life[1] * 60.0),
    )

    if not said:
        assert known is None
        return
    assert known is not None
    bars, covered, absent = model.look(*wanted, now, life)
    assert {
        minute: (close, state)
        for (minute, close), state in zip(
            of.closes(known).items(), of.states(known), strict=True
        )
    } == bars
    assert told(known.covered) == covered
    assert told(known.absent) == absent
    gaps = Spans([of.span(*wanted)])
    for each in known.covered:
        gaps.cut(each.start_ns, each.end_ns)
    assert told(list(gaps)) == set(range(*wanted)) - covered
    if bars:
        assert known.received_at_ns == of.at(
            min(model.cells[minute].received for minute in bars)
        )
    assert memory.use(of.NOW_NS).counts.revised == revised == memory.generation or (
        memory.generation <= revised
    )


@settings(deadline=None, max_examples=100)
@given(st.lists(sayings(), min_size=1, max_size=6), stretches())
def test_answers_out_of_order_never_yield_what_nobody_said(
    said: list[Said], wanted: tuple[int, int]
) -> None:
    memory = of.segments()
    for each in said:
        # Within the hour in which one clock is believed; what came later knows more
        # to be settled.
        each.settled = each.received % 50
        each.received = 1000 + each.settled
        memory.keep(of.KEY, each.delivery())
    known = of.look(memory, of.span(*wanted), now=1000, life=Life(7200.0, 7200.0))

    assert known is not None
    assert known.received_at_ns <= of.at(1000)
    asked = set.union(*(each.minutes() for each in said))
    assert told(known.covered) <= asked & set(range(*wanted))
    for minute, close in of.closes(known).items():
        spoken = [each for each in said if minute in each.closes]
        latest = max(each.received for each in spoken)
        assert close in {
            each.closes[minute] for each in spoken if each.received == latest
        }
    times = known.series.open_time_ns
    assert bool((times[1:] - times[:-1] >= MINUTE_NS).all())
