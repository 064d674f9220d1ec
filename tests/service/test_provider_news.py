"""A watcher hears of what has changed about vendors, and not of time that passed."""

from __future__ import annotations

import msgspec
import pytest

from ingestion_server.ports.caching import CacheUse
from ingestion_server.ports.routing import BreakerView, Factor, ProviderReport, Score
from ingestion_server.service.provider_news import Told
from tests.clocks import NOW_NS, SECOND_NS
from tests.service.directories import (
    ALPHA_VANTAGE,
    CACHE,
    EQUITIES,
    SCORE,
    UNTRIED,
    YAHOO,
    event,
    with_health,
)

LATER_NS = NOW_NS + SECOND_NS


def news_of(*reports: ProviderReport) -> list[int]:
    """Return how many vendors are news in each message but the first."""
    watcher = Told(["alpha_vantage"])
    assert watcher.news([ALPHA_VANTAGE, YAHOO], CACHE, [], NOW_NS).providers
    return [
        len(watcher.news([report, YAHOO], CACHE, [], LATER_NS).providers)
        for report in reports
    ]


def scored(value: float, success: float, detail: str = "9 of 10 calls") -> Score:
    """Score otherwise."""
    _, latency = SCORE.factors
    return Score(
        value, judged=True, factors=(Factor("success", success, 0.5, detail), latency)
    )


def breaker(**changes: object) -> BreakerView:
    """Change the breaker of Alpha Vantage's equities."""
    return msgspec.structs.replace(EQUITIES.breaker, **changes)


def test_calls_that_grow_old_are_no_news() -> None:
    older = with_health(samples=8.5, score=scored(0.755, 0.895))

    assert news_of(ALPHA_VANTAGE, older) == [0, 0]


@pytest.mark.parametrize(
    "score",
    [
        scored(0.77, 0.9),
        scored(0.75, 0.92),
        msgspec.structs.replace(SCORE, judged=False),
    ],
)
def test_another_score_is_news(score: Score) -> None:
    assert news_of(with_health(score=score)) == [1]


def test_a_score_that_creeps_is_news_in_the_end() -> None:
    creeping = [with_health(score=scored(0.75 + step, 0.9)) for step in (0.006, 0.012)]

    assert news_of(*creeping) == [0, 1]


def test_another_factor_is_news() -> None:
    success, latency = SCORE.factors
    cost = msgspec.structs.replace(latency, name="cost")
    other = Score(SCORE.value, judged=True, factors=(success, cost))

    assert news_of(with_health(score=other)) == [1]


def test_a_moment_that_is_reckoned_anew_is_no_news() -> None:
    retry = EQUITIES.breaker.retry_at_ns
    assert retry is not None

    same = with_health(breaker=breaker(retry_at_ns=retry + 50_000_000))
    later = with_health(breaker=breaker(retry_at_ns=retry + 200_000_000))

    assert news_of(same, later) == [0, 1]


def test_a_call_is_news() -> None:
    assert news_of(with_health(last_success_ns=NOW_NS)) == [1]


def test_a_kind_of_data_that_was_not_asked_for_before_is_news() -> None:
    both = msgspec.structs.replace(ALPHA_VANTAGE, health=[UNTRIED, EQUITIES])

    assert news_of(both) == [1]


def test_events_are_told_with_their_moment() -> None:
    message = Told([]).news([], CACHE, [event(3)], NOW_NS)

    assert [one.number for one in message.events] == [3]
    assert message.as_of.seconds == NOW_NS // SECOND_NS


def cache(**changes: object) -> CacheUse:
    """Change what is known of the cache."""
    return msgspec.structs.replace(CACHE, **changes)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, False),
        ({"oldest_forming_seconds": 2.5}, False),
        ({"oldest_forming_seconds": None}, True),
        ({"series": 12}, True),
        ({"counts": msgspec.structs.replace(CACHE.counts, hits=7)}, True),
        ({"file_problem": ""}, True),
    ],
)
def test_the_cache_alone_is_told_if_more_than_an_age_has_changed(
    *, changed: dict[str, object], told: bool
) -> None:
    watcher = Told(["alpha_vantage"])
    watcher.news([ALPHA_VANTAGE], CACHE, [], NOW_NS)

    message = watcher.news([ALPHA_VANTAGE], cache(**changed), [], LATER_NS)

    assert message.HasField("cache") is told
    assert not message.providers


def test_the_cache_is_told_with_whatever_is_told() -> None:
    watcher = Told(["alpha_vantage"])
    aged = cache(oldest_forming_seconds=2.5)

    messages = [
        watcher.news([ALPHA_VANTAGE], CACHE, [], NOW_NS),
        watcher.news([ALPHA_VANTAGE], CACHE, [event(3)], LATER_NS),
        watcher.news([with_health(last_success_ns=NOW_NS)], aged, [], LATER_NS),
    ]

    assert [one.cache.hits for one in messages] == [6, 6, 6]
    assert messages[-1].cache.oldest_forming.seconds == 2
