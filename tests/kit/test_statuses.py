"""An HTTP status means the same with every vendor, unless its sheet says otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    MalformedPayloadError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.kit.statuses import (
    check_not_html,
    check_status,
    retry_after_seconds,
)
from ingestion_server.ports.http import HttpResponse
from tests.builders import ns

WEEK = 7 * 86_400.0
NOW_NS = ns("2015-10-21 07:28:00")


def answered(
    status: int = 429, retry_after: str | None = None, body: bytes = b""
) -> HttpResponse:
    """Make an answer."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return HttpResponse(status, body, headers, received_at_ns=NOW_NS)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_what_went_well_raises_nothing(status: int) -> None:
    check_status("acme", answered(status))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, QuotaExhaustedError),
        (401, CredentialsRefusedError),
        (403, CredentialsRefusedError),
        (408, ProviderUnavailableError),
        (500, ProviderUnavailableError),
        (502, ProviderUnavailableError),
        (503, ProviderUnavailableError),
        (599, ProviderUnavailableError),
        (100, MalformedPayloadError),
        (301, MalformedPayloadError),
        (302, MalformedPayloadError),
        (304, MalformedPayloadError),
        (400, MalformedPayloadError),
        (404, MalformedPayloadError),
        (418, MalformedPayloadError),
        (600, MalformedPayloadError),
        (0, MalformedPayloadError),
    ],
)
def test_every_other_status_is_one_kind_of_error(
    status: int, error: type[ProviderError]
) -> None:
    with pytest.raises(ProviderError) as raised:
        check_status("acme", answered(status))

    assert type(raised.value) is error
    assert raised.value.provider == "acme"
    assert str(status) in raised.value.message


@pytest.mark.parametrize("status", [429, 503])
def test_the_vendor_says_when_to_come_back(status: int) -> None:
    with pytest.raises(ProviderError) as raised:
        check_status("acme", answered(status, "30"))

    assert raised.value.retry_after_seconds == 30


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("0", 0.0),
        (" 60 ", 60.0),
        ("0000000000060", 60.0),
        ("1.5", 1.5),
        ("9" * 5000, WEEK),
        ("604801", WEEK),
        ("-5", None),
        ("-1.5", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("soon", None),
        ("٣", None),
        ("Wed, 21 Oct 2015 07:30:00 GMT", 120.0),
        ("Wed, 21 Oct 2015 07:30:00", 120.0),
        ("Wed, 21 Oct 2015 07:30:00 -0000", 120.0),
        ("Wed, 21 Oct 2015 09:30:00 +0200", 120.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Wed, 21 Oct 9999 07:28:00 GMT", WEEK),
        ("Wed, 99 Foo 2015 99:99:99 GMT", None),
        ("5\n10", 10.0),
        ("soon\n10", 10.0),
    ],
)
def test_retry_after_is_read_in_every_form_and_bounded(
    text: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(answered(retry_after=text)) == seconds


@given(st.text(max_size=60))
def test_any_retry_after_is_a_bounded_time_or_nothing(text: str) -> None:
    seconds = retry_after_seconds(answered(retry_after=text))

    assert seconds is None or 0 <= seconds <= WEEK


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html>",
        b"  \r\n<html>",
        b"<HEAD><title>",
        b"<?xml version='1.0'?>",
        b"<!-- error --><p>",
        b"\xef\xbb\xbf<!doctype html>",
        b" " * 200 + b"<html>",
    ],
)
def test_a_web_page_is_no_data(body: bytes) -> None:
    with pytest.raises(MalformedPayloadError, match="acme answered with a web page"):
        check_not_html("acme", answered(200, body=body))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"timestamp,open\n", b"<3"])
def test_anything_else_may_be_data(body: bytes) -> None:
    check_not_html("acme", answered(200, body=body))
