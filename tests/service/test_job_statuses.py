"""What is wrong with a job is told to machines, too."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2

from ingestion_server.domain.errors import JobStateConflictError, JobUnknownError
from ingestion_server.service.statuses import status_of
from tests.service.test_statuses import detail


def test_a_job_that_is_not_there_is_named_as_a_resource() -> None:
    status = status_of(JobUnknownError("0198f3c2a7e1"))

    info = detail(status, error_details_pb2.ErrorInfo)
    resource = detail(status, error_details_pb2.ResourceInfo)
    assert status.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert info.reason == "JOB_UNKNOWN"
    assert dict(info.metadata) == {"job_id": "0198f3c2a7e1"}
    assert resource.resource_type == "job"
    assert resource.resource_name == "0198f3c2a7e1"


def test_a_state_that_stands_in_the_way_is_a_precondition() -> None:
    error = JobStateConflictError(
        "the job is cancelled; create another one", job_id="0198", state="cancelled"
    )

    status = status_of(error)

    info = detail(status, error_details_pb2.ErrorInfo)
    (failed,) = detail(status, error_details_pb2.PreconditionFailure).violations
    assert status.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert info.reason == "JOB_STATE_CONFLICT"
    assert dict(info.metadata) == {"job_id": "0198", "state": "cancelled"}
    assert (failed.type, failed.subject) == ("JOB_STATE", "job:0198")
    assert failed.description == "the job is cancelled; create another one"
