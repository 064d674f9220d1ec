"""Requests for live data, from the wire; every wrong field is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration
from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.domain.query import SourceMode
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ports.live import Asked, SlowPolicy, StreamQuery
from ingestion_server.service.decoding import moment, policy_of, word
from ingestion_server.service.vocabulary import (
    ASSET_CLASSES,
    HOURS,
    INTERVALS,
    SLOW_POLICIES,
    TICK_KINDS,
)

MOST_STREAM_SYMBOLS: Final = 1_000
_USUAL_BATCH_SECONDS: Final = 0.005
_MOST_BATCH_SECONDS: Final = 1.0
_USUAL_HEARTBEAT_SECONDS: Final = 5.0
_LEAST_HEARTBEAT_SECONDS: Final = 0.1
_MOST_HEARTBEAT_SECONDS: Final = 60.0
_LONGEST_TOKEN: Final = 64
_Request = ingestion_service_pb2.StreamQuotesRequest


def stream_of(request: _Request, *, now_ns: int) -> StreamQuery:
    """
    Return what a request wants to hear of.

    A symbol that cannot be read is told of in the stream, unless none can be.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    kinds = _kinds(request, wrong)
    policy = policy_of(request.source_policy, wrong)
    if policy.mode is SourceMode.CONSENSUS:
        told = "MODE_CONSENSUS is for bars that Fetch has; live data have one vendor"
        wrong.append(Violation("source_policy.mode", told))
    if len(request.resume_token) > _LONGEST_TOKEN:
        told = f"has {len(request.resume_token)} bytes; no token of ours is so long"
        wrong.append(Violation("resume_token", told))
    # First, so that a wrong kind is told once and not for each symbol.
    asset_class = word(ASSET_CLASSES, request.asset_class, "asset_class", wrong)
    asked = _asked(request, asset_class, wrong)
    slow = word(SLOW_POLICIES, request.slow_consumer, "slow_consumer", wrong)
    query = StreamQuery(
        asked=asked,
        kinds=kinds,
        interval=_interval(request, wrong),
        hours=_hours(request, wrong),
        start_ns=_start(request, kinds, now_ns, wrong),
        policy=policy,
        slow=slow or SlowPolicy.CONFLATE,
        batch_seconds=_batch(request, wrong),
        heartbeat_seconds=_heartbeat(request, wrong),
        resume_token=request.resume_token,
    )
    if wrong:
        raise InvalidQueryError(wrong)
    return query


def _asked(
    request: _Request, asset_class: AssetClass | None, wrong: list[Violation]
) -> tuple[Asked, ...]:
    spelled = list(dict.fromkeys(request.symbols))
    if not spelled:
        wrong.append(Violation("symbols", "names no symbol"))
    if len(spelled) > MOST_STREAM_SYMBOLS:
        told = f"names {len(spelled)} symbols; one stream takes {MOST_STREAM_SYMBOLS}"
        wrong.append(Violation("symbols", told))
        return ()
    asked = [
        Asked(symbol, _meant(symbol, asset_class, request.exchange))
        for symbol in spelled
    ]
    if not any(isinstance(one.instrument, Instrument) for one in asked):
        wrong.extend(_faults(asked))
    # "aapl" and "AAPL" are served once.
    once = {
        one.instrument if isinstance(one.instrument, Instrument) else one.symbol: one
        for one in reversed(asked)
    }
    return tuple(reversed(once.values()))


def _meant(
    symbol: str, asset_class: AssetClass | None, exchange: str
) -> Instrument | InvalidQueryError:
    try:
        return instrument(symbol, asset_class=asset_class, exchange=exchange)
    except InvalidQueryError as error:
        return error


def _faults(asked: Sequence[Asked]) -> Sequence[Violation]:
    """Return what is wrong with each symbol, and once what is wrong for all."""
    faults: dict[Violation, None] = {}
    for place, one in enumerate(asked):
        if isinstance(one.instrument, InvalidQueryError):
            for fault in one.instrument.violations:
                field = f"symbols[{place}]" if fault.field == "symbol" else fault.field
                faults[Violation(field, fault.description)] = None
    return list(faults)


def _kinds(request: _Request, wrong: list[Violation]) -> frozenset[TickKind]:
    named = [
        word(TICK_KINDS, code, f"kinds[{place}]", wrong)
        for place, code in enumerate(dict.fromkeys(request.kinds))
    ]
    return frozenset(kind for kind in named if kind) or frozenset({TickKind.TRADES})


def _interval(request: _Request, wrong: list[Violation]) -> Interval:
    if not request.interval:
        return Interval.MINUTE_1
    interval = word(INTERVALS, request.interval, "interval", wrong)
    if interval is not None and not interval.intraday:
        told = f"{interval} is longer than the 1h of live bars; Fetch has such bars"
        wrong.append(Violation("interval", told))
    return interval or Interval.MINUTE_1


def _hours(request: _Request, wrong: list[Violation]) -> TradingHours:
    if not request.session:
        return TradingHours.EXTENDED
    return word(HOURS, request.session, "session", wrong) or TradingHours.EXTENDED


def _start(
    request: _Request,
    kinds: frozenset[TickKind],
    now_ns: int,
    wrong: list[Violation],
) -> int | None:
    if not request.HasField("start"):
        return None
    if TickKind.BARS not in kinds:
        told = "is only for bars: add TICK_KIND_BARS to kinds, or leave it out"
        wrong.append(Violation("start", told))
    start_ns = moment(request.start, "start", wrong)
    if start_ns is not None and start_ns > now_ns:
        wrong.append(Violation("start", "is in the future"))
    return start_ns


def _batch(request: _Request, wrong: list[Violation]) -> float:
    if not request.HasField("max_batch_delay"):
        return _USUAL_BATCH_SECONDS
    seconds = _seconds(request.max_batch_delay)
    if not 0 <= seconds <= _MOST_BATCH_SECONDS:
        told = f"{seconds:g} s is not from 0 to {_MOST_BATCH_SECONDS:g} s"
        wrong.append(Violation("max_batch_delay", told))
    return seconds


def _heartbeat(request: _Request, wrong: list[Violation]) -> float:
    if not request.HasField("heartbeat_interval"):
        return _USUAL_HEARTBEAT_SECONDS
    seconds = _seconds(request.heartbeat_interval)
    if not _LEAST_HEARTBEAT_SECONDS <= seconds <= _MOST_HEARTBEAT_SECONDS:
        told = (
            f"{seconds:g} s is not from {_LEAST_HEARTBEAT_SECONDS:g} s to "
            f"{_MOST_HEARTBEAT_SECONDS:g} s"
        )
        wrong.append(Violation("heartbeat_interval", told))
    return seconds


def _seconds(length: Duration) -> float:
    return length.seconds + length.nanos / SECOND_NS
