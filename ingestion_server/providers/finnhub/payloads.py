"""What is common to all of Finnhub's answers: JSON, times in seconds, names of days."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    NoDataUnexplainedError,
)
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.providers.finnhub.declarations import NAME

FARTHEST_SECONDS: Final = 9_000_000_000
"""Nanoseconds of later or earlier times do not fit 64 bits."""
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


def date_of(time_ns: int) -> str:
    """Return the day of a time, in UTC, as the vendor writes it."""
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).date().isoformat()


def said_nothing(what: str) -> NoDataUnexplainedError:
    """Return the error that says that an answer was empty, and nobody knows why."""
    return NoDataUnexplainedError(
        f"{NAME} answered a question for {what} with an empty object", provider=NAME
    )


def malformed(what: str) -> MalformedPayloadError:
    """Return the error that says what the vendor sent instead of data."""
    return MalformedPayloadError(f"{NAME} sent {what}", provider=NAME)
