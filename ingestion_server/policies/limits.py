"""What can be set, each step's own slice."""

from __future__ import annotations

import msgspec

from ingestion_server.ports.policy import CALL_SECONDS


class RetryLimits(msgspec.Struct, frozen=True):
    """Bound the tries of one call."""

    attempts: int = 3
    """How often it is tried in all."""
    first_seconds: float = 0.1
    """Longest pause after the first try; doubled after each."""
    longest_seconds: float = 2.0
    """Longest pause of our own choice."""
    longest_retry_after_seconds: float = 30.0
    """Longest pause that the vendor may choose; for more the caller comes back."""


class BreakerLimits(msgspec.Struct, frozen=True):
    """Say when a vendor rests, and for how long."""

    failures: int = 5
    """In a row."""
    rest_seconds: float = 30.0
    """The first rest; doubled after each probe that fails."""
    longest_rest_seconds: float = 300.0
    """What doubling leads to; a first rest that is longer stays as it is."""

    def rest_after(self, rest_seconds: float) -> float:
        """Return the rest that follows one whose probe failed."""
        longest = max(self.longest_rest_seconds, self.rest_seconds)
        return min(rest_seconds * 2, longest)


class DeadlineLimits(msgspec.Struct, frozen=True):
    """Bound one call."""

    call_seconds: float = CALL_SECONDS
    fair_seconds: float = 2.5
    """After so long, silence is the vendor's fault, even if the caller gave up."""


class PolicyLimits(msgspec.Struct, frozen=True):
    """Hold the limits of all steps."""

    retry: RetryLimits = RetryLimits()
    breaker: BreakerLimits = BreakerLimits()
    deadline: DeadlineLimits = DeadlineLimits()
