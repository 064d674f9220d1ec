"""Answers about quotes, from the house to the wire."""

from __future__ import annotations

from collections.abc import Sequence

from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.domain.errors import IngestionError
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.ticks import Snapshot
from ingestion_server.ports.live import QuoteAnswer
from ingestion_server.service.encoding import attempt_of
from ingestion_server.service.moments import duration, timestamp
from ingestion_server.service.statuses import failure_of
from ingestion_server.service.tick_encoding import quote_of, told, trade_of


def quotes_response_of(
    answers: Sequence[QuoteAnswer], request_id: str, *, now_ns: int
) -> ingestion_service_pb2.GetQuotesResponse:
    """Return answers as a ``GetQuotesResponse``, their ages as of ``now_ns``."""
    return ingestion_service_pb2.GetQuotesResponse(
        results=[_result(answer, now_ns) for answer in answers],
        request_id=request_id,
    )


def _result(answer: QuoteAnswer, now_ns: int) -> ingestion_service_pb2.QuoteResult:
    word = answer.snapshot
    attempts = map(attempt_of, answer.attempts)
    if isinstance(word, IngestionError):
        return ingestion_service_pb2.QuoteResult(
            symbol=answer.symbol, attempts=attempts, failure=failure_of(word)
        )
    delay = word.feed_delay_seconds
    return ingestion_service_pb2.QuoteResult(
        symbol=answer.symbol,
        quote=None if word.quote is None else quote_of(word.quote),
        trade=None if word.trade is None else trade_of(word.trade),
        provider=answer.provider,
        live=answer.live,
        received_at=timestamp(answer.received_at_ns),
        age=duration(_age_seconds(word, now_ns)),
        feed_delay=None if delay is None else duration(delay),
        currency=told(word.currency),
        previous_close=word.previous_close,
        attempts=attempts,
    )


def _age_seconds(snapshot: Snapshot, now_ns: int) -> float:
    """Return how long ago the later of quote and trade was; clocks differ."""
    times = [t.time_ns for t in (snapshot.quote, snapshot.trade) if t is not None]
    return max(now_ns - max(times, default=now_ns), 0) / SECOND_NS
