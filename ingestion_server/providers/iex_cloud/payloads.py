"""What is common to all of IEX Cloud's answers: JSON, days, and what it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np

from ingestion_server.domain.errors import MalformedPayloadError
from ingestion_server.domain.interval import Times
from ingestion_server.providers.iex_cloud.declarations import NAME

FARTHEST_MS: Final = 9_000_000_000_000
"""Nanoseconds of later or earlier times do not fit 64 bits."""
_DATE_LENGTH: Final = 10
_CENTURIES: Final = frozenset({"18", "19", "20", "21"})
_T = TypeVar("_T")
# A deep nesting ends in RecursionError.
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def decoded(decoder: msgspec.json.Decoder[_T], body: bytes, what: str) -> _T:
    """
    Return what a body says.

    Raises:
        MalformedPayloadError: It is not what was expected.

    """
    try:
        return decoder.decode(body)
    except _UNREADABLE as error:
        raise malformed(f"{what} that cannot be read: {error}") from error


def days(texts: Sequence[str]) -> Times:
    """
    Return dates at 00:00 UTC.

    Raises:
        MalformedPayloadError: One is none.

    """
    try:
        found = np.array(texts, "datetime64[D]")
    except ValueError as error:
        raise malformed("a date that is none") from error
    # Years that do not fit nanoseconds, and words such as "now", are refused here.
    if any(
        len(text) != _DATE_LENGTH or text[:2] not in _CENTURIES for text in set(texts)
    ):
        raise malformed("a date of another age")
    return found.astype("datetime64[ns]").astype(np.int64)


def malformed(what: str) -> MalformedPayloadError:
    """Return the error that says what the vendor sent instead of data."""
    return MalformedPayloadError(f"{NAME} sent {what}", provider=NAME)
