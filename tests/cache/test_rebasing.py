"""A split or dividend, however late it is told, is told from a correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from unittest.mock import patch

import pytest

from ingestion_server.cache import finals
from ingestion_server.cache.segments import Segments
from ingestion_server.domain.query import Span
from tests.cache import deliveries as of

DAY = 20_098
BARS = {minute: 100.0 + minute for minute in range(20)}


@pytest.fixture(params=[7, 2048])
def memory(request: pytest.FixtureRequest) -> Segments:
    """Know twenty bars since yesterday, in one block or in several."""
    with patch.object(finals, "BLOCK_BARS", request.param):
        memory = of.segments()
        memory.keep(of.KEY, of.delivery(of.span(0, 20), BARS, day=DAY))
    return memory


def scaled(before: int, minutes: Sequence[int]) -> dict[int, float]:
    """Return bars as they are once there was a dividend at a minute."""
    return {
        minute: BARS[minute] * (0.99 if minute < before else 1.0) for minute in minutes
    }


def again(
    memory: Segments, spans: Span | Sequence[Span], closes: Mapping[int, float]
) -> tuple[bool, int]:
    """Be told the next day; return whether all was dropped, and what was corrected."""
    kept = memory.keep(of.KEY, of.delivery(spans, closes, day=DAY + 1))
    return kept.rebased, kept.revised


@pytest.mark.parametrize("before", [16, 17, 18, 19, 20])
def test_a_dividend_that_is_told_late_drops_all_bars_before_it(
    memory: Segments, before: int
) -> None:
    closes = scaled(before, range(15, 20))

    assert again(memory, of.span(15, 20), closes) == (True, 0)
    assert of.closes(of.look(memory, of.span(0, 20), day=DAY + 1)) == closes


@pytest.mark.parametrize(
    ("others", "revised"),
    [((), 0), ((19,), 1), ((18, 19), 2), ((17,), 1)],
)
def test_what_a_dividend_cannot_have_done_is_a_correction(
    memory: Segments, others: tuple[int, ...], revised: int
) -> None:
    closes = scaled(0, range(15, 20)) | dict.fromkeys(others, 50.0)

    assert again(memory, of.span(15, 20), closes) == (False, revised)
    known = of.look(memory, of.span(0, 20), day=DAY + 1)
    assert of.closes(known) == BARS | closes
    assert known is not None
    assert known.verified


@pytest.mark.parametrize("others", [(15,), (16, 17), (17, 18, 19)])
def test_in_doubt_all_is_asked_for_again(
    memory: Segments, others: tuple[int, ...]
) -> None:
    closes = scaled(0, range(15, 20)) | dict.fromkeys(others, 50.0)

    assert again(memory, of.span(15, 20), closes) == (True, 0)


def test_the_oldest_bar_shows_what_was_told_later_than_the_sample_reaches(
    memory: Segments,
) -> None:
    known = of.look(memory, of.span(4, 20), day=DAY + 1)

    assert known is not None
    assert known.sample == of.span(15, 20)
    assert known.anchor == of.span(4, 5)
    spans = [known.anchor, known.sample]
    assert again(memory, spans, scaled(10, [4, *range(15, 20)])) == (True, 0)


def test_the_oldest_bar_verifies_nothing_between_it_and_others(
    memory: Segments,
) -> None:
    spans = [of.span(0, 1), of.span(15, 20)]
    closes = scaled(0, [0, *range(15, 20)]) | {15: 50.0}

    # Nobody saw whether those before it have moved as well.
    assert again(memory, spans, closes) == (True, 0)


@pytest.mark.parametrize(
    "wanted", [of.span(15, 20), of.span(16, 30), of.span(40, 50), of.span(-10, 0)]
)
def test_where_the_sample_has_the_oldest_bar_there_is_no_other(
    memory: Segments, wanted: Span
) -> None:
    known = of.look(memory, wanted, day=DAY + 1)

    assert known is not None
    assert known.sample is not None
    assert known.anchor is None


def test_what_is_older_than_all_that_is_known_is_added_to_it(
    memory: Segments,
) -> None:
    known = of.look(memory, of.span(-10, -5), day=DAY + 1)

    assert known is not None
    assert known.sample == of.span(0, 5)
    older = {-10: 90.0, -6: 94.0}
    spans = [of.span(-10, -5), known.sample]
    assert again(memory, spans, older | scaled(0, range(5))) == (False, 0)
    after = of.look(memory, of.span(-10, 20), day=DAY + 1)
    assert after is not None
    assert after.verified
    assert of.closes(after) == older | BARS
    assert of.minutes(after.covered) == [(-10, -5), (0, 20)]


def test_what_is_older_shows_that_all_that_is_known_has_moved(
    memory: Segments,
) -> None:
    spans = [of.span(-10, -5), of.span(0, 5)]
    fresh = {-10: 45.0} | scaled(20, range(5))

    assert again(memory, spans, fresh) == (True, 0)
    assert of.closes(of.look(memory, of.span(-10, 20), day=DAY + 1)) == fresh


def test_a_sample_is_no_longer_than_what_is_known() -> None:
    memory = of.segments()
    memory.keep(of.KEY, of.delivery(of.span(0, 20), {3: 1.0, 4: 1.0}, day=DAY))
    known = of.look(memory, of.span(-10, 0), day=DAY + 1)

    assert known is not None
    assert known.sample == of.span(3, 5)
