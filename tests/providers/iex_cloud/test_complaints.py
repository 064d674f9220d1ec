"""Complaints are sentences; each means one thing."""

from __future__ import annotations

import pytest

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
    MalformedPayloadError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    SymbolUnknownError,
)
from ingestion_server.ports.http import HttpResponse
from ingestion_server.providers.iex_cloud import IexCloud
from tests.providers.iex_cloud.answers import AAPL, MSFT, answer, ask


def complaint(response: HttpResponse) -> ProviderError:
    """Return what an answer to a question for bars means."""
    (request,) = IexCloud().bar_requests(ask())
    with pytest.raises(ProviderError) as caught:
        IexCloud().check(request, response)
    return caught.value


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "Unknown symbol", SymbolUnknownError),
        (404, "Not Found", MalformedPayloadError),
        (400, "You have supplied invalid values", CapabilityMissingError),
        (400, '{"error":"\\"badOption\\" is not allowed"}', CapabilityMissingError),
        (401, "An API key is required", CredentialsRefusedError),
        (401, "… the account does not have access.", EntitlementMissingError),
        (402, "You have exceeded your allotted message quota", QuotaExhaustedError),
        (402, "", QuotaExhaustedError),
        (402, "… is not available to free accounts.", EntitlementMissingError),
        (403, "The API key provided is not valid.", CredentialsRefusedError),
        (403, "Your pay-as-you-go circuit breaker has been", QuotaExhaustedError),
        (403, "<html><body>Access denied</body></html>", MalformedPayloadError),
        (413, "Maximum number of types", CapabilityMissingError),
        (429, "Too many requests", QuotaExhaustedError),
        (451, "requires additional permission", EntitlementMissingError),
        (500, "A system error", ProviderUnavailableError),
        (503, "", ProviderUnavailableError),
        (418, "", MalformedPayloadError),
        (200, "<!doctype html>", MalformedPayloadError),
    ],
)
def test_each_is_what_it_says(
    status: int, text: str, kind: type[ProviderError]
) -> None:
    assert type(complaint(answer(text.encode(), status))) is kind


def test_data_are_no_complaint() -> None:
    (request,) = IexCloud().bar_requests(ask())

    IexCloud().check(request, answer([]))


def test_the_symbol_is_named() -> None:
    told = complaint(answer(b"Unknown symbol", 404))

    assert isinstance(told, SymbolUnknownError)
    assert told.symbol == "AAPL"


def test_of_several_all_are_named() -> None:
    quoting = IexCloud().quoting
    assert quoting is not None

    with pytest.raises(SymbolUnknownError) as caught:
        IexCloud().check(
            quoting.quote_request([AAPL, MSFT]), answer(b"Unknown symbol", 404)
        )

    assert caught.value.symbol == "AAPL,MSFT"


def test_the_budget_and_the_pace_are_told_apart() -> None:
    budget = complaint(answer(b"", 402))
    pace = complaint(answer(b"", 429))
    later = complaint(answer(b"", 429, retry_after="7"))

    assert isinstance(budget, QuotaExhaustedError)
    assert isinstance(pace, QuotaExhaustedError)
    assert (budget.window, budget.retry_after_seconds) == ("month", None)
    assert (pace.window, pace.retry_after_seconds) == ("second", 1.0)
    assert later.retry_after_seconds == 7.0


def test_what_the_plan_lacks_is_named() -> None:
    told = complaint(answer(b"", 451))

    assert isinstance(told, EntitlementMissingError)
    assert told.feature == "chart"


@pytest.mark.parametrize(
    "text",
    [
        "The API key sk_abc123 is not valid.",
        "Tpk_abc123 is a test token",
        "GET /stock/AAPL?token=abc123 refused",
    ],
)
def test_no_key_is_repeated(text: str) -> None:
    assert "abc123" not in complaint(answer(text.encode(), 403)).message


def test_a_long_text_is_not_repeated_whole() -> None:
    assert len(complaint(answer(b"x" * 4000, 403)).message) < 300
    assert complaint(answer(b"x" * 5000, 403)).message.endswith("HTTP 403")
