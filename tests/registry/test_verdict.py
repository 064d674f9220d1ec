"""Of many errors the caller is told the one that says it best."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from ingestion_server.domain.errors import (
    AllProvidersFailedError,
    BreakerOpenError,
    CapabilityMissingError,
    CostLimitError,
    CredentialsRefusedError,
    EntitlementMissingError,
    IngestionError,
    LedgerUnavailableError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    PinnedProviderFailedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    SessionExpiredError,
    SymbolUnknownError,
)
from ingestion_server.registry.verdict import verdict


def made(
    kind: type[ProviderError], provider: str, retry: float | None = None
) -> ProviderError:
    """Make an error of one vendor."""
    extra: dict[str, object] = {}
    if kind is QuotaExhaustedError:
        extra = {"window": "day", "retry_after_seconds": retry}
    elif kind is EntitlementMissingError:
        extra = {"feature": "full"}
    elif kind is CostLimitError:
        extra = {"price_usd": "0.01"}
    elif retry is not None:
        extra = {"retry_after_seconds": retry}
    make: Callable[..., ProviderError] = kind
    return make(f"{provider} said no", provider=provider, **extra)


def told(*errors: ProviderError, pinned: bool = False) -> IngestionError:
    """Give the verdict."""
    return verdict(errors, pinned=pinned, symbol="AAPL")


QUOTA, CREDENTIALS, SESSION = (
    QuotaExhaustedError,
    CredentialsRefusedError,
    SessionExpiredError,
)
ENTITLEMENT, UNKNOWN, MALFORMED = (
    EntitlementMissingError,
    SymbolUnknownError,
    MalformedPayloadError,
)
SILENT, BROKEN, RESTING, UNABLE = (
    NoDataUnexplainedError,
    ProviderUnavailableError,
    BreakerOpenError,
    CapabilityMissingError,
)
DEAR, HELD = CostLimitError, LedgerUnavailableError


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        ((QUOTA,), "QUOTA_EXHAUSTED"),
        ((QUOTA, QUOTA), "QUOTA_EXHAUSTED"),
        ((QUOTA, UNABLE), "QUOTA_EXHAUSTED"),
        ((QUOTA, CREDENTIALS), "ALL_PROVIDERS_FAILED"),
        ((QUOTA, UNKNOWN), "SYMBOL_UNKNOWN"),
        ((QUOTA, MALFORMED), "MALFORMED_PAYLOAD"),
        ((QUOTA, SILENT), "NO_DATA_UNEXPLAINED"),
        ((QUOTA, BROKEN), "ALL_PROVIDERS_FAILED"),
        ((QUOTA, RESTING), "ALL_PROVIDERS_FAILED"),
        ((CREDENTIALS,), "CREDENTIALS_REFUSED"),
        ((SESSION,), "CREDENTIALS_REFUSED"),
        ((CREDENTIALS, SESSION), "CREDENTIALS_REFUSED"),
        ((CREDENTIALS, UNABLE), "CREDENTIALS_REFUSED"),
        ((ENTITLEMENT, UNABLE), "ENTITLEMENT_MISSING"),
        ((ENTITLEMENT, ENTITLEMENT), "ENTITLEMENT_MISSING"),
        ((CREDENTIALS, BROKEN), "ALL_PROVIDERS_FAILED"),
        ((CREDENTIALS, UNKNOWN), "SYMBOL_UNKNOWN"),
        ((ENTITLEMENT, MALFORMED), "MALFORMED_PAYLOAD"),
        ((UNKNOWN, UNKNOWN), "SYMBOL_UNKNOWN"),
        ((UNKNOWN, MALFORMED), "SYMBOL_UNKNOWN"),
        ((UNKNOWN, SILENT), "SYMBOL_UNKNOWN"),
        ((UNKNOWN, UNABLE), "SYMBOL_UNKNOWN"),
        ((UNKNOWN, BROKEN), "ALL_PROVIDERS_FAILED"),
        ((UNKNOWN, RESTING), "ALL_PROVIDERS_FAILED"),
        ((UNKNOWN, BROKEN, MALFORMED), "MALFORMED_PAYLOAD"),
        ((MALFORMED, BROKEN), "MALFORMED_PAYLOAD"),
        ((MALFORMED, SILENT), "MALFORMED_PAYLOAD"),
        ((SILENT, SILENT), "NO_DATA_UNEXPLAINED"),
        ((SILENT, CREDENTIALS), "NO_DATA_UNEXPLAINED"),
        ((SILENT, BROKEN), "ALL_PROVIDERS_FAILED"),
        ((BROKEN, RESTING), "ALL_PROVIDERS_FAILED"),
        ((RESTING, RESTING), "ALL_PROVIDERS_FAILED"),
        ((DEAR,), "COST_LIMIT_EXCEEDED"),
        ((DEAR, DEAR), "COST_LIMIT_EXCEEDED"),
        ((DEAR, UNABLE), "COST_LIMIT_EXCEEDED"),
        ((DEAR, QUOTA), "COST_LIMIT_EXCEEDED"),
        ((DEAR, CREDENTIALS), "COST_LIMIT_EXCEEDED"),
        ((DEAR, HELD), "COST_LIMIT_EXCEEDED"),
        ((DEAR, SILENT), "NO_DATA_UNEXPLAINED"),
        ((DEAR, MALFORMED), "MALFORMED_PAYLOAD"),
        ((DEAR, UNKNOWN), "SYMBOL_UNKNOWN"),
        ((DEAR, BROKEN), "ALL_PROVIDERS_FAILED"),
        ((DEAR, RESTING), "ALL_PROVIDERS_FAILED"),
        ((HELD,), "LEDGER_UNAVAILABLE"),
        ((HELD, HELD), "LEDGER_UNAVAILABLE"),
        ((HELD, UNABLE), "LEDGER_UNAVAILABLE"),
        ((HELD, QUOTA), "ALL_PROVIDERS_FAILED"),
        ((HELD, CREDENTIALS), "ALL_PROVIDERS_FAILED"),
        ((HELD, BROKEN), "ALL_PROVIDERS_FAILED"),
        ((HELD, SILENT), "NO_DATA_UNEXPLAINED"),
        ((HELD, UNKNOWN), "SYMBOL_UNKNOWN"),
        ((UNABLE, UNABLE), "CAPABILITY_MISSING"),
        ((), "CAPABILITY_MISSING"),
    ],
)
def test_the_reason_follows_the_order_of_precedence(
    kinds: tuple[type[ProviderError], ...], reason: str
) -> None:
    errors = [made(kind, f"vendor_{i}") for i, kind in enumerate(kinds)]

    reasons = {told(*order).reason for order in permutations(errors)}

    assert reasons == {reason}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (QUOTA, "QUOTA_EXHAUSTED"),
        (CREDENTIALS, "CREDENTIALS_REFUSED"),
        (ENTITLEMENT, "ENTITLEMENT_MISSING"),
        (UNKNOWN, "SYMBOL_UNKNOWN"),
        (MALFORMED, "MALFORMED_PAYLOAD"),
        (SILENT, "NO_DATA_UNEXPLAINED"),
        (UNABLE, "CAPABILITY_MISSING"),
        (DEAR, "COST_LIMIT_EXCEEDED"),
        (HELD, "LEDGER_UNAVAILABLE"),
        (BROKEN, "PINNED_PROVIDER_FAILED"),
        (RESTING, "PINNED_PROVIDER_FAILED"),
    ],
)
def test_of_a_pinned_vendor_the_specific_reason_wins(
    kind: type[ProviderError], reason: str
) -> None:
    assert told(made(kind, "acme"), pinned=True).reason == reason


def test_out_of_quota_means_until_the_first_is_back() -> None:
    late, soon, unknown = (
        made(QUOTA, name, n) for name, n in zip("abc", (60.0, 5.0, None), strict=True)
    )

    error = told(late, unknown, soon)

    assert error is soon


@pytest.mark.parametrize(
    ("errors", "seconds"),
    [
        ([made(RESTING, "a", 30.0), made(RESTING, "b", 12.0)], 12.0),
        ([made(RESTING, "a", 30.0), made(CREDENTIALS, "b")], 30.0),
        ([made(RESTING, "a", 30.0), made(QUOTA, "b", 3600.0)], 30.0),
        ([made(RESTING, "a", 30.0), made(QUOTA, "b")], 30.0),
        ([made(RESTING, "a", 30.0), made(BROKEN, "b")], 1.0),
        ([made(BROKEN, "a", 120.0)], 120.0),
        ([made(BROKEN, "a")], 1.0),
        ([made(RESTING, "a")], 1.0),
        ([made(HELD, "a", 5.0), made(CREDENTIALS, "b")], 5.0),
        ([made(HELD, "a", 5.0), made(RESTING, "b", 30.0)], 5.0),
    ],
)
def test_all_failed_means_until_the_earliest_recovery(
    errors: list[ProviderError], seconds: float
) -> None:
    error = told(*errors)

    assert isinstance(error, AllProvidersFailedError)
    assert error.retry_after_seconds == seconds
    assert error.facts() == {"providers": ",".join(e.provider for e in errors)}


@pytest.mark.parametrize(("retry", "seconds"), [(30.0, 30.0), (None, 1.0)])
def test_a_pinned_vendor_that_failed_says_when_it_may_be_back(
    retry: float | None, seconds: float
) -> None:
    error = told(made(BROKEN, "acme", retry), pinned=True)

    assert isinstance(error, PinnedProviderFailedError)
    assert error.retry_after_seconds == seconds
    assert error.facts() == {"provider": "acme"}


def test_while_every_vendor_is_held_back_it_says_when_that_is_tried_again() -> None:
    error = told(made(HELD, "acme", 5.0), made(HELD, "zenith", 5.0))

    assert error.retry_after_seconds == 5.0
    assert error.facts() == {"provider": "acme"}


def test_who_would_cost_too_much_is_named_with_the_price() -> None:
    error = told(made(UNABLE, "zenith"), made(DEAR, "acme"))

    assert error.facts() == {"provider": "acme", "price_usd": "0.01"}


def test_who_does_not_know_the_symbol_is_named() -> None:
    error = told(made(UNKNOWN, "acme"), made(UNKNOWN, "zenith"), made(SILENT, "omega"))

    assert error.facts() == {"providers": "acme,zenith", "symbol": "AAPL"}
    assert error.message.startswith("AAPL is not known to acme and zenith;")


def test_who_cannot_serve_says_what_is_lacking() -> None:
    error = told(made(UNABLE, "acme"), made(UNABLE, "zenith"), made(UNABLE, ""))

    assert error.facts() == {"acme": "acme said no", "zenith": "zenith said no"}


def test_without_vendors_nobody_can_serve() -> None:
    error = told()

    assert error.message == "no vendor is configured that may be asked"
    assert error.facts() == {}
