"""Failures become statuses with details for machines."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from ingestion_server.domain import errors
from ingestion_server.service.statuses import status_of


def detail(status: status_pb2.Status, kind):
    """Return a detail of a status."""
    (packed,) = [one for one in status.details if one.Is(kind.DESCRIPTOR)]
    found = kind()
    packed.Unpack(found)
    return found


def test_each_window_that_is_used_up_is_named_for_machines() -> None:
    error = errors.QuotaExhaustedError("no", provider="yahoo", window="second")
    error.others = (
        errors.QuotaExhaustedError("no", provider="alpha_vantage", window="day"),
    )

    failure = detail(status_of(error), error_details_pb2.QuotaFailure)

    assert [
        (one.subject, one.quota_id, dict(one.quota_dimensions))
        for one in failure.violations
    ] == [
        ("provider:yahoo", "second", {"provider": "yahoo"}),
        ("provider:alpha_vantage", "day", {"provider": "alpha_vantage"}),
    ]


@pytest.mark.parametrize(
    ("error", "code", "facts"),
    [
        (
            errors.CostLimitError("dear", provider="polygon", price_usd="0.002"),
            grpc.StatusCode.FAILED_PRECONDITION,
            {"provider": "polygon", "price_usd": "0.002"},
        ),
        (
            errors.LedgerUnavailableError("disk full", provider="yahoo"),
            grpc.StatusCode.UNAVAILABLE,
            {"provider": "yahoo"},
        ),
    ],
)
def test_money_and_the_ledger_have_their_own_reasons(
    error: errors.IngestionError, code: grpc.StatusCode, facts: dict[str, str]
) -> None:
    status = status_of(error)

    info = detail(status, error_details_pb2.ErrorInfo)
    assert status.code == code.value[0]
    assert info.reason == error.reason
    assert dict(info.metadata) == facts


def test_when_the_ledger_is_tried_again_is_told() -> None:
    error = errors.LedgerUnavailableError(
        "disk full", provider="yahoo", retry_after_seconds=1.5
    )

    delay = detail(status_of(error), error_details_pb2.RetryInfo).retry_delay

    assert (delay.seconds, delay.nanos) == (1, 500_000_000)
