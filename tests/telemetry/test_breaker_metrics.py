"""Operators see which breakers keep calls back, and how often each moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ingestion_server.ports.policy import BreakerPosition, BreakerState
from ingestion_server.ports.routing import BreakerChange
from ingestion_server.telemetry.breaker_metrics import MoveCounter, breaker_parts
from ingestion_server.telemetry.metrics_page import MetricsPage
from tests.telemetry.pages import OPENMETRICS, families, series

Page = Callable[[str], tuple[bytes, str]]
States = dict[tuple[str, str], BreakerState]
CLOSED, OPEN, HALF_OPEN = BreakerPosition
FX, EQUITY = ("acme", "bars:fx"), ("acme", "bars:equity")


@pytest.fixture
def states() -> States:
    """Know two breakers of acme, both closed."""
    return {FX: BreakerState(CLOSED, 0), EQUITY: BreakerState(CLOSED, 2)}


@pytest.fixture
def moves() -> MoveCounter:
    """Have heard of nothing yet."""
    return MoveCounter()


@pytest.fixture
def page(states: States, moves: MoveCounter) -> Page:
    """Write the page as the server would."""
    return MetricsPage(breaker_parts(lambda: states, moves))


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
@pytest.mark.parametrize(
    ("position", "value"), [(CLOSED, 0.0), (OPEN, 1.0), (HALF_OPEN, 1.0)]
)
def test_a_breaker_is_open_until_a_probe_closes_it(
    page: Page, states: States, accept: str, position: BreakerPosition, value: float
) -> None:
    page(accept)
    states[FX] = BreakerState(position, 5)

    told = series(page(accept))["ingestion_breaker_open"]

    # Labels are written in the order of their names: kind, provider.
    assert told == {("bars:fx", "acme"): value, ("bars:equity", "acme"): 0.0}


def test_moves_are_counted_by_where_they_lead_and_shown_before_the_first(
    page: Page, moves: MoveCounter
) -> None:
    before = series(page(""))["ingestion_breaker_moves"]
    for position in (OPEN, HALF_OPEN, OPEN, HALF_OPEN, CLOSED):
        moves(BreakerChange(*FX, position, "", 0.0))

    after = series(page(""))["ingestion_breaker_moves"]

    assert set(before.values()) == {0}
    assert before.keys() == after.keys()
    assert {labels: count for labels, count in after.items() if count} == {
        ("bars:fx", "acme", "open"): 2,
        ("bars:fx", "acme", "half_open"): 2,
        ("bars:fx", "acme", "closed"): 1,
    }


def test_every_metric_says_what_it_means_and_which_kind_it_is(page: Page) -> None:
    told = families(page(OPENMETRICS))

    ours = {name: each for name, each in told.items() if "breaker" in name}
    assert {name: each.type for name, each in ours.items()} == {
        "ingestion_breaker_open": "gauge",
        "ingestion_breaker_moves": "counter",
    }
    assert all(each.documentation.endswith(".") for each in ours.values())
