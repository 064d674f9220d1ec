"""
The outermost layer of a reply: an object of named parts, or a table of text.

Errors come as JSON even when CSV was asked for [I], so the first byte decides.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from ingestion_server.domain.errors import MalformedPayloadError
from ingestion_server.providers.alpha_vantage.declarations import NAME

UNREADABLE: Final = (
    msgspec.DecodeError,
    msgspec.ValidationError,
    UnicodeDecodeError,
    RecursionError,
)
"""Everything msgspec raises on bytes that are not what was expected."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LONGEST_QUOTE: Final = 80
_MOST_NAMES: Final = 12
_parts: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_object(body: bytes) -> bool:
    """Tell whether the first visible byte begins a JSON object."""
    return body[:64].removeprefix(_BYTE_ORDER_MARK).lstrip()[:1] == b"{"


def parts(body: bytes) -> dict[str, msgspec.Raw]:
    """
    Return the members of a JSON object, each still encoded.

    Raises:
        MalformedPayloadError: It is none.

    """
    try:
        return _parts.decode(body.removeprefix(_BYTE_ORDER_MARK))
    except UNREADABLE as error:
        raise malformed(f"no JSON object ({error})") from error


def start_of(body: bytes) -> dict[str, msgspec.Raw]:
    """
    Return the members of a JSON object as far as the first row goes.

    Rows follow the meta data [R], so that is where the second object within ends.
    Empty if they lie otherwise.
    """
    end = body.find(b"}", body.find(b"}") + 1) + 1
    try:
        return _parts.decode(body[:end] + b"}}")
    except UNREADABLE:
        return {}


def text_of(body: bytes) -> str:
    """
    Return a body as text.

    Raises:
        MalformedPayloadError: It is not UTF-8.

    """
    try:
        return body.removeprefix(_BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        raise malformed("text that is not UTF-8") from error


def names(of: Collection[str]) -> str:
    """List the names of the members, and never what they hold, for a message."""
    shown = [quoted(name) for name in list(of)[:_MOST_NAMES]]
    return ", ".join(shown) + (", …" if len(of) > _MOST_NAMES else "")


def quoted(text: str) -> str:
    """Quote a stranger's text, shortened and printable."""
    return ascii(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...")


def malformed(what: str) -> MalformedPayloadError:
    """Return the error that says what the vendor sent instead of data."""
    return MalformedPayloadError(f"{NAME} sent {what}", provider=NAME)
