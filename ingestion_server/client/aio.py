"""The client for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Unpack

from marketdata.ingestion.v1 import ingestion_service_pb2_grpc

from ingestion_server.client.bars import Bars, decoded
from ingestion_server.client.batch import Batch, BatchItem
from ingestion_server.client.quotes_request import QuotesOptions, quotes_request
from ingestion_server.client.quotes_snapshot import QuoteSnapshots, quotes_from
from ingestion_server.client.request import (
    Query,
    batch_request,
    fetch_request,
    takes_query,
)
from ingestion_server.client.status import failures_of
from ingestion_server.client.stream_course import Course, OnInterruption
from ingestion_server.client.stream_request import StreamOptions, stream_request
from ingestion_server.client.streaming import Stream
from ingestion_server.client.vendors_aio import AsyncVendors


class Client(AsyncVendors):
    """
    Ask a server for bars, with asyncio.

        async with Client() as client:
            bars = await client.fetch("AAPL", interval="1d", start="2024-01-01")
            bars.to_pandas()

    The connection opens with the first call and belongs to its event loop.
    """

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
        with failures_of(self.target):
            answer = await stub.Fetch(request, timeout=timeout_seconds or self._timeout)
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
            with failures_of(self.target):
                async for response in call:
                    if item := batch.add(response):
                        yield item
        finally:
            call.cancel()
        for item in batch.unfinished():
            yield item

    async def quotes(
        self,
        *symbols: str | Sequence[str],
        timeout_seconds: float | None = None,
        **options: Unpack[QuotesOptions],
    ) -> QuoteSnapshots:
        """
        Tell the latest price, bid and ask of some instruments.

        The failure of one symbol is that entry's `error`.

        Args:
            symbols: texts, or sequences of them; at most 500.
            timeout_seconds: bounds the call, retries included; None = the client's.
            options: see `QuotesOptions`; without any, from any vendor.

        Raises:
            IngestionClientError: one subclass per reason, see `client.errors`.
            ValueError: an option is none of those that exist (InvalidOptionError).

        """
        request = quotes_request(symbols, **options)
        stub = ingestion_service_pb2_grpc.IngestionServiceStub(self._connected())
        with failures_of(self.target):
            answer = await stub.GetQuotes(
                request, timeout=timeout_seconds or self._timeout
            )
        return quotes_from(answer)

    def stream(
        self,
        *symbols: str | Sequence[str],
        heartbeats: bool = False,
        on_interruption: OnInterruption | None = None,
        **options: Unpack[StreamOptions],
    ) -> Stream:
        """
        Hear trades, quotes or bars as they happen, until you leave.

            async with client.stream("AAPL", "TSLA") as stream:
                async for item in stream:
                    ...

        Items are `Trade`, `Quote`, `LiveBar`, and `StreamEvent`, which says what is not
        perfect about them. The stream outlasts lost connections and restarts of the
        server; see `Stream`. It ends when it or the client is closed.

        Args:
            symbols: texts, or sequences of them.
            heartbeats: whether to yield the events that say that the stream lives.
            on_interruption: is called when a connection is lost, with the reason.
            options: see `StreamOptions`; without any, all trades.

        Raises:
            ValueError: an option is none of those that exist (InvalidOptionError).

        """
        course = Course(
            stream_request(symbols, **options),
            self.target,
            heartbeats=heartbeats,
            on_interruption=on_interruption,
        )
        return Stream(course, self._connected())
