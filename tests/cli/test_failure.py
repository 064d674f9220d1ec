"""Each failure has an exit status and is told in plain words."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from ingestion_server.cli.failure import exit_status
from ingestion_server.client import UnexpectedStatusError
from ingestion_server.client.errors import BY_REASON, FailureDetails
from tests.cli.conftest import Run
from tests.client.fakes import FakeServer, Refusal

STATUSES = {
    "INVALID_QUERY": 2,
    "SYMBOL_UNKNOWN": 3,
    "NO_DATA_UNEXPLAINED": 3,
    "JOB_UNKNOWN": 2,
    "JOB_STATE_CONFLICT": 2,
    "QUOTA_EXHAUSTED": 5,
    "CALLER_THROTTLED": 5,
    "SUBSCRIBER_TOO_SLOW": 5,
    "ALL_PROVIDERS_FAILED": 5,
    "PINNED_PROVIDER_FAILED": 5,
    "CAPABILITY_MISSING": 6,
    "COST_LIMIT_EXCEEDED": 6,
    "CREDENTIALS_REFUSED": 6,
    "ENTITLEMENT_MISSING": 6,
    "DEADLINE_EXCEEDED": 5,
    "MALFORMED_PAYLOAD": 5,
    "INTERNAL": 1,
    "LEDGER_UNAVAILABLE": 5,
    "STATE_UNAVAILABLE": 5,
    "SERVER_STOPPING": 4,
}


def test_every_reason_has_an_exit_status() -> None:
    assert set(STATUSES) == set(BY_REASON)


@pytest.mark.parametrize(("reason", "status"), STATUSES.items())
def test_the_exit_status_of_each_reason(
    fetch: Run, server: FakeServer, reason: str, status: int
) -> None:
    server.service.answers = [Refusal(grpc.StatusCode.ABORTED, reason, "so it is")]

    shown = fetch()

    assert (shown.exit_code, shown.stdout) == (status, "")
    assert shown.stderr == f"{reason}: so it is\n"


def test_an_unexpected_status_is_a_defect() -> None:
    assert exit_status(UnexpectedStatusError("?", FailureDetails())) == 1


def test_wrong_fields_and_the_time_to_come_back_are_told(
    fetch: Run, server: FakeServer
) -> None:
    wrong = error_details_pb2.BadRequest()
    wrong.field_violations.add(field="start", description="after end")
    delay = Duration()
    delay.FromTimedelta(timedelta(seconds=30))
    retry = error_details_pb2.RetryInfo(retry_delay=delay)
    server.service.answers = [
        Refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_QUERY",
            "1 field is wrong",
            details=(wrong, retry),
        )
    ]

    shown = fetch()

    assert shown.stderr == (
        "INVALID_QUERY: 1 field is wrong\n  start: after end\n  Retry in 30 s.\n"
    )


def test_nobody_at_the_target(run: Run) -> None:
    shown = run("fetch", "AAPL", "--target", "127.0.0.1:1")

    assert shown.exit_code == 4
    assert "127.0.0.1:1" in shown.stderr
    assert "ingestion-server serve --sandbox" in shown.stderr
