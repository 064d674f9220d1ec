"""What is made of counts: shares, quantiles, and what is left of an error budget."""

from __future__ import annotations

from ingestion_server.domain.latencies import quantile_seconds
from ingestion_server.domain.service_counts import Counts
from ingestion_server.ports.reporting import LatencyQuantiles, ServiceLevel


def level_of(
    counts: Counts, objective: float, availability: float | None
) -> ServiceLevel:
    """Return what calls came to, measured by the share that should be answered."""
    promised = counts.promised
    failures = sorted(counts.failures.items(), key=lambda item: (-item[1], item[0]))
    return ServiceLevel(
        calls=promised + counts.caller_faults,
        answered=counts.answered,
        caller_faults=counts.caller_faults,
        failures=dict(failures),
        success_ratio=counts.answered / promised if promised else None,
        market_hours_availability=availability,
        latency=_latency(counts),
        objective=objective,
        error_budget_left=budget_left(promised, counts.answered, objective),
    )


def budget_left(calls: int, answered: int, objective: float) -> float | None:
    """
    Return the share of the error budget that is left; below 0 = overspent.

    The budget is how many of the calls may fail; None if there were none.
    """
    if not calls:
        return None
    # A budget that is just used up is not overspent by what floats cannot hold.
    # 0 is added because there is a zero below zero.
    return round(1 - (calls - answered) / (calls * (1 - objective)), 12) + 0.0


def _latency(counts: Counts) -> LatencyQuantiles | None:
    if not counts.places:
        return None
    longest = counts.longest_seconds

    def took(share: float) -> float:
        return quantile_seconds(counts.places, share, longest)

    return LatencyQuantiles(took(0.5), took(0.95), took(0.99), longest)
