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
from ingestion_server.providers.yahoo.chart import decoded
from ingestion_server.providers.yahoo.declarations import NAME

_DENIED: Final = 999
"""Yahoo's own status for clients it blocks [M]."""
_OK: Final = range(200, 300)


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
COMPLAINTS: Final = (
    Complaint(
        frozenset({HTTPStatus.BAD_REQUEST}), re.compile("^Data doesn't exist"), None
    ),
    Complaint(frozenset({HTTPStatus.NOT_FOUND}), _ANY, _unknown),
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
    if response.status in _OK and response.body[:20].lstrip().startswith(b'{"chart"'):
        if b'"error":null' in response.body[-40:]:
            return
    elif b"Too Many Requests" in response.body[:200] or response.status in {
        HTTPStatus.FORBIDDEN,
        _DENIED,
    }:
        raise QuotaExhaustedError(
            f"yahoo refuses more requests (HTTP {response.status})",
            provider=NAME,
            window="unpublished",
            retry_after_seconds=retry_after_seconds(response),
        )
    description = _description(response)
    for complaint in COMPLAINTS:
        if response.status in complaint.statuses and complaint.pattern.search(
            description
        ):
            if complaint.meaning is not None and (
                description or response.status != HTTPStatus.OK
            ):
                raise complaint.meaning(description[:200])
            if complaint.meaning is None:
                return
    check_status(NAME, response)
    check_not_html(NAME, response)


def _description(response: HttpResponse) -> str:
    try:
        trouble = decoded(response.body).error
    except MalformedPayloadError:
        return ""
    return "" if trouble is None else trouble.description or trouble.code or ""
