"""What all fake services tell: moments, and how a call fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

DAY = timedelta(days=1)
FIRST = datetime(2025, 1, 6, tzinfo=UTC)


@dataclass
class Refusal:
    """Tell how a call fails."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = "it failed"
    metadata: dict[str, str] = field(default_factory=dict)
    details: tuple[Message, ...] = ()
    trailers: tuple[tuple[str, str | bytes], ...] = ()

    def raise_in(self, context: grpc.ServicerContext) -> None:
        """End the call with this failure."""
        trailers = self.trailers
        if self.reason:
            info = error_details_pb2.ErrorInfo(
                reason=self.reason,
                domain="ingestion.marketdata",
                metadata=self.metadata,
            )
            status = status_pb2.Status(code=self.code.value[0], message=self.message)
            for detail in (info, *self.details):
                packed = any_pb2.Any()
                packed.Pack(detail)
                status.details.append(packed)
            trailers += (("grpc-status-details-bin", status.SerializeToString()),)
        context.set_trailing_metadata(trailers)
        context.abort(self.code, self.message)


def stamp(moment: datetime) -> Timestamp:
    """Write a point in time."""
    written = Timestamp()
    written.FromDatetime(moment)
    return written
