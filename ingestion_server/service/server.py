"""The gRPC server: services, health, reflection, channelz, and their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

import grpc
import grpc.aio
from grpc_channelz.v1 import channelz, channelz_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    provider_service_pb2,
    provider_service_pb2_grpc,
    quota_service_pb2,
    quota_service_pb2_grpc,
    report_service_pb2,
    report_service_pb2_grpc,
)

from ingestion_server.service.ingestion import IngestionServicer

_LARGEST_REQUEST: Final = 1 << 20
_LARGEST_RESPONSE: Final = 64 << 20
_MOST_PENDING: Final = 16_384
"""Calls that have come and are not let in yet."""
Servicer = (
    IngestionServicer
    | quota_service_pb2_grpc.QuotaServiceServicer
    | provider_service_pb2_grpc.ProviderServiceServicer
    | job_service_pb2_grpc.JobServiceServicer
    | report_service_pb2_grpc.ReportServiceServicer
)
"""What answers the RPCs of one service."""

OPTIONS: Final = (
    ("grpc.max_receive_message_length", _LARGEST_REQUEST),
    ("grpc.max_send_message_length", _LARGEST_RESPONSE),
    # Per connection, and more than the door lets in: a call that is held back here
    # waits without being told why.
    ("grpc.max_concurrent_streams", _MOST_PENDING),
    # Left alone, gRPC drops calls of a burst as CANCELLED, and no word why: some from
    # 1,000 on that it has not handed over yet, all from 3,000 on. The door says why.
    ("grpc.server.max_pending_requests", _MOST_PENDING),
    ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
    # A port that is taken is an error, not a second server on it.
    ("grpc.so_reuseport", 0),
    ("grpc.enable_channelz", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Clients may ping idle connections this often without being told off.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """Hold a server that is bound, and what tells its health."""

    server: grpc.aio.Server
    health: health_aio.HealthServicer
    services: tuple[str, ...]
    """The full names of what is served, besides health, reflection and channelz."""
    port: int

    async def serving(self) -> None:
        """Start, and say so."""
        await self.server.start()
        await self.tell(ready=True)

    async def tell(self, *, ready: bool) -> None:
        """Say whether calls should come; once the server stops, that stays as it is."""
        status = (
            health_pb2.HealthCheckResponse.SERVING
            if ready
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for service in ("", *self.services):
            await self.health.set(service, status)

    async def stopping(self) -> None:
        """Say that no new call should come, while those inside finish."""
        await self.health.enter_graceful_shutdown()


def bound_server(
    servicers: Sequence[Servicer],
    address: str,
    credentials: grpc.ServerCredentials | None,
) -> GrpcServer:
    """
    Return a server that holds its port and does not serve yet.

    Raises:
        OSError: The port cannot be had.

    """
    server = grpc.aio.server(options=OPTIONS)
    # A registered method has a queue of its own, so who asks for health does not wait
    # behind a burst of others.
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    # Generated code registers all methods. But at every call, grpc.aio waits anew for
    # the next one of each: with thirty, that is a tenth of a call from the cache.
    registrar: Any = server
    registrar.add_registered_method_handlers = _leave_unregistered
    services = tuple(_added(servicer, server) for servicer in servicers)
    channelz.add_channelz_servicer(server)
    reflection.enable_server_reflection(
        [
            *services,
            health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
            channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name,
            reflection.SERVICE_NAME,
        ],
        server,
    )
    try:
        port = (
            server.add_insecure_port(address)
            if credentials is None
            else server.add_secure_port(address, credentials)
        )
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: is the port taken?") from error
    return GrpcServer(server, health, services, port)


def _leave_unregistered(
    service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
) -> None:
    """Do nothing: calls find their handlers by name, after waiting in one queue."""
    del service, handlers


def _added(servicer: Servicer, server: grpc.aio.Server) -> str:
    """Let a service be served, and return its full name."""
    match servicer:
        case IngestionServicer():
            file, name = ingestion_service_pb2.DESCRIPTOR, "IngestionService"
            # Not the generated way, which reads and writes a message each time:
            # this servicer takes and gives bytes.
            methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
                "Fetch": grpc.unary_unary_rpc_method_handler(servicer.fetch),
                "FetchBatch": grpc.unary_stream_rpc_method_handler(
                    servicer.fetch_batch
                ),
            }
            if servicer.streams is not None:
                methods["StreamQuotes"] = grpc.unary_stream_rpc_method_handler(
                    servicer.streams.stream_quotes
                )
            if servicer.quotes is not None:
                methods["GetQuotes"] = grpc.unary_unary_rpc_method_handler(
                    servicer.quotes.get_quotes
                )
            handler = grpc.method_handlers_generic_handler(
                file.services_by_name[name].full_name, methods
            )
            server.add_generic_rpc_handlers((handler,))
        case quota_service_pb2_grpc.QuotaServiceServicer():
            quota_service_pb2_grpc.add_QuotaServiceServicer_to_server(servicer, server)
            file, name = quota_service_pb2.DESCRIPTOR, "QuotaService"
        case provider_service_pb2_grpc.ProviderServiceServicer():
            provider_service_pb2_grpc.add_ProviderServiceServicer_to_server(
                servicer, server
            )
            file, name = provider_service_pb2.DESCRIPTOR, "ProviderService"
        case job_service_pb2_grpc.JobServiceServicer():
            job_service_pb2_grpc.add_JobServiceServicer_to_server(servicer, server)
            file, name = job_service_pb2.DESCRIPTOR, "JobService"
        case report_service_pb2_grpc.ReportServiceServicer():
            report_service_pb2_grpc.add_ReportServiceServicer_to_server(
                servicer, server
            )
            file, name = report_service_pb2.DESCRIPTOR, "ReportService"
        case _:
            assert_never(servicer)
    return file.services_by_name[name].full_name
