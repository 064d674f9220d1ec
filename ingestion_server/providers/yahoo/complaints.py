"""What Yahoo's complaints mean: a table, and one function that reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    MalformedPayloadError,
    ProviderError,
    QuotaExhaustedError,
    SessionExpiredError,
    SymbolUnknownError,
)
from ingestion_server.kit.statuses import (
    check_not_html,
    check_status,
    retry_after_seconds,
)
from ingestion_server.ports.http import HttpResponse
from ingestion_server.providers.yahoo.declarations import NAME
from ingestion_server.providers.yahoo.payload import decoded

_DENIED: Final = 999
"""Yahoo's own status for clients it blocks [M]."""
_OK: Final = range(200, 300)
_BLOCKED: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, _DENIED})
_WORDS: Final = b"too many requests"
_HEAD: Final = 1_000
"""The words stand in the beginning: alone, or as the title of a page."""


class Complaint(NamedTuple):
    """Say what a status and a description mean."""

    statuses: frozenset[int]
    pattern: re.Pattern[str]
    meaning: Callable[[str], ProviderError] | None
    """None: it is no failure, the reader knows what to do with it."""


def _unknown(text: str) -> ProviderError:
    return SymbolUnknownError(f"yahoo does not know the symbol: {text}", provider=NAME)


def _session(text: str) -> ProviderError:
    return SessionExpiredError(f"yahoo wants a new crumb: {text}", provider=NAME)


def _cannot(text: str) -> ProviderError:
    return CapabilityMissingError(f"yahoo cannot serve this: {text}", provider=NAME)


_ANY: Final = re.compile("")
_SAID: Final = re.compile(r"\S")
"""A page that is not there is no word about a symbol."""
COMPLAINTS: Final = (
    Complaint(
        frozenset(
            {
                HTTPStatus.BAD_REQUEST,
                HTTPStatus.NOT_FOUND,
                HTTPStatus.UNPROCESSABLE_ENTITY,
            }
        ),
        re.compile("^Data doesn't exist"),
        None,
    ),
    Complaint(frozenset({HTTPStatus.NOT_FOUND}), _SAID, _unknown),
    Complaint(frozenset({HTTPStatus.UNAUTHORIZED}), _ANY, _session),
    Complaint(
        frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}),
        re.compile(r"not supported|not available|Only \d+ days", re.IGNORECASE),
        _cannot,
    ),
    Complaint(
        frozenset({HTTPStatus.OK}),
        re.compile("symbol may be delisted", re.IGNORECASE),
        _unknown,
    ),
)


def check(response: HttpResponse) -> None:
    """Raise the classified error if the answer is a complaint."""
    if (
        response.status in _OK
        and response.body[:20].lstrip().startswith(b'{"chart"')
        and b'"error":null' in response.body[-40:]
    ):
        return
    check_blocked(response)
    if response.status == HTTPStatus.FORBIDDEN:
        raise _blocked(response)
    description = _description(response)
    for complaint in COMPLAINTS:
        if response.status in complaint.statuses and complaint.pattern.search(
            description
        ):
            if complaint.meaning is None:
                return
            raise complaint.meaning(description[:200])
    check_status(NAME, response)
    check_not_html(NAME, response)


def check_greeting(response: HttpResponse) -> None:
    """
    Raise if a page of the greeting shows that Yahoo blocks us, or is out of order.

    What else it may be, the greeting judges itself.
    """
    check_blocked(response)
    broken = response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if broken and "set-cookie" not in response.headers:
        check_status(NAME, response)


def check_blocked(response: HttpResponse) -> None:
    """Raise ``QuotaExhaustedError`` if Yahoo wants no more requests, of any kind."""
    if response.status in _BLOCKED or _WORDS in response.body[:_HEAD].lower():
        raise _blocked(response)


def _blocked(response: HttpResponse) -> ProviderError:
    return QuotaExhaustedError(
        f"yahoo refuses more requests (HTTP {response.status})",
        provider=NAME,
        window="unpublished",
        retry_after_seconds=retry_after_seconds(response),
    )


def _description(response: HttpResponse) -> str:
    try:
        trouble = decoded(response.body).error
    except MalformedPayloadError:
        return ""
    return "" if trouble is None else trouble.description or trouble.code or ""
