"""The numbers that the architecture promises."""

from __future__ import annotations

from ingestion_server.policies.limits import PolicyLimits


def test_the_defaults_are_those_of_the_architecture() -> None:
    limits = PolicyLimits()

    assert (limits.breaker.failures, limits.breaker.rest_seconds) == (5, 30.0)
    assert limits.breaker.longest_rest_seconds == 300.0
    assert limits.deadline.call_seconds == 10.0
    assert limits.retry.attempts == 3
