"""What Finnhub refuses, and why: each status and text means one thing."""

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
)
from ingestion_server.ports.http import HttpResponse
from ingestion_server.providers.finnhub import Finnhub
from tests.providers.finnhub.answers import NOW, answer, ask, seconds

NO_ACCESS = {"error": "You don't have access to this resource."}
INVALID_KEY = {"error": "Invalid API key"}
NO_KEY = {"error": "Please use an API key."}
LIMIT = {"error": "API limit reached. Please try again later. Remaining Limit: 0"}
WRONG = {"error": "Wrong resolution parameter"}
PAGE = b"<!DOCTYPE html><html><head><title>Blocked</title></head></html>"


def complaint(response: HttpResponse) -> ProviderError:
    """Return what an answer is taken for."""
    (request,) = Finnhub().bar_requests(ask())
    with pytest.raises(ProviderError) as caught:
        Finnhub().check(request, response)
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (403, NO_ACCESS, EntitlementMissingError),
        (401, NO_ACCESS, EntitlementMissingError),
        (403, {}, EntitlementMissingError),
        (200, NO_ACCESS, EntitlementMissingError),
        (401, INVALID_KEY, CredentialsRefusedError),
        (401, NO_KEY, CredentialsRefusedError),
        (403, INVALID_KEY, CredentialsRefusedError),
        (401, b"", CredentialsRefusedError),
        (200, INVALID_KEY, CredentialsRefusedError),
        (429, LIMIT, QuotaExhaustedError),
        (200, LIMIT, QuotaExhaustedError),
        (422, WRONG, CapabilityMissingError),
        (200, {"error": "Something else"}, MalformedPayloadError),
        (403, PAGE, MalformedPayloadError),
        (401, PAGE, MalformedPayloadError),
        (404, PAGE, MalformedPayloadError),
        (200, PAGE, MalformedPayloadError),
        (500, PAGE, ProviderUnavailableError),
        (502, b"", ProviderUnavailableError),
    ],
)
def test_each_refusal_means_one_thing(
    status: int, body: object, meaning: type[ProviderError]
) -> None:
    assert type(complaint(answer(body, status))) is meaning


def test_what_the_plan_lacks_is_named() -> None:
    error = complaint(answer(NO_ACCESS, 403))

    assert isinstance(error, EntitlementMissingError)
    assert error.feature == "stock/candle"
    assert "access" in error.message


@pytest.mark.parametrize("status", [404, 422])
def test_what_we_asked_wrongly_is_no_reason_to_leave_the_vendor_alone(
    status: int,
) -> None:
    error = complaint(answer(WRONG, status))

    assert not error.trips_breaker
    assert not error.transient


def test_a_minute_that_is_used_up_ends_when_the_header_says() -> None:
    reset = str(seconds(NOW) + 17)

    error = complaint(
        answer(LIMIT, 429, x_ratelimit_remaining="0", x_ratelimit_reset=reset)
    )

    assert isinstance(error, QuotaExhaustedError)
    assert (error.window, error.retry_after_seconds) == ("minute", 17.0)


def test_where_the_minute_has_calls_left_it_is_the_second_that_has_none() -> None:
    error = complaint(
        answer(
            LIMIT,
            429,
            x_ratelimit_remaining="21",
            x_ratelimit_reset=str(seconds(NOW) + 17),
        )
    )

    assert isinstance(error, QuotaExhaustedError)
    assert (error.window, error.retry_after_seconds) == ("second", 1.0)


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({}, 60.0),
        ({"x_ratelimit_reset": "soon"}, 60.0),
        ({"x_ratelimit_reset": "1" * 12}, 60.0),
        ({"x_ratelimit_reset": "1"}, 0.0),
        ({"retry_after": "5"}, 5.0),
    ],
)
def test_a_reset_that_says_nothing_of_use_costs_a_minute_at_most(
    headers: dict[str, str], pause: float
) -> None:
    assert complaint(answer(LIMIT, 429, **headers)).retry_after_seconds == pause


@pytest.mark.parametrize(
    "body",
    [b'{"s":"no_data"}', b"[]", b'{"c":1,"error":""}', b"", b'{"error":' + b"[" * 999],
)
def test_what_is_no_complaint_is_left_to_its_reader(body: bytes) -> None:
    (request,) = Finnhub().bar_requests(ask())

    Finnhub().check(request, answer(body))
