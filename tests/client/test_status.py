"""Failures on the wire become exceptions that carry the facts."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from ingestion_server.client import SyncClient, errors
from tests.client.fakes import FakeServer, Refusal
from tests.client.test_errors import REASONS


def raised(server: FakeServer, refusal: Refusal) -> errors.IngestionClientError:
    """Fetch from a server that refuses."""
    server.service.answers = [refusal]
    with (
        SyncClient(server.target) as client,
        pytest.raises(errors.IngestionClientError) as caught,
    ):
        client.fetch("AAPL")
    return caught.value


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_raises_its_class(server: FakeServer, reason: str) -> None:
    refusal = Refusal(grpc.StatusCode.ABORTED, reason, "so it is", {"k": "v"})

    error = raised(server, refusal)

    assert type(error) is errors.BY_REASON[reason]
    assert (error.reason, error.message, error.code) == (
        reason,
        "so it is",
        grpc.StatusCode.ABORTED,
    )
    assert error.metadata == {"k": "v"}
    assert error.retry_delay is None
    assert error.violations == ()
    assert isinstance(error.__cause__, grpc.RpcError)


def test_retry_delay_and_wrong_fields_are_read(server: FakeServer) -> None:
    wrong = error_details_pb2.BadRequest()
    wrong.field_violations.add(field="start", description="after end")
    retry = error_details_pb2.RetryInfo(
        retry_delay=Duration(seconds=2, nanos=500_000_000)
    )

    error = raised(
        server,
        Refusal(
            grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY", details=(retry, wrong)
        ),
    )

    assert error.retry_delay == timedelta(seconds=2.5)
    assert error.violations == (errors.FieldViolation("start", "after end"),)


@pytest.mark.parametrize(("code", "group"), errors.BY_CODE.items())
def test_a_newer_reason_falls_into_the_group_of_its_code(
    server: FakeServer,
    code: grpc.StatusCode,
    group: type[errors.IngestionClientError],
) -> None:
    no_retry = (("grpc-retry-pushback-ms", "-1"),)

    error = raised(server, Refusal(code, "BRAND_NEW", trailers=no_retry))

    assert type(error) is group
    assert error.reason == "BRAND_NEW"


def test_a_status_without_a_reason_is_named(server: FakeServer) -> None:
    error = raised(server, Refusal(grpc.StatusCode.UNIMPLEMENTED, message="what?"))

    assert type(error) is errors.UnexpectedStatusError
    assert str(error) == f"{server.target} answered UNIMPLEMENTED: what?"
    assert error.reason == ""


def test_unreadable_details_do_not_hide_the_status(server: FakeServer) -> None:
    rubbish = (
        ("grpc-status-details-bin", b"\xff\xff"),
        ("x-request-id", "r-7"),
        ("x-trace-id", "t-7"),
    )

    error = raised(
        server, Refusal(grpc.StatusCode.ABORTED, message="oh", trailers=rubbish)
    )

    assert type(error) is errors.UnexpectedStatusError
    assert "oh" in str(error)
    assert error.request_id == "r-7"
    assert error.trace_id == "t-7"
    assert error.__notes__ == ["Request r-7 in the server's log."]
