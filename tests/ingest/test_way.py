"""Who is under way, since when nothing came of it, and what was asked for nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import pytest

from ingestion_server.ingest.asking import Question
from ingestion_server.ingest.candidates import Candidate
from ingestion_server.ingest.progress import Progress
from ingestion_server.ingest.scope import scope
from ingestion_server.ingest.way import Begun, Way
from ingestion_server.ports.policy import CallTally
from ingestion_server.registry.recipe import Recipe
from tests.ingest.making import ACME, CALENDAR, NOW, ZENITH
from tests.ingest.vendors import QUERY, Market, Shop


@pytest.fixture
async def market() -> AsyncIterator[Market]:
    """Have two vendors."""
    async with Market(Shop(ACME), Shop(ZENITH)) as entered:
        yield entered


def able(market: Market, name: str) -> Candidate:
    """Return a vendor, able to serve."""
    recipe = Recipe(QUERY.interval, QUERY.adjustment)
    return Candidate(market.vendors[name], recipe, NOW)


@pytest.fixture
def way(market: Market) -> Way:
    """Begin with both vendors ahead."""
    whole = scope(QUERY, CALENDAR, now_ns=NOW, most_bars=1000)
    progress = Progress(QUERY, whole)
    question = Question(QUERY, whole, progress.whole(), CALENDAR)
    ahead = deque(able(market, name) for name in (ACME, ZENITH))
    return Way(progress, question, 2000.0, ahead, several=True)


def begun(market: Market, tally: CallTally, boarded: CallTally | None = None) -> Begun:
    """Ask one vendor at a thousand seconds, of which quota takes half a second."""
    candidate = able(market, ACME)
    return Begun(candidate, 1000.0, 1000.5, hedge=False, tally=tally, boarded=boarded)


def closed(market: Market, name: str, seconds: float) -> None:
    """Let a vendor say "not now"."""
    quota = market.vendors[name].quota
    quota.penalise(retry_after_seconds=seconds, window="unpublished")


def names(way: Way) -> list[str]:
    """Return who is ahead."""
    return [candidate.name for candidate in way.ahead]


@pytest.mark.parametrize(
    ("own", "boarded", "since"),
    [
        (None, None, 1000.5),
        (1003.0, None, 1003.0),
        (None, 990.0, 990.0),
        (1003.0, 990.0, 1003.0),
    ],
)
async def test_silence_begins_when_a_call_leaves_or_when_it_should_have(
    market: Market, own: float | None, boarded: float | None, since: float
) -> None:
    other = None if boarded is None else CallTally(left_at_seconds=boarded)

    asked = begun(market, CallTally(left_at_seconds=own), other)

    assert asked.silent_since_seconds == since


async def test_who_waits_for_quota_is_held_up_until_a_call_is_out(
    market: Market, way: Way
) -> None:
    closed(market, ACME, 3.0)
    tally, done = CallTally(), asyncio.get_running_loop().create_task(asyncio.sleep(0))
    asked = begun(market, tally)
    way.under_way[done] = asked  # type: ignore[index] # no attempt is made
    before, held = way.held, asked.held_seconds
    tally.under_way = 1

    assert before
    assert held == pytest.approx(3.0, abs=0.1)
    assert not way.held
    await done


@pytest.mark.parametrize(
    ("paid", "called", "needless"),
    [(1, [1, 1], 0), (1, [0, 1], 1), (1, [1, 0], 1), (2, [3, 1, 0], 1), (0, [1], 0)],
)
async def test_who_was_asked_early_cost_nothing_extra_if_one_made_no_call(
    way: Way, paid: int, called: list[int], needless: int
) -> None:
    way.paid = paid
    way.called.extend(CallTally(calls=calls) for calls in called)

    assert way.needless == needless
    way.begin_anew()
    assert way.needless == 0


async def test_the_first_of_those_ahead_who_can_be_asked_is_put_first(way: Way) -> None:
    way.favour(lambda each: each.name == ZENITH)
    assert names(way) == [ZENITH, ACME]

    way.favour(lambda _: False)
    assert names(way) == [ZENITH, ACME]


async def test_who_has_no_quota_now_is_looked_at_once_more_when_there_is_some(
    market: Market, way: Way
) -> None:
    closed(market, ACME, 3.0)
    closed(market, ZENITH, 2.0)

    assert way.look_again(1000.0)
    assert way.hedges_at_seconds == pytest.approx(1002.0, abs=0.1)
    assert not way.look_again(1002.0)


async def test_who_lacks_something_else_than_quota_is_not_looked_at_again(
    way: Way,
) -> None:
    assert not way.look_again(1000.0)
    assert way.hedges_at_seconds is None
