"""Reports over both clients, and as users hold them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from marketdata.ingestion.v1 import report_service_pb2

from ingestion_server.client import (
    Client,
    InvalidOptionError,
    InvalidQueryError,
    Latency,
    SlaReport,
    SyncClient,
)
from tests.client.fakes import FakeServer
from tests.client.telling import DAY, FIRST, Refusal, stamp

BOTH = pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "aio"])


def sla(target: str, *asked: object, blocking: bool, **more: object) -> SlaReport:
    """Ask by one of the clients."""
    if blocking:
        with SyncClient(target) as client:
            return client.reports.sla(*asked, **more)

    async def ask() -> SlaReport:
        async with Client(target) as client:
            return await client.reports.sla(*asked, **more)

    return asyncio.run(ask())


@BOTH
def test_a_report_tells_all_there_is(server: FakeServer, blocking: bool) -> None:  # noqa: FBT001 - a parameter
    report = sla(server.target, blocking=blocking)

    assert server.reports.requests == [report_service_pb2.GetSlaReportRequest()]
    assert (report.start, report.end) == (FIRST, FIRST + DAY)
    assert list(report.rpcs) == [
        "IngestionService/Fetch",
        "ProviderService/BenchmarkProviders",
    ]
    assert list(report.providers) == ["alpha_vantage", "yahoo"]
    assert report.overall.latency == Latency(
        p50=timedelta(microseconds=213),
        p95=timedelta(milliseconds=123.4),
        p99=timedelta(seconds=1.23),
        max=timedelta(seconds=29),
    )
    assert report.providers["yahoo"].failures == {"TIMEOUT": 50, "MALFORMED": 1}
    assert list(report.providers["yahoo"].failures) == ["TIMEOUT", "MALFORMED"]
    nothing = report.rpcs["ProviderService/BenchmarkProviders"]
    assert nothing.success_ratio is None
    assert nothing.latency is None
    assert nothing.error_budget_left is None
    assert len(report.downtimes) == 7
    assert report.downtimes[0].end - report.downtimes[0].start == timedelta(seconds=90)
    assert report.incomplete_reason == "the disk is full"
    assert json.loads(report.to_json())["overall"]["calls"] == "1234600"


@BOTH
def test_what_is_asked_for_reaches_the_server(
    server: FakeServer,
    blocking: bool,  # noqa: FBT001 - a parameter
) -> None:
    sla(
        server.target,
        "2025-01-31",
        datetime(2025, 2, 1, tzinfo=UTC),
        providers="yahoo",
        objective=0.99,
        blocking=blocking,
    )

    assert server.reports.requests == [
        report_service_pb2.GetSlaReportRequest(
            start=stamp(datetime(2025, 1, 31, tzinfo=UTC)),
            end=stamp(datetime(2025, 2, 1, tzinfo=UTC)),
            providers=["yahoo"],
            objective=0.99,
        )
    ]


@BOTH
def test_a_refusal_is_raised(server: FakeServer, blocking: bool) -> None:  # noqa: FBT001 - a parameter
    server.reports.told = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY")

    with pytest.raises(InvalidQueryError):
        sla(server.target, blocking=blocking)


@pytest.mark.parametrize("objective", [0.0, 1.0, 99.9, float("nan")])
def test_an_objective_that_is_no_share_is_not_asked_for(
    server: FakeServer, objective: float
) -> None:
    with pytest.raises(InvalidOptionError, match="objective"):
        sla(server.target, objective=objective, blocking=True)

    assert server.reports.requests == []
