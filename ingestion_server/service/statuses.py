"""The one table that turns failures into gRPC statuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.domain import errors
from ingestion_server.service.moments import duration

DOMAIN: Final = "ingestion.marketdata"
INTERNAL: Final = "INTERNAL"
"""The reason of a defect of ours."""
FAULTS_OF_SERVERS: Final = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""What OpenTelemetry takes for a failure of the server, rather than of its caller."""
_LONGEST_TEXT: Final = 1_000
"""Trailers larger than 8 kB are dropped by gRPC, and the details with them."""
_LONGEST_FACT: Final = 300
_MOST_VIOLATIONS: Final = 20

CODES: Final[Mapping[type[errors.IngestionError], grpc.StatusCode]] = {
    errors.InvalidQueryError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.CallerThrottledError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.SubscriberTooSlowError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.JobUnknownError: grpc.StatusCode.NOT_FOUND,
    errors.JobStateConflictError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.SymbolUnknownError: grpc.StatusCode.NOT_FOUND,
    errors.NoDataUnexplainedError: grpc.StatusCode.UNAVAILABLE,
    errors.QuotaExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.CostLimitError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.LedgerUnavailableError: grpc.StatusCode.UNAVAILABLE,
    # Ours are refused, not the caller's: never UNAUTHENTICATED.
    errors.CredentialsRefusedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.SessionExpiredError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.EntitlementMissingError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.CapabilityMissingError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.MalformedPayloadError: grpc.StatusCode.UNAVAILABLE,
    errors.ProviderUnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.BreakerOpenError: grpc.StatusCode.UNAVAILABLE,
    errors.AllProvidersFailedError: grpc.StatusCode.UNAVAILABLE,
    errors.PinnedProviderFailedError: grpc.StatusCode.UNAVAILABLE,
    errors.StateUnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.ServerStoppingError: grpc.StatusCode.UNAVAILABLE,
}


def code_of(error: errors.IngestionError) -> grpc.StatusCode:
    """Return the code of a failure; INTERNAL for one that has no row."""
    return CODES.get(type(error), grpc.StatusCode.INTERNAL)


def status_of(error: errors.IngestionError) -> status_pb2.Status:
    """Return the status of a failure, with its details."""
    status = status_pb2.Status(
        code=code_of(error).value[0], message=error.message[:_LONGEST_TEXT]
    )
    for detail in _details(error):
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def internal(request_id: str) -> status_pb2.Status:
    """Return the status of a defect of ours, which tells where to look it up."""
    status = status_pb2.Status(
        code=grpc.StatusCode.INTERNAL.value[0],
        message=f"a defect of this server; its log has it under {request_id}",
    )
    packed = Any()
    packed.Pack(
        error_details_pb2.ErrorInfo(
            reason=INTERNAL, domain=DOMAIN, metadata={"request_id": request_id}
        )
    )
    status.details.append(packed)
    return status


def failure_of(error: errors.IngestionError) -> ingestion_service_pb2.Failure:
    """Return a failure as one symbol's result within a batch."""
    return ingestion_service_pb2.Failure(
        code=code_of(error).value[0],
        reason=error.reason,
        message=error.message[:_LONGEST_TEXT],
        retry_delay=_delay(error),
        metadata=_facts(error),
    )


def _details(error: errors.IngestionError) -> Iterator[Message]:
    yield error_details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata=_facts(error)
    )
    delay = _delay(error)
    if delay is not None:
        yield error_details_pb2.RetryInfo(retry_delay=delay)
    match error:
        case errors.InvalidQueryError():
            yield error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=violation.field,
                        description=violation.description[:_LONGEST_FACT],
                    )
                    for violation in error.violations[:_MOST_VIOLATIONS]
                ]
            )
        case errors.QuotaExhaustedError():
            yield error_details_pb2.QuotaFailure(
                violations=[
                    error_details_pb2.QuotaFailure.Violation(
                        subject=f"provider:{out.provider}",
                        description=f"window {out.window}: {out.message}"[
                            :_LONGEST_FACT
                        ],
                        quota_id=out.window,
                        quota_dimensions={"provider": out.provider},
                    )
                    for out in (error, *error.others)
                ]
            )
        case errors.SymbolUnknownError():
            yield error_details_pb2.ResourceInfo(
                resource_type="symbol",
                resource_name=error.symbol,
                description=error.message[:_LONGEST_FACT],
            )
        case errors.JobUnknownError():
            yield error_details_pb2.ResourceInfo(
                resource_type="job",
                resource_name=error.job_id[:_LONGEST_FACT],
                description=error.message[:_LONGEST_FACT],
            )
        case errors.JobStateConflictError():
            yield error_details_pb2.PreconditionFailure(
                violations=[
                    error_details_pb2.PreconditionFailure.Violation(
                        type="JOB_STATE",
                        subject=f"job:{error.job_id}",
                        description=error.message[:_LONGEST_FACT],
                    )
                ]
            )
        case _:
            pass


def _facts(error: errors.IngestionError) -> dict[str, str]:
    return {name: value[:_LONGEST_FACT] for name, value in error.facts().items()}


def _delay(error: errors.IngestionError) -> Duration | None:
    if error.retry_after_seconds is None:
        return None
    return duration(error.retry_after_seconds)
