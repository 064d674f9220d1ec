"""The server tells of all its services."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from marketdata.ingestion.v1 import (
    provider_service_pb2,
    provider_service_pb2_grpc,
    quota_service_pb2,
    quota_service_pb2_grpc,
)

from ingestion_server.cache.replies import EncodedReplies, Reply
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ports.caching import CacheCounts
from ingestion_server.service.admission import Door
from ingestion_server.service.ingestion import IngestionServicer
from ingestion_server.service.jobs import JobServicer
from ingestion_server.service.providers import ProviderServicer
from ingestion_server.service.quotas import QuotaServicer
from ingestion_server.service.server import Servicer, bound_server
from tests.clocks import ManualClock
from tests.service.benchmarkers import FakeBenchmarker
from tests.service.directories import FakeDirectory, FakeRouter
from tests.service.job_desks import FakeJobs
from tests.service.ledgers import FakeLedger

SERVICES = [
    f"marketdata.ingestion.v1.{name}"
    for name in (
        *("IngestionService", "QuotaService", "ProviderService"),
        "JobService",
    )
]


BURST = 5_000
"""More than gRPC by itself would let wait."""


@pytest.fixture
def servicers(
    ledger: FakeLedger, directory: FakeDirectory, door: Door, clock: ManualClock
) -> list[Servicer]:
    """Answer every RPC but those that fetch."""
    return [
        IngestionServicer(cast("Fetcher", None), door, symbols_at_once=1),
        QuotaServicer(ledger, door, clock),
        ProviderServicer(
            directory,
            FakeRouter(),
            door,
            clock,
            cache=directory.cache_use,
            benchmarker=FakeBenchmarker(),
        ),
        JobServicer(FakeJobs(), door),
    ]


@pytest.fixture
async def whole(servicers: list[Servicer]) -> AsyncIterator[grpc.aio.Channel]:
    """Serve everything, and connect to it."""
    bound = bound_server(servicers, "127.0.0.1:0", None)
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


async def test_quotas_and_vendors_are_answered_on_the_server_s_port(
    whole: grpc.aio.Channel,
) -> None:
    quotas = quota_service_pb2_grpc.QuotaServiceStub(whole)
    vendors = provider_service_pb2_grpc.ProviderServiceStub(whole)

    metered = await quotas.ListQuotas(quota_service_pb2.ListQuotasRequest())
    listed = await vendors.ListProviders(provider_service_pb2.ListProvidersRequest())

    assert len(metered.windows) == 3
    assert len(listed.providers) == 2


async def test_a_service_that_is_not_served_is_not_told_of(
    servicers: list[Servicer],
) -> None:
    bound = bound_server(servicers[1:2], "127.0.0.1:0", None)

    assert bound.services == (SERVICES[1],)
    await bound.server.stop(0)


async def test_a_port_that_is_taken_is_an_error(servicers: list[Servicer]) -> None:
    first = bound_server(servicers, "127.0.0.1:0", None)

    with pytest.raises(OSError, match="is the port taken"):
        bound_server(servicers, f"127.0.0.1:{first.port}", None)

    await first.server.stop(0)


async def test_a_call_costs_no_more_the_more_methods_are_served(
    servicers: list[Servicer], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited_for: list[int] = []
    wait = asyncio.wait

    async def counted(
        futures: Iterable[asyncio.Future[None]], **more: Any
    ) -> tuple[set[asyncio.Future[None]], set[asyncio.Future[None]]]:
        every = list(futures)
        waited_for.append(len(every))
        return await wait(every, **more)

    monkeypatch.setattr(asyncio, "wait", counted)
    bound = bound_server(servicers, "127.0.0.1:0", None)
    await bound.serving()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as channel:
        stub = quota_service_pb2_grpc.QuotaServiceStub(channel)
        for _ in range(3):
            await stub.ListQuotas(quota_service_pb2.ListQuotasRequest())
    await bound.server.stop(0)

    # Health, and all others together: grpc.aio would wait for each method in turn.
    methods = len(health_pb2.DESCRIPTOR.services_by_name["Health"].methods)
    assert len(waited_for) > 3
    assert set(waited_for) == {methods + 1}


async def test_a_burst_is_answered_call_by_call_and_health_meanwhile(
    door: Door, clock: ManualClock
) -> None:
    replies = EncodedReplies(1_000, clock, generation=lambda: 1, counts=CacheCounts())
    replies.keep(b"", Reply(b"", ()), good_for_seconds=60.0, generation=1)
    servicer = IngestionServicer(
        cast("Fetcher", None), door, symbols_at_once=1, replies=replies
    )
    bound = bound_server([servicer], "127.0.0.1:0", None)
    await bound.serving()
    target = f"127.0.0.1:{bound.port}"
    alone = (("grpc.use_local_subchannel_pool", 1),)
    async with (
        grpc.aio.insecure_channel(target) as channel,
        grpc.aio.insecure_channel(target, options=alone) as other,
    ):
        fetch = channel.unary_unary("/marketdata.ingestion.v1.IngestionService/Fetch")
        check = health_pb2_grpc.HealthStub(other).Check
        await check(health_pb2.HealthCheckRequest())
        calls = [fetch(b"", timeout=50) for _ in range(BURST)]
        answered = asyncio.gather(*(call.code() for call in calls))
        before = 0
        while not answered.done():
            reply = await check(health_pb2.HealthCheckRequest(), timeout=50)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
            before += 1
        codes = Counter(await answered)
    await bound.server.stop(0)

    assert codes == {grpc.StatusCode.OK: BURST}
    assert before > 1
