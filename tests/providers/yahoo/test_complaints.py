"""What Yahoo's complaints mean; texts as in the fact sheet, bodies made by us."""

from __future__ import annotations

import pytest

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    MalformedPayloadError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    SessionExpiredError,
    SymbolUnknownError,
)
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.providers.yahoo import Yahoo
from tests.providers.yahoo.charts import answer, ask, chart, complaint, read

CHART = HttpRequest("yahoo", "https://query2.finance.yahoo.com/v8/finance/chart/A")
SESSION = HttpRequest("yahoo", "https://fc.yahoo.com/", feature="session")
PAGE = b"<!DOCTYPE html><html><body>Oops</body></html>"
BLOCKED = b"Too Many Requests\r\n"
DELISTED = complaint("Not Found", "No data found, symbol may be delisted")
NO_DATA = complaint("Bad Request", "Data doesn't exist for startDate = 1, endDate = 2")


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (404, DELISTED, SymbolUnknownError),
        (200, DELISTED, SymbolUnknownError),
        (404, PAGE, MalformedPayloadError),
        (404, complaint("Not Found", "HTTP 404", "finance"), MalformedPayloadError),
        (
            400,
            complaint("Bad Request", "interval=4h is not supported. Valid: [1m]"),
            CapabilityMissingError,
        ),
        (
            422,
            complaint(
                "Unprocessable Entity",
                "1m data not available for startTime=1. Only 8 days worth",
            ),
            CapabilityMissingError,
        ),
        (400, complaint("Bad Request", "start is after end"), MalformedPayloadError),
        (
            401,
            complaint("Unauthorized", "Invalid Crumb", "finance"),
            SessionExpiredError,
        ),
        (401, b"", SessionExpiredError),
        (429, BLOCKED, QuotaExhaustedError),
        (429, b"", QuotaExhaustedError),
        (200, BLOCKED, QuotaExhaustedError),
        (200, b"<html><title>Too many requests</title></html>", QuotaExhaustedError),
        (999, PAGE, QuotaExhaustedError),
        (403, PAGE, QuotaExhaustedError),
        (500, PAGE, ProviderUnavailableError),
        (502, PAGE, ProviderUnavailableError),
        (503, PAGE, ProviderUnavailableError),
        (500, DELISTED, ProviderUnavailableError),
        (408, b"", ProviderUnavailableError),
        (200, PAGE, MalformedPayloadError),
        (302, b"", MalformedPayloadError),
    ],
)
def test_a_complaint_is_understood(
    status: int, body: object, meaning: type[ProviderError]
) -> None:
    with pytest.raises(meaning) as caught:
        Yahoo().check(CHART, answer(body, status=status))

    assert type(caught.value) is meaning
    assert caught.value.provider == "yahoo"


@pytest.mark.parametrize("status", [200, 400, 404, 422])
def test_no_data_in_a_range_is_an_empty_page_and_no_error(status: int) -> None:
    Yahoo().check(CHART, answer(NO_DATA, status=status))

    assert len(read(NO_DATA).series) == 0


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "60"}, 60.0),
        ({"retry-after": "Mon, 01 Jul 2024 00:01:30 GMT"}, 90.0),
        ({"retry-after": "soon"}, None),
    ],
)
@pytest.mark.parametrize("request_", [CHART, SESSION])
def test_a_block_says_when_to_come_back_if_the_vendor_does(
    headers: dict[str, str], wait: float | None, request_: HttpRequest
) -> None:
    blocked = answer(BLOCKED, status=429, headers=headers, received_at="2024-07-01")

    with pytest.raises(QuotaExhaustedError) as caught:
        Yahoo().check(request_, blocked)

    assert caught.value.retry_after_seconds == wait
    assert caught.value.window == "unpublished"


def test_a_chart_is_no_complaint() -> None:
    Yahoo().check(CHART, answer(chart({"2024-01-02T14:30": (1.0,) * 5})))


@pytest.mark.parametrize(
    "body",
    [
        {"chart": {"result": [], "error": None}},
        {"chart": {"result": None, "error": None}},
        {"quoteResponse": {"result": [], "error": None}},
        complaint("Internal", "something else"),
        b"",
        b"null",
        b'{"chart": {"result"',
        b"\xff\xfe",
    ],
)
def test_a_success_without_a_chart_is_malformed(body: object) -> None:
    def understood() -> None:
        Yahoo().check(CHART, answer(body))
        read(body, ask())

    with pytest.raises(MalformedPayloadError):
        understood()


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404])
def test_a_greeting_judges_its_own_pages(status: int) -> None:
    Yahoo().check(SESSION, answer(PAGE, status=status))


def test_a_greeting_by_who_is_out_of_order_is_none_unless_it_gives_a_cookie() -> None:
    with pytest.raises(ProviderUnavailableError):
        Yahoo().check(SESSION, answer(PAGE, status=502))
    given = HttpResponse(502, b"", {"set-cookie": "A3=x; Path=/"})
    Yahoo().check(SESSION, given)


@pytest.mark.parametrize("status", [429, 999])
def test_a_block_ends_a_greeting_too(status: int) -> None:
    with pytest.raises(QuotaExhaustedError):
        Yahoo().check(SESSION, answer(b"", status=status))
