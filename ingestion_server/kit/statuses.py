"""What an HTTP status means when the vendor's own sheet says nothing else."""

from __future__ import annotations

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
_BROKEN: Final = range(500, 600)
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
    raise MalformedPayloadError(
        f"{provider} answered HTTP {status}, which its documents do not explain",
        provider=provider,
    )


def check_not_html(provider: str, response: HttpResponse) -> None:
    """Raise ``MalformedPayloadError`` for a web page where data should be."""
    head = response.body[:64].lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        raise MalformedPayloadError(
            f"{provider} answered with a web page instead of data", provider=provider
        )


def retry_after_seconds(response: HttpResponse) -> float | None:
    """Return what the header Retry-After says, bounded to a week; None if nothing."""
    text = response.headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _LONGEST_RETRY_SECONDS)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
    seconds = moment - response.received_at_ns / SECOND_NS
    return min(max(seconds, 0.0), _LONGEST_RETRY_SECONDS)
