"""
IngestionService: translate, and delegate.

Requests come and answers leave as bytes, since most of them were here before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.cache.replies import EncodedReplies
from ingestion_server.domain.errors import IngestionError
from ingestion_server.ingest.batch import fetch_all
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.service.admission import Context, Door
from ingestion_server.service.deadlines import seconds_to_answer
from ingestion_server.service.decoding import batch_of, query_of, request_of
from ingestion_server.service.encoding import (
    failure_message_of,
    messages_of,
    reply_of,
    response_of,
)
from ingestion_server.service.quoting import QuoteDesk
from ingestion_server.service.streaming import Streams

MOST_FETCH_BARS: Final = 50_000
"""More rows do not fit the 4 MB that clients accept by default."""
_FETCH_SECONDS: Final = 30.0
_BATCH_SECONDS: Final = 600.0


class IngestionServicer:
    """Answer the RPCs of IngestionService."""

    def __init__(
        self,
        fetcher: Fetcher,
        door: Door,
        *,
        symbols_at_once: int,
        replies: EncodedReplies | None = None,
        streams: Streams | None = None,
        quotes: QuoteDesk | None = None,
    ) -> None:
        """
        Answer from the rooms below.

        Args:
            fetcher: finds the bars.
            door: lets calls in.
            symbols_at_once: how many symbols of a batch are asked for together.
            replies: what was answered before; None = each answer is made anew.
            streams: tells live data; None = there are none to tell.
            quotes: tells the latest quotes; None = nobody does.

        """
        self._fetcher = fetcher
        self._door = door
        self._symbols_at_once = symbols_at_once
        self._replies = replies
        self.streams = streams
        self.quotes = quotes

    async def fetch(self, question: bytes, context: Context) -> bytes:
        """Answer ``Fetch`` with the bars of one instrument."""
        visit = self._door.call(context, "IngestionService/Fetch")
        answer = visit.at_once(self._known, question)
        if answer is not None:
            return answer
        async with visit as request_id:
            replies = self._replies
            generation = 0 if replies is None else replies.generation
            request = request_of(ingestion_service_pb2.FetchRequest, question)
            result = await self._fetcher.fetch(
                query_of(request),
                budget_seconds=seconds_to_answer(context, _FETCH_SECONDS),
                most_bars=MOST_FETCH_BARS,
            )
            reply = reply_of(result, request.layout)
            if replies is not None:
                replies.keep(
                    question,
                    reply,
                    good_for_seconds=result.good_for_seconds,
                    generation=generation,
                )
            return response_of(reply, request_id)

    def _known(self, question: bytes, request_id: str) -> bytes | None:
        """Return what the question was answered with before, if that still holds."""
        known = None if self._replies is None else self._replies.find(question)
        return None if known is None else response_of(known[0], request_id, known[1])

    async def fetch_batch(
        self, question: bytes, context: Context
    ) -> AsyncIterator[bytes]:
        """Answer ``FetchBatch`` with the bars of many, each as it is ready."""
        async with self._door.call(
            context, "IngestionService/FetchBatch"
        ) as request_id:
            request = request_of(ingestion_service_pb2.FetchBatchRequest, question)
            symbols, queries = batch_of(request)
            answers = fetch_all(
                self._fetcher,
                queries,
                budget_seconds=seconds_to_answer(context, _BATCH_SECONDS),
                at_once=self._symbols_at_once,
            )
            async with aclosing(answers):
                async for index, result in answers:
                    symbol = symbols[index]
                    if isinstance(result, IngestionError):
                        yield failure_message_of(symbol, result)
                        continue
                    for message in messages_of(
                        symbol, result, request.layout, request_id
                    ):
                        yield message
