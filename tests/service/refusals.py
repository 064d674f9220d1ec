"""What a call that failed told."""

from __future__ import annotations

from collections.abc import Awaitable

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2


def reason(error: grpc.aio.AioRpcError) -> str:
    """Return the reason of a failure."""
    info = error_details_pb2.ErrorInfo()
    _unpack(error, info)
    return info.reason


def fields(error: grpc.aio.AioRpcError) -> list[tuple[str, str]]:
    """Return the wrong fields that a failure names, and what is wrong with them."""
    wrong = error_details_pb2.BadRequest()
    _unpack(error, wrong)
    return [(one.field, one.description) for one in wrong.field_violations]


async def refused(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    """Return how a call failed."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


def _unpack(error: grpc.aio.AioRpcError, into) -> None:
    status = status_pb2.Status()
    status.ParseFromString(
        dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    )
    for packed in status.details:
        if packed.Is(into.DESCRIPTOR):
            packed.Unpack(into)
