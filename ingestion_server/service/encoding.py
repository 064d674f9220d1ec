"""Answers, from the house to the bytes of the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import msgspec
from marketdata.ingestion.v1 import bar_pb2, ingestion_service_pb2, provenance_pb2

from ingestion_server.cache.replies import Reply, Signature
from ingestion_server.domain.errors import IngestionError
from ingestion_server.domain.quality import QualityFlag
from ingestion_server.domain.result import Attempt, BarResult, Missing, Source
from ingestion_server.service.moments import (
    DURATION_BYTES,
    duration,
    encoded_duration,
    timestamp,
)
from ingestion_server.service.row_encoding import (
    encoded_columns,
    encoded_rows,
    framed,
)
from ingestion_server.service.statuses import failure_of
from ingestion_server.service.vocabulary import (
    ADJUSTMENT_CODES,
    COMPLETENESS_CODES,
    FLAG_CODES,
    INTERVAL_CODES,
    OUTCOME_CODES,
)

Layout: TypeAlias = ingestion_service_pb2.Layout.ValueType
CHUNK_BARS: Final = 5_000
_FOREVER_NS: Final = 2**63 - 1
_SOURCES: Final = ingestion_service_pb2.FetchResponse.SOURCES_FIELD_NUMBER
_REQUEST_ID: Final = ingestion_service_pb2.FetchResponse.REQUEST_ID_FIELD_NUMBER
_CACHE_AGE: Final = provenance_pb2.Source.CACHE_AGE_FIELD_NUMBER


def reply_of(result: BarResult, layout: Layout) -> Reply:
    """Return what of a ``FetchResponse`` an equal question would be told again."""
    encoded = _series(result, slice(0, None), layout) + (
        ingestion_service_pb2.FetchResponse(
            completeness=COMPLETENESS_CODES[result.completeness],
            missing=map(missing_of, result.missing),
            attempts=map(attempt_of, result.attempts),
            quality_flags=map(_flag, result.flags),
        ).SerializeToString()
    )
    return Reply(encoded, tuple(map(_signature, result.sources)))


def response_of(reply: Reply, request_id: str, seconds: float = 0.0) -> bytes:
    """
    Return a reply as a ``FetchResponse``, so many seconds after it was made.

    Two messages, one after the other, are read as one that has the fields of both.
    """
    parts = [reply.encoded]
    for signature in reply.signatures:
        parts.append(signature.encoded)
        if signature.age_seconds is not None:
            parts.append(encoded_duration(signature.age_seconds + seconds))
    parts.append(framed(_REQUEST_ID, request_id.encode()))
    return b"".join(parts)


def messages_of(
    symbol: str, result: BarResult, layout: Layout, request_id: str
) -> Iterator[bytes]:
    """
    Yield an answer as ``FetchBatchResponse``s of ``CHUNK_BARS`` bars at most.

    There is at least one. What is about a stretch of time stands in the chunk of that
    time; what is about the whole answer stands in the last.
    """
    starts = range(0, max(len(result.series), 1), CHUNK_BARS)
    for first in starts:
        last = first == starts[-1]
        message = ingestion_service_pb2.FetchBatchResponse(symbol=symbol, last=last)
        chunk = (
            _chunk(result, first, layout, request_id)
            if len(starts) > 1
            else response_of(reply_of(result, layout), request_id)
        )
        yield message.SerializeToString() + framed(
            ingestion_service_pb2.FetchBatchResponse.CHUNK_FIELD_NUMBER, chunk
        )


def failure_message_of(symbol: str, error: IngestionError) -> bytes:
    """Return the failure of one symbol as a ``FetchBatchResponse``."""
    return ingestion_service_pb2.FetchBatchResponse(
        symbol=symbol, failure=failure_of(error), last=True
    ).SerializeToString()


def _chunk(result: BarResult, first: int, layout: Layout, request_id: str) -> bytes:
    """Return some of the bars, and of the truth what is about their time."""
    stop = first + CHUNK_BARS
    last = stop >= len(result.series)
    times = result.series.open_time_ns
    start_ns = int(times[first]) if first else -_FOREVER_NS
    end_ns = _FOREVER_NS if last else int(times[stop])
    return _series(result, slice(first, stop), layout) + (
        ingestion_service_pb2.FetchResponse(
            completeness=COMPLETENESS_CODES[result.completeness],
            missing=[
                missing_of(missing)
                for missing in result.missing
                if start_ns <= missing.start_ns < end_ns
            ],
            sources=map(_source, _between(result.sources, start_ns, end_ns)),
            attempts=map(attempt_of, result.attempts if last else ()),
            quality_flags=[
                _flag(flag)
                for flag in result.flags
                if (last if flag.time_ns is None else start_ns <= flag.time_ns < end_ns)
            ],
            request_id=request_id,
        ).SerializeToString()
    )


def _between(sources: Iterable[Source], start_ns: int, end_ns: int) -> Iterator[Source]:
    for source in sources:
        first, stop = max(source.start_ns, start_ns), min(source.end_ns, end_ns)
        if first < stop:
            yield msgspec.structs.replace(source, start_ns=first, end_ns=stop)


def _series(result: BarResult, rows: slice, layout: Layout) -> bytes:
    """Return the field ``series`` of a ``FetchResponse``."""
    head = bar_pb2.BarSeries(
        symbol=result.instrument.symbol,
        interval=INTERVAL_CODES[result.interval],
        adjustment=ADJUSTMENT_CODES[result.adjustment],
        currency=result.currency,
        volume_unit=result.volume_unit,
        time_zone=result.zone,
        exchange=result.instrument.exchange,
    ).SerializeToString()
    bars, states = result.series.take(rows), result.states[rows]
    if layout == ingestion_service_pb2.LAYOUT_COLUMNS:
        columns = encoded_columns(bars, states)
        body = framed(bar_pb2.BarSeries.COLUMNS_FIELD_NUMBER, columns)
    else:
        body = encoded_rows(bars, states)
    return framed(ingestion_service_pb2.FetchResponse.SERIES_FIELD_NUMBER, head + body)


def missing_of(missing: Missing) -> provenance_pb2.MissingInterval:
    """Return a stretch without its bars for the wire."""
    return provenance_pb2.MissingInterval(
        start=timestamp(missing.start_ns),
        end=timestamp(missing.end_ns),
        reason=missing.reason,
    )


def _signature(source: Source) -> Signature:
    age = source.cache_age_seconds
    encoded = _source(
        msgspec.structs.replace(source, cache_age_seconds=None)
    ).SerializeToString()
    if age is None:
        return Signature(framed(_SOURCES, encoded), None)
    blank = bytes(DURATION_BYTES)
    whole = framed(_SOURCES, encoded + framed(_CACHE_AGE, blank))
    return Signature(whole.removesuffix(blank), age)


def _source(source: Source) -> provenance_pb2.Source:
    delay, age = source.feed_delay_seconds, source.cache_age_seconds
    return provenance_pb2.Source(
        provider=source.provider,
        start=timestamp(source.start_ns),
        end=timestamp(source.end_ns),
        feed_delay=None if delay is None else duration(delay),
        received_at=timestamp(source.received_at_ns),
        from_cache=source.from_cache,
        cache_age=None if age is None else duration(age),
        derived=bool(source.derivation),
        derivation=source.derivation,
    )


def attempt_of(attempt: Attempt) -> provenance_pb2.Attempt:
    """Return what was tried with one vendor for the wire."""
    return provenance_pb2.Attempt(
        provider=attempt.provider,
        outcome=OUTCOME_CODES[attempt.outcome],
        reason=attempt.reason,
        latency=duration(attempt.latency_seconds),
        cost_usd=float(attempt.cost_usd),
        calls=attempt.calls,
        hedge=attempt.hedge,
        shared=attempt.shared,
    )


def _flag(flag: QualityFlag) -> provenance_pb2.QualityFlag:
    return provenance_pb2.QualityFlag(
        kind=FLAG_CODES[flag.kind],
        time=None if flag.time_ns is None else timestamp(flag.time_ns),
        detail=flag.detail,
    )
