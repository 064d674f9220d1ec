"""Answers, from the house to the wire."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from marketdata.ingestion.v1 import bar_pb2, ingestion_service_pb2, provenance_pb2

from ingestion_server.domain.bars import BarSeries, BarState, Column
from ingestion_server.domain.quality import QualityFlag
from ingestion_server.domain.result import Attempt, BarResult, Missing, Source
from ingestion_server.service.moments import duration, timestamp
from ingestion_server.service.vocabulary import (
    ADJUSTMENT_CODES,
    COMPLETENESS_CODES,
    FLAG_CODES,
    INTERVAL_CODES,
    OUTCOME_CODES,
    STATE_CODES,
)

CHUNK_BARS: Final = 5_000
_FOREVER_NS: Final = 2**63 - 1


def response_of(
    result: BarResult, layout: ingestion_service_pb2.Layout.ValueType, request_id: str
) -> ingestion_service_pb2.FetchResponse:
    """Return the whole answer as one message."""
    return _response(result, slice(0, None), layout, request_id)


def chunks_of(
    result: BarResult, layout: ingestion_service_pb2.Layout.ValueType, request_id: str
) -> Iterator[ingestion_service_pb2.FetchResponse]:
    """
    Yield the answer in chunks of at most ``CHUNK_BARS`` bars, at least one.

    What is about a stretch of time stands in the chunk of that time; what is about
    the whole answer stands in the last.
    """
    starts = range(0, max(len(result.series), 1), CHUNK_BARS)
    for first in starts:
        last = first + CHUNK_BARS >= len(result.series)
        rows = slice(first, first + CHUNK_BARS)
        message = _response(result, rows, layout, request_id)
        if len(starts) > 1:
            times = result.series.open_time_ns
            start_ns = int(times[first]) if first else -_FOREVER_NS
            end_ns = _FOREVER_NS if last else int(times[first + CHUNK_BARS])
            _narrow(message, result, start_ns, end_ns, last=last)
        yield message


def _narrow(
    message: ingestion_service_pb2.FetchResponse,
    result: BarResult,
    start_ns: int,
    end_ns: int,
    *,
    last: bool,
) -> None:
    """Keep of the truth what is about ``[start, end)``."""
    del message.sources[:], message.missing[:], message.quality_flags[:]
    for source in result.sources:
        first, stop = max(source.start_ns, start_ns), min(source.end_ns, end_ns)
        if first < stop:
            narrowed = message.sources.add()
            narrowed.CopyFrom(_source(source))
            narrowed.start.CopyFrom(timestamp(first))
            narrowed.end.CopyFrom(timestamp(stop))
    message.missing.extend(
        _missing(missing)
        for missing in result.missing
        if start_ns <= missing.start_ns < end_ns
    )
    message.quality_flags.extend(
        _flag(flag)
        for flag in result.flags
        if (last if flag.time_ns is None else start_ns <= flag.time_ns < end_ns)
    )
    if not last:
        del message.attempts[:]


def _response(
    result: BarResult,
    rows: slice,
    layout: ingestion_service_pb2.Layout.ValueType,
    request_id: str,
) -> ingestion_service_pb2.FetchResponse:
    series = bar_pb2.BarSeries(
        symbol=result.instrument.symbol,
        interval=INTERVAL_CODES[result.interval],
        adjustment=ADJUSTMENT_CODES[result.adjustment],
        currency=result.currency,
        volume_unit=result.volume_unit,
        time_zone=result.zone,
        exchange=result.instrument.exchange,
    )
    bars, states = result.series.take(rows), result.states[rows]
    if layout == ingestion_service_pb2.LAYOUT_COLUMNS:
        series.columns.CopyFrom(_columns(bars, states))
    else:
        series.bars.extend(_rows(bars, states))
    return ingestion_service_pb2.FetchResponse(
        series=series,
        completeness=COMPLETENESS_CODES[result.completeness],
        missing=map(_missing, result.missing),
        sources=map(_source, result.sources),
        attempts=map(_attempt, result.attempts),
        quality_flags=map(_flag, result.flags),
        request_id=request_id,
    )


def _rows(
    series: BarSeries, states: np.typing.NDArray[np.uint8]
) -> Iterator[bar_pb2.Bar]:
    codes = {int(state): code for state, code in STATE_CODES.items()}
    volume = (
        series.volume if series.volume is not None else np.full(len(series), np.nan)
    )
    for time_ns, *values, state in zip(
        series.open_time_ns.tolist(),
        series.open.tolist(),
        series.high.tolist(),
        series.low.tolist(),
        series.close.tolist(),
        volume.tolist(),
        states.tolist(),
        strict=True,
    ):
        first, high, low, close, traded = (
            None if math.isnan(value) else value for value in values
        )
        yield bar_pb2.Bar(
            open_time=timestamp(time_ns),
            open=first,
            high=high,
            low=low,
            close=close,
            volume=traded,
            state=codes[state],
        )


def _columns(
    series: BarSeries, states: np.typing.NDArray[np.uint8]
) -> bar_pb2.BarColumns:
    codes = np.zeros(max(BarState) + 1, np.int64)
    for state, code in STATE_CODES.items():
        codes[state] = code
    return bar_pb2.BarColumns(
        open_time_ns=series.open_time_ns,
        open=_column(series.open),
        high=_column(series.high),
        low=_column(series.low),
        close=_column(series.close),
        volume=_column(series.volume),
        state=codes[states].tolist(),
    )


def _column(values: Column | None) -> Column | list[float]:
    if values is None or np.isnan(values).all():
        return []
    return values


def _missing(missing: Missing) -> provenance_pb2.MissingInterval:
    return provenance_pb2.MissingInterval(
        start=timestamp(missing.start_ns),
        end=timestamp(missing.end_ns),
        reason=missing.reason,
    )


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


def _attempt(attempt: Attempt) -> provenance_pb2.Attempt:
    return provenance_pb2.Attempt(
        provider=attempt.provider,
        outcome=OUTCOME_CODES[attempt.outcome],
        reason=attempt.reason,
        latency=duration(attempt.latency_seconds),
        cost_usd=float(attempt.cost_usd),
        calls=attempt.calls,
    )


def _flag(flag: QualityFlag) -> provenance_pb2.QualityFlag:
    return provenance_pb2.QualityFlag(
        kind=FLAG_CODES[flag.kind],
        time=None if flag.time_ns is None else timestamp(flag.time_ns),
        detail=flag.detail,
    )
