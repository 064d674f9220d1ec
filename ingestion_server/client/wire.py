"""Values of the wire, as Python's own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp


def name(values: Iterable[tuple[str, int]], number: int, prefix: str) -> str:
    """Name an enum's value without its prefix; one that is newer keeps its number."""
    names = (name.removeprefix(prefix) for name, known in values if known == number)
    return next(names, str(number))


def moment(stamp: Timestamp) -> datetime:
    """Read a point in time."""
    return stamp.ToDatetime(tzinfo=UTC)


def maybe_moment(message: Message, field: str) -> datetime | None:
    """Read a point in time that may be absent."""
    return moment(getattr(message, field)) if message.HasField(field) else None


def span(duration: Duration) -> timedelta:
    """Read a length of time."""
    return duration.ToTimedelta()


def maybe_span(message: Message, field: str) -> timedelta | None:
    """Read a length of time that may be absent."""
    return span(getattr(message, field)) if message.HasField(field) else None


def json(answer: Message, indent: int | None) -> str:
    """Write an answer in protobuf's JSON; indent None = one line."""
    # A window of which nothing is used says so: 0 is not the same as nothing.
    return json_format.MessageToJson(
        answer,
        indent=indent,
        always_print_fields_with_no_presence=True,
        ensure_ascii=False,
    )
