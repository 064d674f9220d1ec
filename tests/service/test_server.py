"""The server tells of all its services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from marketdata.ingestion.v1 import quota_service_pb2, quota_service_pb2_grpc

from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.service.admission import Door
from ingestion_server.service.ingestion import IngestionServicer
from ingestion_server.service.quotas import QuotaServicer
from ingestion_server.service.server import SERVICES, bound_server
from tests.clocks import ManualClock
from tests.service.ledgers import FakeLedger


@pytest.fixture
async def whole(
    ledger: FakeLedger, door: Door, clock: ManualClock
) -> AsyncIterator[grpc.aio.Channel]:
    """Serve everything, and connect to it."""
    nobody_fetches = cast("Fetcher", None)
    bound = bound_server(
        IngestionServicer(nobody_fetches, door, symbols_at_once=1),
        QuotaServicer(ledger, door, clock),
        "127.0.0.1:0",
        None,
    )
    await bound.serving()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as connected:
        yield connected
    await bound.server.stop(0)


@pytest.mark.parametrize("service", ["", *SERVICES])
async def test_health_is_told_per_service(
    whole: grpc.aio.Channel, service: str
) -> None:
    stub = health_pb2_grpc.HealthStub(whole)

    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_knows_every_service(whole: grpc.aio.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(whole)
    request = reflection_pb2.ServerReflectionRequest(list_services="")

    answers = [one async for one in stub.ServerReflectionInfo(iter([request]))]

    names = {one.name for one in answers[0].list_services_response.service}
    assert set(SERVICES) < names


async def test_quotas_are_answered_on_the_server_s_port(
    whole: grpc.aio.Channel,
) -> None:
    stub = quota_service_pb2_grpc.QuotaServiceStub(whole)

    answer = await stub.ListQuotas(quota_service_pb2.ListQuotasRequest())

    assert len(answer.windows) == 3


async def test_a_port_that_is_taken_is_an_error(
    ledger: FakeLedger, door: Door, clock: ManualClock
) -> None:
    servicers = (
        IngestionServicer(cast("Fetcher", None), door, symbols_at_once=1),
        QuotaServicer(ledger, door, clock),
    )
    first = bound_server(*servicers, "127.0.0.1:0", None)

    with pytest.raises(OSError, match="is the port taken"):
        bound_server(*servicers, f"127.0.0.1:{first.port}", None)

    await first.server.stop(0)
