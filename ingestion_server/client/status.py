"""From a failed call to the exception that tells what happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.client.errors import (
    BY_CODE,
    BY_REASON,
    DeadlineExceededError,
    FailureDetails,
    FieldViolation,
    IngestionClientError,
    ServerUnreachableError,
    UnexpectedStatusError,
)

DOMAIN: Final = "ingestion.marketdata"
DETAILS_KEY: Final = "grpc-status-details-bin"
REQUEST_ID_KEY: Final = "x-request-id"
TRACE_ID_KEY: Final = "x-trace-id"

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


@contextmanager
def failures_of(target: str) -> Iterator[None]:
    """Raise our own exceptions for calls that fail."""
    try:
        yield
    except grpc.RpcError as error:
        raise failure(error, target) from error


def failure(error: grpc.RpcError, target: str) -> IngestionClientError:
    """Make the exception for a call that failed."""
    code = error.code()
    message = error.details() or code.name
    trailers = error.trailing_metadata() or ()
    details = _details(code, trailers)  # type: ignore[arg-type] # they are pairs
    if details.reason:
        return _declared(message, details)
    return _undeclared(message, details, target)


def symbol_failure(
    failed: ingestion_service_pb2.Failure,
) -> IngestionClientError:
    """Make the exception for one symbol of a batch that failed."""
    details = FailureDetails(
        code=_CODES.get(failed.code, grpc.StatusCode.UNKNOWN),
        reason=failed.reason,
        metadata=dict(failed.metadata),
        retry_delay=(
            failed.retry_delay.ToTimedelta() if failed.HasField("retry_delay") else None
        ),
    )
    return _declared(failed.message, details)


def unreachable(target: str, why: str) -> ServerUnreachableError:
    """Make the exception for a target where nobody answers."""
    return ServerUnreachableError(
        f"no ingestion server answers at {target}; start one with "
        f"'ingestion-server serve --sandbox' ({why})",
        FailureDetails(code=grpc.StatusCode.UNAVAILABLE),
    )


def _declared(message: str, details: FailureDetails) -> IngestionClientError:
    """Make the exception for a failure the server gave a reason for."""
    group = BY_CODE.get(details.code, UnexpectedStatusError)
    return BY_REASON.get(details.reason, group)(message, details)


def _undeclared(
    message: str, details: FailureDetails, target: str
) -> IngestionClientError:
    """Make the exception for a failure without a reason: gRPC itself speaks."""
    match details.code:
        case grpc.StatusCode.UNAVAILABLE:
            return unreachable(target, message)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceededError(
                f"{target} did not answer in time; give it more with timeout_seconds",
                details,
            )
        case code:
            return UnexpectedStatusError(
                f"{target} answered {code.name}: {message}", details
            )


def _details(
    code: grpc.StatusCode, trailers: Iterable[tuple[str, str | bytes]]
) -> FailureDetails:
    """Read google.rpc.Status, if the trailers hold one."""
    values = dict(trailers)
    request_id = str(values.get(REQUEST_ID_KEY, ""))
    trace_id = str(values.get(TRACE_ID_KEY, ""))
    status = status_pb2.Status()
    try:
        status.ParseFromString(values.get(DETAILS_KEY, b""))
    except DecodeError:
        return FailureDetails(code=code, request_id=request_id, trace_id=trace_id)

    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    wrong = error_details_pb2.BadRequest()
    for detail in status.details:
        for message in (info, retry, wrong):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    # A proxy on the way may add its own ErrorInfo; its reasons are not ours.
    ours = info.domain == DOMAIN
    return FailureDetails(
        code=code,
        reason=info.reason if ours else "",
        metadata=dict(info.metadata) if ours else {},
        retry_delay=(
            retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None
        ),
        violations=tuple(
            FieldViolation(violation.field, violation.description)
            for violation in wrong.field_violations
        ),
        request_id=request_id,
        trace_id=trace_id,
    )
