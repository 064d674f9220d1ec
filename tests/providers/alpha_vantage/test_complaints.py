"""Complaints, which come with HTTP 200: every text that is known, and new ones."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    EntitlementMissingError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    SymbolUnknownError,
)
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.providers.alpha_vantage import AlphaVantage
from tests.providers.alpha_vantage.pages import ROW, answer, ns, reply

ASKED = HttpRequest(
    "alpha_vantage",
    "https://www.alphavantage.co/query",
    (("function", "TIME_SERIES_DAILY"), ("symbol", "IBMM"), ("outputsize", "full")),
    feature="TIME_SERIES_DAILY:full",
)

# The texts are those of our fact sheet, with its gaps filled from memory.
BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API "
    "requests more sparingly (1 request per second). You may subscribe to any of the "
    "premium plans at https://www.alphavantage.co/premium/ to lift the free key rate "
    "limit (25 requests per day), raise the per-second burst limit, and instantly "
    "unlock all premium endpoints"
)
DAY = (
    "We have detected your API key as SECRET123 and our standard API rate limit is 25 "
    "requests per day. Please subscribe to any of the premium plans at "
    "https://www.alphavantage.co/premium/ to instantly remove all daily rate limits."
)
SHORT_DAY = (
    "Thank you for using Alpha Vantage! Our standard API rate limit is 25 requests per "
    "day. Please subscribe to any of the premium plans."
)
NOTE = (
    "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per "
    "minute and 500 calls per day. Please visit https://www.alphavantage.co/premium/ "
    "if you would like to target a higher API call frequency."
)
PREMIUM = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe "
    "to any of the premium plans at https://www.alphavantage.co/premium/ to instantly "
    "unlock all premium endpoints"
)
PREMIUM_2022 = (
    "Thank you for using Alpha Vantage! This is a premium endpoint and there are "
    "multiple ways to unlock premium endpoints: (1) become a holder of Alpha Vantage "
    "Coin (AVC) to unlock all premium endpoints, (2) subscribe to any of the premium "
    "plans at https://www.alphavantage.co/premium/"
)
PREMIUM_FEATURE = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a "
    "premium feature for the TIME_SERIES_DAILY endpoint."
)
BAD_CALL = (
    "Invalid API call. Please retry or visit the documentation "
    "(https://www.alphavantage.co/documentation/) for TIME_SERIES_DAILY."
)
BAD_KEY = (
    "the parameter apikey is invalid or missing. Please claim your free API key on "
    "(https://www.alphavantage.co/support/#api-key). It should take less than 20 "
    "seconds."
)
DEMO_KEY = (
    "The **demo** API key is for demo purposes only. Please claim your free API key at "
    "(https://www.alphavantage.co/support/#api-key) to explore our full API offerings."
)


def complaint(key: str, text: object, received_at: str = "2024-01-02") -> ProviderError:
    """Return the error that a complaint becomes."""
    response = answer(json.dumps({key: text}).encode(), received_at=received_at)
    with pytest.raises(ProviderError) as raised:
        AlphaVantage().check(ASKED, response)
    return raised.value


@pytest.mark.parametrize(
    ("key", "text", "kind"),
    [
        ("Information", BURST, QuotaExhaustedError),
        ("Information", DAY, QuotaExhaustedError),
        ("Information", SHORT_DAY, QuotaExhaustedError),
        ("Note", NOTE, QuotaExhaustedError),
        ("Information", PREMIUM, EntitlementMissingError),
        ("Information", PREMIUM_2022, EntitlementMissingError),
        ("Information", PREMIUM_FEATURE, EntitlementMissingError),
        ("Error Message", BAD_CALL, SymbolUnknownError),
        ("Error Message", BAD_KEY, CredentialsRefusedError),
        ("Information", DEMO_KEY, CredentialsRefusedError),
        ("Information", "Something new.", NoDataUnexplainedError),
        ("Note", "Something new.", NoDataUnexplainedError),
        ("Error Message", "Something new.", NoDataUnexplainedError),
        ("Information", {"no": "text"}, NoDataUnexplainedError),
    ],
)
def test_every_text_is_one_error(
    key: str, text: object, kind: type[ProviderError]
) -> None:
    error = complaint(key, text)

    assert type(error) is kind
    assert error.provider == "alpha_vantage"


@pytest.mark.parametrize(
    ("key", "text", "window"),
    [
        ("Information", BURST, "second"),
        ("Information", DAY, "day"),
        ("Information", SHORT_DAY, "day"),
        ("Note", NOTE, "minute"),
    ],
)
def test_every_quota_names_its_window(key: str, text: str, window: str) -> None:
    error = complaint(key, text)

    assert isinstance(error, QuotaExhaustedError)
    assert error.window == window


def test_a_burst_is_over_in_a_second_or_two_and_a_minute_in_one() -> None:
    burst, minute = complaint("Information", BURST), complaint("Note", NOTE)

    assert 1 <= (burst.retry_after_seconds or 0) <= 2
    assert minute.retry_after_seconds == 60


@pytest.mark.parametrize(
    ("received_at", "hours"),
    [
        ("2024-01-02T04:59:59+00:00", 1 / 3600),
        ("2024-01-02T05:00:00+00:00", 24),
        ("2024-07-02T12:00:00+00:00", 16),
        ("2024-03-10T05:00:00+00:00", 23),  # a spring day has 23 hours
        ("2024-11-03T04:00:00+00:00", 25),
    ],
)
def test_a_day_is_over_at_midnight_in_new_york(received_at: str, hours: float) -> None:
    error = complaint("Information", DAY, received_at)

    assert error.retry_after_seconds == pytest.approx(hours * 3600)


def test_the_key_that_a_text_repeats_is_blanked() -> None:
    for text in (DAY, "You sent apikey=SECRET123&x", "Your API KEY AS SECRET123."):
        message = complaint("Information", text).message

        assert "SECRET123" not in message
        assert "***" in message


def test_a_new_text_is_told_in_short() -> None:
    error = complaint("Information", "New\n wording. " * 200)

    assert "New wording." in error.message
    assert len(error.message) < 400


def test_a_missing_entitlement_names_the_feature() -> None:
    error = complaint("Information", PREMIUM)

    assert isinstance(error, EntitlementMissingError)
    assert error.feature == "TIME_SERIES_DAILY:full"


@pytest.mark.parametrize(
    ("params", "symbol"),
    [
        ((("symbol", "IBMM"),), "IBMM"),
        ((("from_symbol", "EUR"), ("to_symbol", "XYZ")), "EUR/XYZ"),
        ((), ""),
    ],
)
def test_an_unknown_symbol_is_named(
    params: tuple[tuple[str, str], ...], symbol: str
) -> None:
    body = json.dumps({"Error Message": BAD_CALL}).encode()

    with pytest.raises(SymbolUnknownError) as raised:
        AlphaVantage().check(HttpRequest("alpha_vantage", "", params), answer(body))

    assert raised.value.symbol == symbol


def test_a_feature_without_a_name_is_the_function() -> None:
    body = json.dumps({"Information": PREMIUM}).encode()
    request = HttpRequest("alpha_vantage", "", (("function", "FX_INTRADAY"),))

    with pytest.raises(EntitlementMissingError) as raised:
        AlphaVantage().check(request, answer(body))

    assert raised.value.feature == "FX_INTRADAY"


@pytest.mark.parametrize(
    "body", [b"{}", b" {\n}", b'{"Global Quote": {}}', b'{"bestMatches": []}']
)
def test_nothing_at_all_is_unexplained(body: bytes) -> None:
    with pytest.raises(NoDataUnexplainedError):
        AlphaVantage().check(ASKED, answer(body))


@pytest.mark.parametrize(
    "body",
    [
        reply("Time Series (Daily)", {"2024-01-02": ROW}),
        reply("Time Series (Daily)", {}),
        b'{"Information": "25 requests per day", "Time Series (Daily)": {}}',
        b'{"symbol": "IBM", "data": []}',
        b'{"Global Quote": {"01. symbol": "IBM"}}',
        b'{"Meta Data": {}}',
        b"timestamp,open,high,low,close\r\n",
        b'{"Information": ',  # its reader says what is wrong with it
        b'{"Information": "' + b"x" * 20_000 + b'"}',
        b"",
    ],
)
def test_what_is_no_complaint_passes(body: bytes) -> None:
    AlphaVantage().check(ASKED, answer(body))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, QuotaExhaustedError),
        (503, ProviderUnavailableError),
        (403, CredentialsRefusedError),
        (404, MalformedPayloadError),
    ],
)
def test_statuses_are_judged_first(status: int, kind: type[ProviderError]) -> None:
    with pytest.raises(kind):
        AlphaVantage().check(ASKED, answer(b"{}", status=status))


def test_a_web_page_is_no_data() -> None:
    with pytest.raises(MalformedPayloadError, match="web page"):
        AlphaVantage().check(ASKED, answer(b"<!DOCTYPE html><html>"))


@settings(max_examples=200, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=100),
        st.dictionaries(
            st.sampled_from(["Note", "Information", "Error Message", "data"]),
            st.one_of(st.text(), st.none(), st.lists(st.integers())),
        ).map(lambda told: json.dumps(told).encode()),
    )
)
def test_any_body_passes_or_is_a_vendor_s_error(body: bytes) -> None:
    response = HttpResponse(200, body, received_at_ns=ns("2024-01-02"))

    with contextlib.suppress(ProviderError):
        AlphaVantage().check(ASKED, response)


def test_sparingly_by_the_minute_waits_for_the_minute() -> None:
    """The same plea is made to paid plans, about another window."""
    text = "Please spread out your requests more sparingly (75 requests per minute)."

    error = complaint("Information", text)

    assert isinstance(error, QuotaExhaustedError)
    assert error.window == "minute"
    assert error.retry_after_seconds == 60
