"""What else the port serves: health, reflection, channelz."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.port.house import House

SERVICE = "marketdata.ingestion.v1.IngestionService"
QUOTAS = "marketdata.ingestion.v1.QuotaService"
JOBS = "marketdata.ingestion.v1.JobService"
REPORTS = "marketdata.ingestion.v1.ReportService"
PROVIDERS = "marketdata.ingestion.v1.ProviderService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("service", ["", SERVICE, QUOTAS, PROVIDERS, JOBS])
async def test_health_is_told_per_service(home: House, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(home.channel)

    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))

    assert answer.status == SERVING


async def test_health_of_a_service_that_is_not_there_is_unknown(home: House) -> None:
    stub = health_pb2_grpc.HealthStub(home.channel)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Check(health_pb2.HealthCheckRequest(service="nothing"))

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("service", ["", SERVICE, QUOTAS, PROVIDERS, JOBS])
async def test_whoever_watches_health_hears_of_the_stop(
    home: House, service: str
) -> None:
    stub = health_pb2_grpc.HealthStub(home.channel)
    call = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=10)
    watched = aiter(call)
    assert (await anext(watched)).status == SERVING

    await home.server.stopping()

    assert (await anext(watched)).status == NOT_SERVING
    call.cancel()


async def reflected(
    home: House, request: reflection_pb2.ServerReflectionRequest
) -> reflection_pb2.ServerReflectionResponse:
    """Ask reflection one question."""

    stub = reflection_pb2_grpc.ServerReflectionStub(home.channel)
    async for answer in stub.ServerReflectionInfo(iter([request]), timeout=10):
        return answer
    raise AssertionError


async def test_reflection_lists_every_service(home: House) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")

    answer = await reflected(home, request)

    names = {service.name for service in answer.list_services_response.service}
    assert names == {
        SERVICE,
        PROVIDERS,
        QUOTAS,
        JOBS,
        REPORTS,
        "grpc.health.v1.Health",
        "grpc.channelz.v1.Channelz",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_reflection_describes_a_request(home: House) -> None:
    request = reflection_pb2.ServerReflectionRequest(
        file_containing_symbol="marketdata.ingestion.v1.FetchRequest"
    )

    answer = await reflected(home, request)

    files = [
        descriptor_pb2.FileDescriptorProto.FromString(file)
        for file in answer.file_descriptor_response.file_descriptor_proto
    ]
    (message,) = [
        message
        for file in files
        for message in file.message_type
        if message.name == "FetchRequest"
    ]
    fields = {field.name for field in message.field}
    assert {"symbol", "interval", "start", "end", "limit", "source_policy"} <= fields


async def test_channelz_knows_the_server(home: House) -> None:
    stub = channelz_pb2_grpc.ChannelzStub(home.channel)

    answer = await stub.GetServers(channelz_pb2.GetServersRequest())

    names = [
        listening.name for server in answer.server for listening in server.listen_socket
    ]
    # It tells the address that was asked for, with the port 0.
    assert any("127.0.0.1" in name for name in names), names


async def test_a_request_that_is_too_large_is_refused_and_not_read(
    home: House,
) -> None:
    call = home.channel.unary_unary(f"/{SERVICE}/Fetch")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(b"\x0a" + b"\xff\xff\x7f" + b"A" * (2 << 20))

    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_method_that_is_not_there_is_unimplemented(home: House) -> None:
    call = home.channel.unary_unary(f"/{SERVICE}/Nothing")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(b"")

    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_server_that_stops_says_so(home: House) -> None:
    home.door.close()

    failed = await home.refused(symbol="MSFT")

    assert failed.code is grpc.StatusCode.UNAVAILABLE
    assert failed.reason == "SERVER_STOPPING"
