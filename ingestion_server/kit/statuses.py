"""What an HTTP status means when the vendor's own sheet says nothing else."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    MalformedPayloadError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.http import HttpResponse

_OK: Final = range(200, 300)
_OURS: Final = range(400, 500)
_BROKEN: Final = range(500, 600)
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_PAGES: Final = (b"<!doctype", b"<!--", b"<html", b"<head", b"<body", b"<?xml")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LONGEST_RETRY_SECONDS: Final = 7 * 86_400.0


def check_status(provider: str, response: HttpResponse) -> None:
    """
    Raise the error that a status other than 2xx means.

    Raises:
        QuotaExhaustedError: 429, with its Retry-After if there is one.
        CredentialsRefusedError: 401 or 403.
        ProviderUnavailableError: 5xx, or 408.
        MalformedPayloadError: Any other.

    """
    status = response.status
    if status in _OK:
        return
    retry = retry_after_seconds(response)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise QuotaExhaustedError(
            f"{provider} answered 429 Too Many Requests",
            provider=provider,
            window="unpublished",
            retry_after_seconds=retry,
        )
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise CredentialsRefusedError(
            f"{provider} refused our credentials (HTTP {status})", provider=provider
        )
    if status in _BROKEN or status == HTTPStatus.REQUEST_TIMEOUT:
        raise ProviderUnavailableError(
            f"{provider} answered HTTP {status}",
            provider=provider,
            retry_after_seconds=retry,
        )
    unexplained = MalformedPayloadError(
        f"{provider} answered HTTP {status}, which its documents do not explain",
        provider=provider,
    )
    # A 4xx says that we asked wrongly: no reason to leave the vendor alone.
    unexplained.trips_breaker = status not in _OURS
    raise unexplained


def check_not_html(provider: str, response: HttpResponse) -> None:
    """Raise ``MalformedPayloadError`` for a web page where data should be."""
    head = response.body[:1024].removeprefix(_BYTE_ORDER_MARK).lstrip().lower()
    if head.startswith(_PAGES):
        raise MalformedPayloadError(
            f"{provider} answered with a web page instead of data", provider=provider
        )


def retry_after_seconds(response: HttpResponse) -> float | None:
    """Return what the header Retry-After says, bounded to a week; None if nothing."""
    lines = response.headers.get("retry-after", "").splitlines()
    told = [
        seconds
        for line in lines
        if (seconds := _seconds(line.strip(), response.received_at_ns)) is not None
    ]
    return min(max(told), _LONGEST_RETRY_SECONDS) if told else None


def _seconds(text: str, received_at_ns: int) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        # A date without a zone is in UTC, not in that of this machine.
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(zoned.timestamp() - received_at_ns / SECOND_NS, 0.0)
    except (ValueError, OverflowError, TypeError):
        return None
