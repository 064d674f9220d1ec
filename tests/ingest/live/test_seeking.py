"""Finding a stretch of time in a list that tells only places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    MalformedPayloadError,
)
from ingestion_server.domain.query import Span
from ingestion_server.domain.ticks import Trade
from ingestion_server.ingest.live.seeking import MOST_PAGES, Part, Search
from ingestion_server.ports.stream import TradePage

PAGE = 100
MOST = MOST_PAGES * PAGE
MOST_CALLS = 20
BUSY = 100 * PAGE
"""Trades of a day, one in each instant."""
Answer = Callable[[Part], TradePage]


def at(*times: int) -> list[Trade]:
    """Make trades at these instants, no two alike."""
    return [Trade("AAPL", time, float(place)) for place, time in enumerate(times)]


def day(trades: int = BUSY) -> list[Trade]:
    """Make a day with one trade in each instant."""
    return at(*range(trades))


def told(trades: Sequence[Trade], part: Part) -> TradePage:
    """Tell a part as an honest vendor does."""
    some = trades[part.first : part.first + part.count]
    return TradePage(some, part.first, len(some), len(trades))


class Asked:
    """Search, and count the calls."""

    def __init__(self, answer: Answer, *, page_trades: int = PAGE) -> None:
        self.parts: list[Part] = []
        self._answer = answer
        self._page_trades = page_trades

    def found(self, start: int, end: int) -> list[Trade]:
        """Return the trades of a span."""
        search = Search(
            Span(start, end), provider="acme", page_trades=self._page_trades
        ).parts()
        try:
            part = next(search)
            while True:
                assert 0 < part.count <= self._page_trades
                self.parts.append(part)
                assert len(self.parts) <= 100, "it goes on for ever"
                part = search.send(self._answer(part))
        except StopIteration as done:
            return [each for each in done.value if start <= each.time_ns < end]

    def times(self, start: int, end: int) -> list[int]:
        """Return when the trades of a span were."""
        return [each.time_ns for each in self.found(start, end)]


def honest(trades: Sequence[Trade]) -> Asked:
    """Ask a vendor that tells the truth."""
    return Asked(lambda part: told(trades, part))


@pytest.mark.parametrize("trades", [0, 1, PAGE - 1, PAGE])
def test_a_list_of_one_page_is_one_call(trades: int) -> None:
    asked = honest(day(trades))

    assert asked.times(3, 9) == list(range(3, min(9, trades)))
    assert asked.parts == [Part(0, PAGE)]


def test_what_has_just_passed_takes_two_calls_however_long_the_list() -> None:
    asked = honest(day())

    assert asked.times(BUSY - 50, BUSY) == list(range(BUSY - 50, BUSY))
    assert len(asked.parts) == 2


def test_what_is_on_the_first_page_takes_one_call() -> None:
    asked = honest(day())

    assert asked.times(10, 20) == list(range(10, 20))
    assert len(asked.parts) == 1


def test_what_is_later_than_the_list_takes_two_calls() -> None:
    asked = honest(day())

    assert asked.times(BUSY + 5, BUSY + 10) == []
    assert len(asked.parts) == 2


def test_what_is_earlier_than_the_list_takes_one_call() -> None:
    asked = honest(at(*range(1_000, 2_000)))

    assert asked.times(5, 900) == []
    assert len(asked.parts) == 1


@pytest.mark.parametrize("start", [150, 4_321, BUSY - 3 * PAGE, BUSY - MOST + PAGE])
def test_a_stretch_of_some_pages_is_found_with_few_calls(start: int) -> None:
    end = min(start + 5 * PAGE, BUSY)
    asked = honest(day())

    assert asked.times(start, end) == list(range(start, end))
    assert len(asked.parts) <= MOST_CALLS


@pytest.mark.parametrize("start", [20, 4_321, BUSY - MOST - PAGE, BUSY - 2 * MOST])
def test_a_stretch_that_is_too_long_is_given_up_before_it_is_read(start: int) -> None:
    asked = honest(day())

    with pytest.raises(CapabilityMissingError, match=f"more than {MOST} trades"):
        asked.times(start, BUSY + 10)
    assert sum(part.count > 1 for part in asked.parts) <= 2
    assert len(asked.parts) <= 5


def test_a_long_stretch_in_the_middle_of_a_list_is_given_up_as_well() -> None:
    asked = honest(day())

    with pytest.raises(CapabilityMissingError):
        asked.times(3_000, 3_000 + MOST + 2 * PAGE)
    assert sum(part.count > 1 for part in asked.parts) <= 2
    assert len(asked.parts) <= MOST_CALLS


def test_a_list_that_grows_meanwhile_is_read_to_the_end_of_the_stretch() -> None:
    trades = day()
    more = iter(range(BUSY, 2 * BUSY))

    def answer(part: Part) -> TradePage:
        page = told(trades, part)
        trades.extend(at(*(next(more) for _ in range(37))))
        return page

    asked = Asked(answer)

    assert asked.times(BUSY - 130, BUSY + 20) == list(range(BUSY - 130, BUSY + 20))
    assert len(asked.parts) <= MOST_CALLS


def test_the_order_of_a_list_that_is_there_as_a_whole_does_not_matter() -> None:
    asked = honest(at(5, 3, 4))

    assert sorted(asked.times(3, 5)) == [3, 4]


def unsorted(part: Part) -> TradePage:
    trades = day()
    trades[-7], trades[-6] = trades[-6], trades[-7]
    return told(trades, part)


def deaf(part: Part) -> TradePage:
    """Tell the first trades whatever is asked."""
    page = told(day(), Part(0, min(part.count, BUSY - part.first)))
    return TradePage(page.trades, part.first, page.count, page.total)


def misplaced(part: Part) -> TradePage:
    """Say so, too."""
    return told(day(), Part(0, part.count))


def miscounting(part: Part) -> TradePage:
    page = told(day(), part)
    return TradePage(page.trades, page.first, page.count - 1, page.total)


def short(part: Part) -> TradePage:
    page = told(day(), part)
    return TradePage(page.trades[:90], page.first, len(page.trades[:90]), page.total)


def boasting(part: Part) -> TradePage:
    page = told(day(), part)
    return TradePage(page.trades, page.first, page.count, 10**18)


def negative(part: Part) -> TradePage:
    return TradePage([], part.first, 0, -5)


@pytest.mark.parametrize(
    "answer", [unsorted, deaf, misplaced, miscounting, short, boasting, negative]
)
def test_a_vendor_that_contradicts_itself_is_not_believed(answer: Answer) -> None:
    asked = Asked(answer)

    with pytest.raises(MalformedPayloadError, match="contradicts itself"):
        asked.found(BUSY - 250, BUSY)
    assert len(asked.parts) <= MOST_CALLS


def test_a_list_that_shrinks_is_not_believed() -> None:
    lengths = iter([BUSY, BUSY - 1])
    asked = Asked(lambda part: told(day(next(lengths)), part))

    with pytest.raises(MalformedPayloadError, match="counts 9999 after 10000"):
        asked.found(BUSY - 50, BUSY)


@pytest.mark.parametrize("place", [10, BUSY - 2 * PAGE])
def test_trades_that_are_put_in_between_the_pages_are_noticed(place: int) -> None:
    trades = day()
    pages = []

    def answer(part: Part) -> TradePage:
        if part.count > 1:
            pages.append(part)
        if len(pages) == 3 and len(trades) == BUSY:
            trades.insert(place, Trade("AAPL", place, 0.5))
        return told(trades, part)

    asked = Asked(answer)

    with pytest.raises(MalformedPayloadError, match="are others at"):
        asked.found(BUSY - 350, BUSY)


@given(
    steps=st.lists(st.integers(0, 3), max_size=400),
    growth=st.lists(st.integers(0, 5), max_size=10),
    page_trades=st.integers(2, 20),
    start=st.integers(-5, 500),
    length=st.integers(1, 500),
)
def test_whatever_the_list_all_of_the_stretch_is_found_or_it_is_too_long(
    steps: list[int], growth: list[int], page_trades: int, start: int, length: int
) -> None:
    now, trades = 0, []
    for step in steps:
        now += step
        trades += at(now)
    there = list(trades)
    new = iter([*growth, *repeat(0, 1_000)])

    def answer(part: Part) -> TradePage:
        page = told(there, part)
        there.extend(Trade("AAPL", now + start + length, 1.0) for _ in range(next(new)))
        return page

    asked = Asked(answer, page_trades=page_trades)
    wanted = [t for t in trades if start <= t.time_ns < start + length]

    try:
        found = asked.found(start, start + length)
    except CapabilityMissingError:
        assert len(wanted) >= MOST_PAGES * page_trades
    else:
        assert [t for t in found if t in trades] == wanted
    assert len(asked.parts) <= MOST_CALLS
