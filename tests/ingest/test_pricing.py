"""What bars would cost, before anybody is asked."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import SourcePolicy
from ingestion_server.ingest import pricing
from ingestion_server.ingest.candidates import Candidate
from ingestion_server.ingest.making import Task
from ingestion_server.ingest.progress import Progress
from ingestion_server.ports.policy import CallTally
from ingestion_server.registry.recipe import Recipe
from tests.ingest.making import ACME, NOW, ZENITH, june, piece, progress
from tests.ingest.vendors import CENT, TEN_DAYS, Market, Shop

RECIPE = Recipe(Interval.DAY_1, Adjustment.SPLIT)


def able(*shops: Shop) -> list[Candidate]:
    """Let the shops stand ready."""
    market = Market(*shops)
    return [Candidate(vendor, RECIPE, NOW) for vendor in market.vendors.values()]


def price(shop: Shop) -> Decimal:
    """Ask what all ten days would cost."""
    made = progress()
    [candidate] = able(shop)
    task = Task(made.query, RECIPE, made.gaps(), None, NOW)
    return pricing.price_usd(candidate, task, 0.0)


def limited(most_usd: float | None, *spent: Decimal) -> Progress:
    """Begin an answer with a limit, of which some is spent."""
    made = progress()
    policy = SourcePolicy(max_cost_usd=most_usd)
    made.query = msgspec.structs.replace(made.query, policy=policy)
    made.tallies.extend(CallTally(calls=1, cost_usd=each) for each in spent)
    return made


@pytest.mark.parametrize(
    ("shop", "cents"),
    [
        (Shop(ACME), 0),
        (Shop(ACME, 2), 2),
        (Shop(ACME, 2, calls=3), 6),
        (Shop(ACME, 2, action_calls=5), 2),
    ],
)
def test_the_price_is_that_of_the_calls_for_the_bars(shop: Shop, cents: int) -> None:
    assert price(shop) == cents * CENT


def test_who_would_take_too_many_calls_has_no_price_and_says_so_when_asked() -> None:
    assert price(Shop(ACME, 2, calls=65)) == 0


def test_each_candidate_has_its_price_for_all_that_is_missing() -> None:
    shops = able(Shop(ACME, 2), Shop(ZENITH, 1, calls=3))

    prices = pricing.prices_usd(shops, progress(), 0.0)

    assert prices == {ACME: 2 * CENT, ZENITH: 3 * CENT}


def test_of_an_answer_that_is_whole_nothing_costs_anything() -> None:
    made = progress()
    made.collected.add(piece(ACME, june(*TEN_DAYS)))

    prices = pricing.prices_usd(able(Shop(ACME, 2)), made, 0.0)

    assert prices == {ACME: 0}


@pytest.mark.parametrize(
    ("made", "left"),
    [
        (limited(None), None),
        (limited(None, CENT), None),
        (limited(0.0), Decimal(0)),
        (limited(0.1), Decimal("0.1")),
        (limited(0.3, Decimal("0.1"), Decimal("0.1")), Decimal("0.1")),
        (limited(0.01, 3 * CENT), -2 * CENT),
    ],
)
def test_what_is_left_is_the_limit_without_what_was_spent_to_the_cent(
    made: Progress, left: Decimal | None
) -> None:
    assert pricing.left_usd(made) == left


def test_who_is_too_dear_is_told_with_price_and_limit() -> None:
    [candidate] = able(Shop(ACME, 2))

    error = pricing.too_dear(candidate, 2 * CENT, CENT)

    assert error.message == (
        "the bars would cost 0.02 US dollars with acme, and max_cost_usd leaves 0.01"
    )
    assert error.facts() == {"provider": ACME, "price_usd": "0.02"}
