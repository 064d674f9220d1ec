"""IngestionService: translate, and delegate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from marketdata.ingestion.v1 import ingestion_service_pb2, ingestion_service_pb2_grpc
from typing_extensions import override

from ingestion_server.domain.errors import IngestionError
from ingestion_server.ingest.batch import fetch_all
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.service.admission import Context, Door
from ingestion_server.service.decoding import batch_of, query_of
from ingestion_server.service.encoding import chunks_of, response_of
from ingestion_server.service.statuses import failure_of

MOST_FETCH_BARS: Final = 50_000
"""More rows do not fit the 4 MB that clients accept by default."""
_FETCH_SECONDS: Final = 30.0
_BATCH_SECONDS: Final = 600.0
_RESERVE_SECONDS: Final = 0.02
_RESERVE_SHARE: Final = 0.05


class IngestionServicer(ingestion_service_pb2_grpc.IngestionServiceServicer):
    """Answer the RPCs of IngestionService."""

    def __init__(self, fetcher: Fetcher, door: Door, *, symbols_at_once: int) -> None:
        self._fetcher = fetcher
        self._door = door
        self._symbols_at_once = symbols_at_once

    @override
    async def Fetch(
        self, request: ingestion_service_pb2.FetchRequest, context: Context
    ) -> ingestion_service_pb2.FetchResponse:
        """Answer with the bars of one instrument."""
        async with self._door.call(context) as request_id:
            result = await self._fetcher.fetch(
                query_of(request),
                budget_seconds=_budget(context, _FETCH_SECONDS),
                most_bars=MOST_FETCH_BARS,
            )
            return response_of(result, request.layout, request_id)
        raise AssertionError

    @override
    async def FetchBatch(
        self, request: ingestion_service_pb2.FetchBatchRequest, context: Context
    ) -> AsyncIterator[ingestion_service_pb2.FetchBatchResponse]:
        """Answer with the bars of many instruments, each as it is ready."""
        async with self._door.call(context) as request_id:
            symbols, queries = batch_of(request)
            answers = fetch_all(
                self._fetcher,
                queries,
                budget_seconds=_budget(context, _BATCH_SECONDS),
                at_once=self._symbols_at_once,
            )
            async with aclosing(answers):
                async for index, result in answers:
                    symbol = symbols[index]
                    if isinstance(result, IngestionError):
                        yield ingestion_service_pb2.FetchBatchResponse(
                            symbol=symbol, failure=failure_of(result), last=True
                        )
                        continue
                    chunks = list(chunks_of(result, request.layout, request_id))
                    for number, chunk in enumerate(chunks, start=1):
                        yield ingestion_service_pb2.FetchBatchResponse(
                            symbol=symbol, chunk=chunk, last=number == len(chunks)
                        )


def _budget(context: Context, default_seconds: float) -> float:
    """
    Return the time to answer in.

    A little less than the caller gave: at the deadline itself the caller gives up,
    and what we would have told is lost.
    """
    remaining = context.time_remaining()
    if remaining is None:
        return default_seconds
    return max(remaining - max(_RESERVE_SECONDS, remaining * _RESERVE_SHARE), 0.0)
