"""How long silence is borne, and how many extra calls there are."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.ingest.candidates import Candidate
from ingestion_server.ingest.hedging import Hedges
from ingestion_server.ingest.progress import Progress
from ingestion_server.ingest.scope import scope
from ingestion_server.ports.hooks import OK, CallDetails
from ingestion_server.registry.recipe import Recipe
from tests.ingest.making import ACME, CALENDAR, NOW
from tests.ingest.vendors import QUERY, Market, Shop

SAVED = 10


@pytest.fixture
def market() -> Market:
    """Have one vendor."""
    return Market(Shop(ACME))


@pytest.fixture
def hedges(market: Market) -> Hedges:
    """Begin with all extra calls saved."""
    return Hedges(market.standings)


@pytest.fixture
def silent(market: Market) -> Candidate:
    """Return the vendor, able to serve."""
    recipe = Recipe(QUERY.interval, QUERY.adjustment)
    return Candidate(market.vendors[ACME], recipe, NOW)


@pytest.fixture
def progress() -> Progress:
    """Begin with nothing."""
    return Progress(QUERY, scope(QUERY, CALENDAR, now_ns=NOW, most_bars=1000))


def answers(market: Market, seconds: float) -> None:
    """Have the vendor answer often enough, each time after so long."""
    for _ in range(8):
        market.standings(
            CallDetails(
                provider=ACME,
                feature="BARS",
                seconds=seconds,
                outcome=OK,
                detail="",
                kind="bars:equity",
                vendor_failed=False,
            )
        )


@pytest.mark.parametrize(
    ("usual", "seconds"), [(None, [1.5, 5.0]), (0.1, [1.0, 5.0]), (2.0, [8.0, 8.0])]
)
def test_silence_is_borne_for_a_few_usual_times_but_longer_if_one_was_chosen(
    market: Market,
    silent: Candidate,
    progress: Progress,
    usual: float | None,
    seconds: list[float],
) -> None:
    hedges = Hedges(market.standings)
    if usual is not None:
        answers(market, usual)

    borne = [
        hedges.patience_seconds(silent, progress, chosen=chosen)
        for chosen in (False, True)
    ]

    assert borne == pytest.approx(seconds)


def test_who_is_merely_late_is_given_more_time_once_few_extra_calls_are_left(
    market: Market, hedges: Hedges, silent: Candidate, progress: Progress
) -> None:
    answers(market, 0.2)
    delays = []
    for _ in range(SAVED + 1):
        delays.append(hedges.delay_seconds(silent, progress, chosen=False))
        hedges.spent(silent, progress)

    assert delays == [pytest.approx(0.2)] * 6 + [pytest.approx(0.4)] * 4 + [None]


def test_extra_calls_that_were_none_are_given_back_but_no_more_than_can_be_saved(
    hedges: Hedges, silent: Candidate, progress: Progress
) -> None:
    spent = [hedges.spent(silent, progress) for _ in range(SAVED + 1)]
    hedges.given_back(1)
    again = [hedges.spent(silent, progress) for _ in range(2)]
    hedges.given_back(100)
    at_last = [hedges.spent(silent, progress) for _ in range(SAVED + 1)]

    assert sum(spent) == SAVED
    assert again == [True, False]
    assert sum(at_last) == SAVED


def test_a_call_that_nobody_waits_for_is_ended_early_only_if_its_usual_time_is_known(
    market: Market, hedges: Hedges, silent: Candidate, progress: Progress
) -> None:
    unknown = hedges.spare_seconds(silent, progress)
    answers(market, 3.0)

    assert unknown is None
    assert hedges.spare_seconds(silent, progress) == pytest.approx(12.0)


def test_nobody_is_asked_in_haste_where_the_caller_gave_an_order(
    market: Market, hedges: Hedges, silent: Candidate, progress: Progress
) -> None:
    answers(market, 0.1)
    progress.query = replace(progress.query, policy=SourcePolicy(SourceMode.ORDERED))

    assert hedges.delay_seconds(silent, progress, chosen=False) is None
    assert hedges.patience_seconds(silent, progress, chosen=False) == 5.0
