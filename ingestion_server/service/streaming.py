"""StreamQuotes: translate, and hand on bytes for as long as the caller listens."""

from __future__ import annotations

import asyncio

import grpc.aio
from google.protobuf.message import Message
from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.ports.clock import Clock
from ingestion_server.ports.live import LiveData, StreamQuery
from ingestion_server.service.admission import Context, Door
from ingestion_server.service.decoding import request_of
from ingestion_server.service.stream_decoding import stream_of


class Streams:
    """Tell live data."""

    def __init__(self, live: LiveData, door: Door, clock: Clock) -> None:
        """Name who has them, and who lets callers in."""
        self._live = live
        self._door = door
        self._clock = clock

    async def stream_quotes(self, question: bytes, context: Context) -> None:
        """Answer ``StreamQuotes`` until the caller leaves, or the server stops."""
        async with self._door.stream(context, "IngestionService/StreamQuotes"):
            request = request_of(ingestion_service_pb2.StreamQuotesRequest, question)
            query = stream_of(request, now_ns=self._clock.now_ns())
            await self._door.while_open(self._tell(query, context))

    async def _tell(self, query: StreamQuery, context: Context) -> None:
        async with self._live.stream(query) as messages:
            # Not a generator that yields: who leaves while a message waits to be sent
            # would not be noticed here, and stay subscribed until it is collected.
            async for message in messages:
                await told(message, context)


async def told(message: bytes | Message, context: Context) -> None:
    """
    Wait until a message is on its way to a caller.

    Raises:
        asyncio.CancelledError: The caller left while it was being written.

    """
    try:
        await context.write(message)
    except grpc.aio.BaseError:
        raise asyncio.CancelledError from None
