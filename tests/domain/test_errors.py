"""Errors carry facts for machines and one sentence for people."""

from __future__ import annotations

import pytest

from ingestion_server.domain import errors
from ingestion_server.domain.errors import IngestionError, Violation

EVERY = [
    (
        errors.InvalidQueryError(
            [Violation("start", "bad"), Violation("end", "bad"), Violation("end", "x")]
        ),
        "INVALID_QUERY",
        {"fields": "start,end"},
    ),
    (
        errors.CallerThrottledError("busy", limit=8, retry_after_seconds=1.0),
        "CALLER_THROTTLED",
        {"limit": "8"},
    ),
    (
        errors.DeadlineExceededError("late", attempts="acme pending"),
        "DEADLINE_EXCEEDED",
        {"attempts": "acme pending"},
    ),
    (
        errors.SymbolUnknownError("who?", provider="acme", symbol="AAPL"),
        "SYMBOL_UNKNOWN",
        {"providers": "acme", "symbol": "AAPL"},
    ),
    (
        errors.NoDataUnexplainedError("silent", provider="acme"),
        "NO_DATA_UNEXPLAINED",
        {"provider": "acme"},
    ),
    (
        errors.QuotaExhaustedError("not now", provider="acme", window="day"),
        "QUOTA_EXHAUSTED",
        {"provider": "acme", "window": "day"},
    ),
    (
        errors.EntitlementMissingError("premium", provider="acme", feature="full"),
        "ENTITLEMENT_MISSING",
        {"provider": "acme", "feature": "full"},
    ),
    (
        errors.CapabilityMissingError("no bars", provider="acme"),
        "CAPABILITY_MISSING",
        {"acme": "no bars"},
    ),
    (errors.CapabilityMissingError("nobody", provider=""), "CAPABILITY_MISSING", {}),
    (
        errors.ProviderUnavailableError("down", provider="acme"),
        "ALL_PROVIDERS_FAILED",
        {"providers": "acme"},
    ),
    (
        errors.BreakerOpenError("rests", provider="acme"),
        "ALL_PROVIDERS_FAILED",
        {"providers": "acme"},
    ),
    (
        errors.PinnedProviderFailedError("down", facts={"provider": "acme"}),
        "PINNED_PROVIDER_FAILED",
        {"provider": "acme"},
    ),
    (errors.ServerStoppingError("bye"), "SERVER_STOPPING", {}),
]


@pytest.mark.parametrize(("error", "reason", "facts"), EVERY)
def test_an_error_has_a_reason_facts_and_a_sentence(
    error: IngestionError, reason: str, facts: dict[str, str]
) -> None:
    assert error.reason == reason
    assert error.facts() == facts
    assert str(error) == error.message != ""


def test_only_signs_of_a_broken_vendor_trip_its_breaker() -> None:
    tripping = {
        kind.__name__
        for kind in errors.ProviderError.__subclasses__()
        if kind.trips_breaker
    }

    assert tripping == {"MalformedPayloadError", "ProviderUnavailableError"}
