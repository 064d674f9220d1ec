"""A history and our own bars become one series, and what comes next goes on from it."""

from __future__ import annotations

from msgspec.structs import replace

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.interval import MINUTE_NS
from ingestion_server.domain.ticks import LiveBar, TickKind
from ingestion_server.ingest.live.standing import joined, number
from tests.ingest.live.letters import bar, publisher
from tests.ingest.live.ticks import TEN

PARTIAL, FINAL, REVISED = BarState.PARTIAL, BarState.FINAL, BarState.REVISED


def at(minute: int, state: BarState, *, ours: bool) -> LiveBar:
    """Make a bar."""
    return replace(bar(TEN + minute * MINUTE_NS), state=state, derived=ours)


def chosen(theirs: BarState, ours: BarState) -> bool:
    """Return whether ours is told of two bars of one minute."""
    (told,) = joined([at(0, theirs, ours=False)], [at(0, ours, ours=True)])
    return told.derived


def test_each_bar_is_told_once_and_in_order() -> None:
    theirs = [at(minute, FINAL, ours=False) for minute in (0, 1, 3)]
    ours = [at(minute, PARTIAL, ours=True) for minute in (1, 2, 4, 5)]

    told = joined(theirs, ours)

    assert [(b.open_time_ns - TEN) // MINUTE_NS for b in told] == [0, 1, 2, 3, 4, 5]
    assert [b.derived for b in told] == [False, False, True, False, True, True]


def test_of_two_bars_a_vendors_last_word_comes_first_and_then_ours_if_it_is_whole() -> (
    None
):
    assert not chosen(FINAL, FINAL)
    assert not chosen(FINAL, PARTIAL)
    assert not chosen(REVISED, FINAL)
    assert chosen(PARTIAL, FINAL)
    assert chosen(PARTIAL, REVISED)
    assert not chosen(PARTIAL, PARTIAL)


def test_numbers_end_where_those_of_what_is_published_go_on() -> None:
    partition = publisher().partition("AAPL", TickKind.BARS)
    bars = [at(minute, FINAL, ours=False) for minute in range(3)]

    before = number(bars, partition)

    assert [b.sequence for b in bars] == [before + 1, before + 2, before + 3]
    assert bars[-1].sequence == partition.sequence
    assert number([], partition) == partition.sequence
