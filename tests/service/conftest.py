"""Fixtures of the service's tests: a real port, and a ledger that is told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import pytest
from marketdata.ingestion.v1 import quota_service_pb2_grpc

from ingestion_server.service.admission import Door
from ingestion_server.service.quotas import QuotaServicer
from tests.clocks import ManualClock
from tests.service.ledgers import FakeLedger


@pytest.fixture
def clock() -> ManualClock:
    """Stand still until the test says otherwise."""
    return ManualClock(runs=False)


@pytest.fixture
async def ledger(clock: ManualClock) -> FakeLedger:
    """Keep two vendors' budgets."""
    return FakeLedger(clock)


@pytest.fixture
async def door() -> Door:
    """Let in one call, and two that watch."""
    return Door(1, most_watchers=2)


@pytest.fixture
async def channel(
    ledger: FakeLedger, door: Door, clock: ManualClock
) -> AsyncIterator[grpc.aio.Channel]:
    """Serve the ledger on a free port, and connect to it."""
    server = grpc.aio.server()
    quota_service_pb2_grpc.add_QuotaServiceServicer_to_server(
        QuotaServicer(ledger, door, clock), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as connected:
        yield connected
    await server.stop(0)


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> quota_service_pb2_grpc.QuotaServiceStub:
    """Ask the server."""
    return quota_service_pb2_grpc.QuotaServiceStub(channel)
