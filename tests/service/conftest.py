"""Fixtures of the service's tests: a real port, and rooms that are told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import pytest
from marketdata.ingestion.v1 import (
    provider_service_pb2_grpc,
    quota_service_pb2_grpc,
)

from ingestion_server.service.admission import Door
from ingestion_server.service.providers import ProviderServicer
from ingestion_server.service.quotas import QuotaServicer
from ingestion_server.service.server import bound_server
from tests.clocks import ManualClock
from tests.service.benchmarkers import FakeBenchmarker
from tests.service.directories import FakeDirectory, FakeRouter
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
async def directory(clock: ManualClock) -> FakeDirectory:
    """Know two vendors."""
    return FakeDirectory(clock)


@pytest.fixture
def router() -> FakeRouter:
    """Ask one vendor, and leave another out."""
    return FakeRouter()


@pytest.fixture
async def benchmarker() -> FakeBenchmarker:
    """Compare vendors as the test says."""
    return FakeBenchmarker()


@pytest.fixture
async def door() -> Door:
    """Let in one call, and two that watch."""
    return Door(1, most_watchers=2)


@pytest.fixture
async def channel(
    ledger: FakeLedger,
    directory: FakeDirectory,
    router: FakeRouter,
    benchmarker: FakeBenchmarker,
    door: Door,
    clock: ManualClock,
) -> AsyncIterator[grpc.aio.Channel]:
    """Serve them on a free port, and connect to it."""
    bound = bound_server(
        [
            QuotaServicer(ledger, door, clock),
            ProviderServicer(
                directory,
                router,
                door,
                clock,
                cache=directory.cache_use,
                benchmarker=benchmarker,
            ),
        ],
        "127.0.0.1:0",
        None,
    )
    await bound.server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as connected:
        yield connected
    await bound.server.stop(0)


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> quota_service_pb2_grpc.QuotaServiceStub:
    """Ask for budgets."""
    return quota_service_pb2_grpc.QuotaServiceStub(channel)


@pytest.fixture
def vendors(channel: grpc.aio.Channel) -> provider_service_pb2_grpc.ProviderServiceStub:
    """Ask for vendors."""
    return provider_service_pb2_grpc.ProviderServiceStub(channel)
