"""GetQuotes: translate, and delegate."""

from __future__ import annotations

from typing import Final

from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.ports.clock import Clock
from ingestion_server.ports.live import Quotes
from ingestion_server.service.admission import Context, Door
from ingestion_server.service.deadlines import seconds_to_answer
from ingestion_server.service.decoding import request_of
from ingestion_server.service.quote_decoding import quotes_of
from ingestion_server.service.quote_encoding import quotes_response_of

_SECONDS: Final = 30.0


class QuoteDesk:
    """Tell the latest quotes."""

    def __init__(self, quotes: Quotes, door: Door, clock: Clock) -> None:
        """Name who knows them, who lets callers in, and what tells their age."""
        self._quotes = quotes
        self._door = door
        self._clock = clock

    async def get_quotes(self, question: bytes, context: Context) -> bytes:
        """Answer ``GetQuotes`` with what is known of each symbol."""
        async with self._door.call(context, "IngestionService/GetQuotes") as request_id:
            request = request_of(ingestion_service_pb2.GetQuotesRequest, question)
            answers = await self._quotes.quotes(
                quotes_of(request),
                budget_seconds=seconds_to_answer(context, _SECONDS),
            )
            response = quotes_response_of(
                answers, request_id, now_ns=self._clock.now_ns()
            )
            return response.SerializeToString()
