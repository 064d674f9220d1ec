"""Points in time and lengths of time, as the wire has them and as the house does."""

from __future__ import annotations

from struct import Struct
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ingestion_server.domain.interval import SECOND_NS

DURATION_BYTES: Final = 12
"""How many ``encoded_duration`` returns."""
_pack: Final = Struct(f"{DURATION_BYTES}B").pack
_SECONDS: Final = Duration.SECONDS_FIELD_NUMBER << 3
_NANOS: Final = Duration.NANOS_FIELD_NUMBER << 3
"""The tags of numbers of variable length."""


def timestamp(time_ns: int) -> Timestamp:
    """Return a point in time for the wire."""
    seconds, nanos = divmod(time_ns, SECOND_NS)
    return Timestamp(seconds=seconds, nanos=nanos)


def maybe_timestamp(time_ns: int | None) -> Timestamp | None:
    """Return a point in time for the wire, if there is one."""
    return None if time_ns is None else timestamp(time_ns)


def nanoseconds(moment: Timestamp) -> int:
    """Return a point in time from the wire."""
    return moment.seconds * SECOND_NS + moment.nanos


def duration(seconds: float) -> Duration:
    """Return a length of time for the wire."""
    whole, nanos = divmod(round(seconds * SECOND_NS), SECOND_NS)
    return Duration(seconds=whole, nanos=nanos)


def encoded_duration(seconds: float) -> bytes:
    """
    Return a length of time for the wire, always of as many bytes; 0 if it is negative.

    Both numbers are written in five bytes, whatever they are: a varint may have leading
    zeros. So what stands before it can be kept, its length included.
    """
    whole, nanos = divmod(max(round(seconds * SECOND_NS), 0), SECOND_NS)
    return _pack(
        _SECONDS,
        whole & 127 | 128,
        whole >> 7 & 127 | 128,
        whole >> 14 & 127 | 128,
        whole >> 21 & 127 | 128,
        whole >> 28 & 127,
        _NANOS,
        nanos & 127 | 128,
        nanos >> 7 & 127 | 128,
        nanos >> 14 & 127 | 128,
        nanos >> 21 & 127 | 128,
        nanos >> 28,
    )
