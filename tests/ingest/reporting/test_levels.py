"""Shares and budgets are what was counted, and nothing where nothing was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.service_counts import Counts
from ingestion_server.ingest.reporting.levels import budget_left, level_of

OBJECTIVES = st.floats(min_value=0.01, max_value=0.9999)


@given(st.integers(1, 10**9), OBJECTIVES)
def test_a_budget_is_whole_without_failures_and_spent_by_as_many_as_are_allowed(
    calls: int, objective: float
) -> None:
    allowed = calls * (1 - objective)

    assert budget_left(calls, calls, objective) == 1
    assert budget_left(calls, 0, objective) == pytest.approx(
        1 - calls / allowed, rel=1e-9
    )


@given(st.integers(1, 10**6), st.integers(0, 10**6), OBJECTIVES)
def test_a_budget_is_overspent_if_fewer_are_answered_than_should_be(
    calls: int, failed: int, objective: float
) -> None:
    answered = max(calls - failed, 0)

    left = budget_left(calls, answered, objective)

    assert left is not None
    assert left <= 1
    share = answered / calls
    if abs(share - objective) > 1e-9:
        assert (left < 0) == (share < objective)


def test_faults_of_callers_are_in_no_share() -> None:
    counts = Counts(answered=3, caller_faults=100, failures={"LATE": 1, "BAD": 2})

    level = level_of(counts, 0.5, None)

    assert level.calls == 106
    assert level.success_ratio == 0.5
    assert level.error_budget_left == 0
    assert list(level.failures) == ["BAD", "LATE"]
    assert level.latency is None


def test_of_nothing_nothing_is_told() -> None:
    level = level_of(Counts(caller_faults=1), 0.999, 1.0)

    assert level.success_ratio is None
    assert level.error_budget_left is None
    assert level.market_hours_availability == 1.0


@pytest.mark.parametrize(
    ("calls", "objective"), [(10, 0.9), (20, 0.95), (1_000, 0.999), (10_000, 0.9999)]
)
def test_a_budget_that_is_just_used_up_is_not_overspent(
    calls: int, objective: float
) -> None:
    assert str(budget_left(calls, calls - 1, objective)) == "0.0"
