"""The client for asyncio."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self, Unpack

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from marketdata.ingestion.v1 import ingestion_service_pb2_grpc
from typing_extensions import override

from ingestion_server.client import health
from ingestion_server.client.bars import Bars, decoded
from ingestion_server.client.batch import Batch, BatchItem
from ingestion_server.client.channel import async_channel, usual_credentials
from ingestion_server.client.request import (
    Query,
    batch_request,
    fetch_request,
    takes_query,
)
from ingestion_server.client.status import failure


class Client:
    """
    Ask a server for bars, with asyncio.

        async with Client() as client:
            bars = await client.fetch("AAPL", interval="1d", start="2024-01-01")
            bars.to_pandas()

    The connection opens with the first call and belongs to its event loop.
    """

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

    async def close(self) -> None:
        """Close the connection and end its calls; another call opens a new one."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    @takes_query
    async def fetch(
        self,
        symbol: str,
        *,
        timeout_seconds: float | None = None,
        **query: Unpack[Query],
    ) -> Bars:
        """
        Fetch the bars of one instrument in ``[start, end)``.

        Args:
            symbol: "AAPL", "BRK.B", "EUR/USD", "BTC/USD", "^GSPC".
            timeout_seconds: bounds the call, retries included; None = the client's.
            query: see `Query`; without any, the last 100 daily bars.

        Raises:
            IngestionClientError: one subclass per reason, see `client.errors`.
            ValueError: an option is none of those that exist (InvalidOptionError).

        """
        request = fetch_request(symbol, query)
        stub = ingestion_service_pb2_grpc.IngestionServiceStub(self._connected())
        try:
            answer = await stub.Fetch(request, timeout=timeout_seconds or self._timeout)
        except grpc.RpcError as e:
            raise failure(e, self.target) from e
        return decoded([answer])

    @takes_query
    async def fetch_batch(
        self,
        symbols: str | Sequence[str],
        *,
        timeout_seconds: float | None = None,
        **query: Unpack[Query],
    ) -> AsyncIterator[BatchItem]:
        """
        Fetch the bars of many instruments, each as soon as it is there.

        The failure of one symbol is that item's `error`. Leaving the loop early ends
        the call; `contextlib.aclosing` makes that happen at once. A batch takes as
        long as it takes unless `timeout_seconds` bounds it; else see `fetch`.
        """
        request = batch_request(symbols, query)
        stub = ingestion_service_pb2_grpc.IngestionServiceStub(self._connected())
        call = stub.FetchBatch(request, timeout=timeout_seconds)
        batch = Batch()
        try:
            async for response in call:
                if item := batch.add(response):
                    yield item
        except grpc.RpcError as e:
            raise failure(e, self.target) from e
        finally:
            call.cancel()
        for item in batch.unfinished():
            yield item

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
