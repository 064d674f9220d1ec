"""
Complaints, which Alpha Vantage sends with HTTP 200.

One key, ``Information``, carries several meanings, and their texts overlap: the one
about bursts also names the daily limit, and nearly all advertise premium plans. So
the table is read from the most specific row to the least.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import numpy as np

from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    EntitlementMissingError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
    QuotaExhaustedError,
    SymbolUnknownError,
)
from ingestion_server.domain.interval import DAY_NS, MINUTE_NS, SECOND_NS, day_labels
from ingestion_server.domain.zones import local_from_utc, utc_from_local
from ingestion_server.kit.statuses import check_not_html, check_status
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.providers.alpha_vantage.declarations import EASTERN, NAME
from ingestion_server.providers.alpha_vantage.payloads import (
    UNREADABLE,
    is_object,
    parts,
)

LONGEST_COMPLAINT: Final = 16_384
"""Bytes; a longer body is data, or rubbish that its reader will name."""
_COMPLAINT_KEYS: Final = ("Error Message", "Note", "Information")
_EMPTY_WHEN_UNKNOWN: Final = frozenset({"Global Quote", "bestMatches"})
_SIDES: Final = ("from", "to")
_LONGEST_TEXT: Final = 300
_BURST_RETRY_SECONDS: Final = 1.5
_KEY: Final = re.compile(r"(API key as|apikey[=:])\s*[^\s,;&]+", re.IGNORECASE)


class Complaint(NamedTuple):
    """Be one row: what the text says, and the error that it means."""

    says: re.Pattern[str]
    error: Callable[[str, HttpRequest, HttpResponse], ProviderError]


def check(request: HttpRequest, response: HttpResponse) -> None:
    """Raise the error that an answer means, if it is not data."""
    check_status(NAME, response)
    check_not_html(NAME, response)
    if len(response.body) > LONGEST_COMPLAINT or not is_object(response.body):
        return
    try:
        members = parts(response.body)
    except MalformedPayloadError:
        return  # whoever reads the answer says what is wrong with it
    complaints = [members.pop(key) for key in _COMPLAINT_KEYS if key in members]
    if members.keys() - {"Meta Data"}:
        _check_not_empty(members)
        return  # data, perhaps with a remark beside them
    for complaint in complaints:
        text = without_key(_text(complaint))
        raise next(
            (row.error for row in COMPLAINTS if row.says.search(text)), _unexplained
        )(text, request, response)
    if not members:
        raise NoDataUnexplainedError(
            f"{NAME} answered with an empty object", provider=NAME
        )


def without_key(text: str) -> str:
    """Blank what looks like a key: one of the texts repeats the caller's."""
    return _KEY.sub(r"\1 ***", text)


def _check_not_empty(members: dict[str, msgspec.Raw]) -> None:
    for name, value in members.items():
        if name in _EMPTY_WHEN_UNKNOWN and bytes(value).strip() in {b"{}", b"[]"}:
            raise NoDataUnexplainedError(
                f"{NAME} answered with an empty {name}", provider=NAME
            )


def _text(complaint: msgspec.Raw) -> str:
    try:
        return " ".join(msgspec.json.decode(complaint, type=str).split())
    except UNREADABLE:
        return ""


def _said(text: str) -> str:
    short = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"
    return f"{NAME} answered: {short}"


def _burst(text: str, _: HttpRequest, __: HttpResponse) -> ProviderError:
    return QuotaExhaustedError(
        _said(text),
        provider=NAME,
        window="second",
        retry_after_seconds=_BURST_RETRY_SECONDS,
    )


def _minute_over(text: str, _: HttpRequest, __: HttpResponse) -> ProviderError:
    return QuotaExhaustedError(
        _said(text),
        provider=NAME,
        window="minute",
        retry_after_seconds=MINUTE_NS / SECOND_NS,
    )


def _day_over(text: str, _: HttpRequest, response: HttpResponse) -> ProviderError:
    return QuotaExhaustedError(
        _said(text),
        provider=NAME,
        window="day",
        retry_after_seconds=seconds_to_midnight(response.received_at_ns),
    )


def seconds_to_midnight(now_ns: int) -> float:
    """Return how long it is until the vendor's day turns, in New York [M]."""
    today = day_labels(local_from_utc(np.array([now_ns], np.int64), EASTERN))
    return float(utc_from_local(today + DAY_NS, EASTERN)[0] - now_ns) / SECOND_NS


def _premium(text: str, request: HttpRequest, _: HttpResponse) -> ProviderError:
    feature = request.feature or dict(request.params).get("function", "")
    return EntitlementMissingError(_said(text), provider=NAME, feature=feature)


def _key_refused(text: str, _: HttpRequest, __: HttpResponse) -> ProviderError:
    return CredentialsRefusedError(_said(text), provider=NAME)


def _unknown_symbol(text: str, request: HttpRequest, _: HttpResponse) -> ProviderError:
    asked = dict(request.params)
    halves = (f"{side}_{what}" for what in ("symbol", "currency") for side in _SIDES)
    symbol = asked.get("symbol") or "/".join(
        asked[half] for half in halves if asked.get(half)
    )
    return SymbolUnknownError(_said(text), provider=NAME, symbol=symbol)


def _unexplained(text: str, _: HttpRequest, __: HttpResponse) -> ProviderError:
    return NoDataUnexplainedError(
        _said(text or "a remark that is no text"), provider=NAME
    )


def _says(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


COMPLAINTS: Final = (
    # [R] Says that the parameter apikey is invalid or missing.
    Complaint(_says(r"apikey is invalid|invalid api ?key"), _key_refused),
    # [M] Says that the key "demo" is for demo purposes only.
    Complaint(_says(r"api key is for demo purposes"), _key_refused),
    # A valid function with a symbol it does not know, or a bad parameter: the vendor
    # does not tell them apart, and our parameters are good.
    Complaint(_says(r"invalid api call"), _unknown_symbol),
    # [R 2022, M] "This is a premium endpoint", "… is a premium feature".
    Complaint(_says(r"\b(is|are) (a )?premium\b"), _premium),
    # Asks for "1 request per second", and names the 25 a day too.
    Complaint(_says(r"\d+ (requests?|calls?) per second"), _burst),
    # [R 2022] "5 calls per minute and 500 calls per day" is about the minute.
    Complaint(_says(r"\d+ (requests?|calls?) per minute"), _minute_over),
    Complaint(_says(r"more sparingly"), _burst),
    # Says that "our standard API rate limit is 25 requests per day".
    Complaint(_says(r"\d+ (requests?|calls?) per day"), _day_over),
)
"""What complaints say, the most specific first."""
