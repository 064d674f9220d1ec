"""What Finnhub's complaints mean: its statuses, and the texts beside them."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

import msgspec

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
    MalformedPayloadError,
    ProviderError,
    QuotaExhaustedError,
)
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.kit.statuses import (
    check_not_html,
    check_status,
    retry_after_seconds,
)
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.providers.finnhub.declarations import (
    MINUTE,
    NAME,
    REMAINING_HEADER,
    RESET_HEADER,
    SECOND,
)
from ingestion_server.providers.finnhub.payloads import decoded

LONGEST_COMPLAINT: Final = 4_096
"""Bytes; a longer body is data, or rubbish that its reader will name."""
_LONGEST_TEXT: Final = 200
_OK: Final = range(200, 300)
_REFUSALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_LIMIT: Final = re.compile(r"limit reached", re.IGNORECASE)
_ACCESS: Final = re.compile(r"\baccess\b", re.IGNORECASE)
_KEY: Final = re.compile(r"\bapi key\b", re.IGNORECASE)
_MINUTE_SECONDS: Final = 60.0


class _Complaint(msgspec.Struct):
    error: str = ""


_decoder: Final = msgspec.json.Decoder(_Complaint)


def check(request: HttpRequest, response: HttpResponse) -> None:
    """Raise the error that an answer means, if it is not data."""
    status = response.status
    text = _text(response.body)
    if status == HTTPStatus.TOO_MANY_REQUESTS or (
        status in _OK and _LIMIT.search(text)
    ):
        raise _exhausted(response)
    if status in _REFUSALS or (status in _OK and text):
        # A page about a block is no word about our key or our plan.
        check_not_html(NAME, response)
        raise _refused(request, status, text)
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise CapabilityMissingError(
            f"{NAME} cannot serve this: {text or 'it does not say why'}", provider=NAME
        )
    check_status(NAME, response)
    check_not_html(NAME, response)


def _refused(request: HttpRequest, status: int, text: str) -> ProviderError:
    said = f"{NAME} answered: {text or f'HTTP {status}'}"
    # In 2021 the text about access came with 401 [I].
    if _ACCESS.search(text) or (
        status == HTTPStatus.FORBIDDEN and not _KEY.search(text)
    ):
        return EntitlementMissingError(said, provider=NAME, feature=request.feature)
    if status in _REFUSALS or _KEY.search(text):
        return CredentialsRefusedError(said, provider=NAME)
    return MalformedPayloadError(said, provider=NAME)


def _exhausted(response: HttpResponse) -> QuotaExhaustedError:
    """Tell which of the two limits it is; what is left of the minute is in a header."""
    remaining = _number(response, REMAINING_HEADER)
    reset = _number(response, RESET_HEADER)
    retry = retry_after_seconds(response)
    if remaining is not None and remaining >= 1:
        window, seconds = SECOND, 1.0
    elif reset is not None:
        until = reset - response.received_at_ns / SECOND_NS
        window, seconds = MINUTE, min(max(until, 0.0), _MINUTE_SECONDS)
    else:
        window, seconds = MINUTE, _MINUTE_SECONDS
    return QuotaExhaustedError(
        f"{NAME} refuses more requests (HTTP {response.status})",
        provider=NAME,
        window=window,
        retry_after_seconds=seconds if retry is None else retry,
    )


def _number(response: HttpResponse, name: str) -> int | None:
    text = response.headers.get(name, "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None


def _text(body: bytes) -> str:
    """Return what is said to be wrong; empty if nothing is."""
    if len(body) > LONGEST_COMPLAINT or b'"error"' not in body:
        return ""
    try:
        return " ".join(decoded(_decoder, body, "an error").error.split())[
            :_LONGEST_TEXT
        ]
    except MalformedPayloadError:
        return ""  # whoever reads the answer says what is wrong with it
