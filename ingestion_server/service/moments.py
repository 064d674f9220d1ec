"""Points in time and lengths of time, as the wire has them and as the house does."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ingestion_server.domain.interval import SECOND_NS


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
