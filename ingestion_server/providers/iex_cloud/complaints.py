"""What IEX Cloud's complaints mean: a status, and a sentence that is no JSON."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote, urlsplit

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
    QuotaExhaustedError,
    SymbolUnknownError,
)
from ingestion_server.kit.statuses import (
    check_not_html,
    check_status,
    retry_after_seconds,
)
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.providers.iex_cloud.declarations import MONTH, NAME, SECOND

_LONGEST_COMPLAINT: Final = 4_096
"""Bytes; what is longer is no sentence."""
_LONGEST_TEXT: Final = 200
_OK: Final = range(200, 300)
_BURST_SECONDS: Final = 1.0
_KEY: Final = re.compile(r"\bT?[ps]k_\w+|(?<=token=)[^\s&]+", re.IGNORECASE)
_UNKNOWN: Final = re.compile(r"\bunknown symbol\b", re.IGNORECASE)
_NOT_SOLD: Final = re.compile(
    # "… is not available to free accounts", "… to your current tier" [M].
    r"\bnot available to\b|\bdoes not have access\b|\bpermission\b",
    re.IGNORECASE,
)
_SPENT: Final = re.compile(r"\bcircuit breaker\b|\bquota\b", re.IGNORECASE)
"""Of a 403, that what may be paid beyond the plan is spent [M]."""


def check(request: HttpRequest, response: HttpResponse) -> None:
    """Raise the error that an answer means, if it is not data."""
    status = response.status
    if status in _OK:
        check_not_html(NAME, response)
        return
    text = _text(response.body)
    said = f"{NAME} answered: {text or f'HTTP {status}'}"
    match status:
        case HTTPStatus.TOO_MANY_REQUESTS:
            told = retry_after_seconds(response)
            raise QuotaExhaustedError(
                said,
                provider=NAME,
                window=SECOND,
                retry_after_seconds=_BURST_SECONDS if told is None else told,
            )
        case HTTPStatus.NOT_FOUND if _UNKNOWN.search(text):
            raise SymbolUnknownError(said, provider=NAME, symbol=_symbol(request))
        case HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
            raise EntitlementMissingError(said, provider=NAME, feature=request.feature)
        case (
            HTTPStatus.PAYMENT_REQUIRED | HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN
        ):
            # A page about a block is no word about our key or our plan.
            check_not_html(NAME, response)
            _refuse(request, status, text, said)
        case HTTPStatus.BAD_REQUEST | HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise CapabilityMissingError(said, provider=NAME)
        case _:
            check_status(NAME, response)


def _refuse(request: HttpRequest, status: int, text: str, said: str) -> None:
    if _NOT_SOLD.search(text):
        raise EntitlementMissingError(said, provider=NAME, feature=request.feature)
    if status == HTTPStatus.PAYMENT_REQUIRED or _SPENT.search(text):
        raise QuotaExhaustedError(said, provider=NAME, window=MONTH)
    raise CredentialsRefusedError(said, provider=NAME)


def _symbol(request: HttpRequest) -> str:
    """Return the symbol that a request was about."""
    several = dict(request.params).get("symbols", "")
    parts = urlsplit(request.url).path.split("/stock/", 1)
    return several or unquote(parts[-1].partition("/")[0])


def _text(body: bytes) -> str:
    """Return the sentence, on one line and without what looks like a key."""
    if len(body) > _LONGEST_COMPLAINT or body.lstrip().startswith(b"<"):
        return ""
    text = " ".join(body.decode(errors="replace").split())
    return _KEY.sub("***", text)[:_LONGEST_TEXT]
