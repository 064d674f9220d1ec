"""Response headers on demand, such as a gateway in front of a vendor adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ingestion_server.sandbox.days import SECOND_NS

MOST_HEADERS: Final = 32
LONGEST_NAME: Final = 128
LONGEST_VALUE: Final = 1024
"""Clients refuse a header of eight kilobytes; ours shall not be the reason."""

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What HTTP calls a token."""
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_NOW: Final = re.compile(r"\{now(?:([+-])([0-9]{1,9}))?\}")
_OURS: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "keep-alive",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Wrong ones would break the message itself, which is not what they are for."""


class HeadersError(ValueError):
    """A table of headers that cannot be sent, with what is wrong with it."""


def checked_headers(document: object) -> Mapping[str, str]:
    """Read a table of headers; what cannot be sent is a ``HeadersError``."""
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise HeadersError('headers must be an object like {"X-RateLimit-Limit": "60"}')
    if len(document) > MOST_HEADERS:
        raise HeadersError(f"headers must be {MOST_HEADERS} at most")
    for name, value in document.items():
        _check_name(name)
        _check_value(name, value)
    if len({name.lower() for name in document}) < len(document):
        raise HeadersError(
            "headers must not name one twice, whatever its letters' case"
        )
    return document


def sent_headers(headers: Mapping[str, str], now_ns: int) -> dict[str, str]:
    """Return the headers with ``{now+60}`` as the epoch second 60 s from now."""
    now_s = now_ns // SECOND_NS

    def second(found: re.Match[str]) -> str:
        sign, seconds = found[1] or "+", int(found[2] or 0)
        return str(now_s + (seconds if sign == "+" else -seconds))

    return {name: _NOW.sub(second, value) for name, value in headers.items()}


def _check_name(name: str) -> None:
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise HeadersError(
            f"headers: a name must be of letters, digits and -, {LONGEST_NAME} at "
            f"most, not {name[:LONGEST_NAME]!r}"
        )
    if name.lower() in _OURS:
        raise HeadersError(f"headers: {name} belongs to the sandbox")


def _check_value(name: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > LONGEST_VALUE:
        raise HeadersError(
            f"headers: {name} must be a text of at most {LONGEST_VALUE} characters"
        )
    if not _VALUE.fullmatch(value):
        raise HeadersError(f"headers: {name} must be printable ASCII in one line")
    if "{now" in _NOW.sub("", value):
        raise HeadersError(
            f"headers: {name} has a time other than {{now}} or {{now+60}}"
        )
