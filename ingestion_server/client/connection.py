"""How a client is connected to its server, with and without asyncio."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from marketdata.ingestion.v1 import (
    ingestion_service_pb2_grpc,
    provider_service_pb2_grpc,
    quota_service_pb2_grpc,
)
from typing_extensions import override

from ingestion_server.client import health
from ingestion_server.client.channel import (
    async_channel,
    sync_channel,
    usual_credentials,
)
from ingestion_server.client.jobs_aio import Jobs
from ingestion_server.client.jobs_blocking import SyncJobs
from ingestion_server.client.reports_aio import Reports
from ingestion_server.client.reports_blocking import SyncReports


class AsyncConnection:
    """Know the server, and connect to it when that is needed."""

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        timeout_seconds: float = 30.0,
        secure: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """
        Name the server, without connecting yet.

        `timeout_seconds` bounds each call that names no time of its own. `secure`
        means TLS with the public certificate authorities, `credentials` names others.
        """
        self.target = target
        self._timeout = timeout_seconds
        self._credentials = usual_credentials(credentials, secure=secure)
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @override
    def __repr__(self) -> str:
        return f"<Client of {self.target}>"

    @property
    def jobs(self) -> Jobs:
        """Histories that the server brings by itself, however long it takes."""
        return Jobs(self._connected, self.target, self._timeout)

    @property
    def reports(self) -> Reports:
        """How well callers and vendors were served."""
        return Reports(self._connected, self.target, self._timeout)

    async def close(self) -> None:
        """Close the connection and end its calls; another call opens a new one."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def wait_until_serving(self, timeout_seconds: float = 30.0) -> None:
        """
        Wait until the server is up and healthy.

        Raises:
            ServerUnreachableError: it is not within the time.

        """
        stub = health_pb2_grpc.HealthStub(self._connected())
        deadline = time.monotonic() + timeout_seconds
        while True:
            call = stub.Watch(  # type: ignore[attr-defined] # not in its stubs
                health_pb2.HealthCheckRequest(),
                timeout=max(0.0, deadline - time.monotonic()),
                wait_for_ready=True,
            )
            try:
                async for reply in call:
                    if reply.status == health_pb2.HealthCheckResponse.SERVING:
                        return
            except grpc.RpcError as e:
                health.check(e, self.target, timeout_seconds)
            finally:
                call.cancel()

    def _connected(self) -> grpc.aio.Channel:
        """Open the channel, which needs the running event loop, when it is needed."""
        if self._channel is None:
            self._channel = async_channel(self.target, self._credentials)
        return self._channel


class SyncConnection:
    """Know the server, and be connected to it as soon as it is needed."""

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        timeout_seconds: float = 30.0,
        secure: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """
        Name the server; the connection opens with the first call.

        `timeout_seconds` bounds each call that names no time of its own. `secure`
        means TLS with the public certificate authorities, `credentials` names others.
        """
        self.target = target
        self._timeout = timeout_seconds
        self._channel = sync_channel(
            target, usual_credentials(credentials, secure=secure)
        )
        self._stub = ingestion_service_pb2_grpc.IngestionServiceStub(self._channel)
        self._quota_stub = quota_service_pb2_grpc.QuotaServiceStub(self._channel)
        self._provider_stub = provider_service_pb2_grpc.ProviderServiceStub(
            self._channel
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @override
    def __repr__(self) -> str:
        return f"<SyncClient of {self.target}>"

    @property
    def jobs(self) -> SyncJobs:
        """Histories that the server brings by itself, however long it takes."""
        return SyncJobs(self._channel, self.target, self._timeout)

    @property
    def reports(self) -> SyncReports:
        """How well callers and vendors were served."""
        return SyncReports(self._channel, self.target, self._timeout)

    def close(self) -> None:
        """Close the connection and end its calls, for good."""
        self._channel.close()

    def wait_until_serving(self, timeout_seconds: float = 30.0) -> None:
        """
        Wait until the server is up and healthy.

        Raises:
            ServerUnreachableError: it is not within the time.

        """
        stub = health_pb2_grpc.HealthStub(self._channel)
        deadline = time.monotonic() + timeout_seconds
        while True:
            call = stub.Watch(  # type: ignore[attr-defined] # not in its stubs
                health_pb2.HealthCheckRequest(),
                timeout=max(0.0, deadline - time.monotonic()),
                wait_for_ready=True,
            )
            try:
                for reply in call:
                    if reply.status == health_pb2.HealthCheckResponse.SERVING:
                        return
            except grpc.RpcError as e:
                health.check(e, self.target, timeout_seconds)
            finally:
                call.cancel()
