"""Requests, from the wire to what the house understands; every wrong field is named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import ingestion_service_pb2, source_policy_pb2

from ingestion_server.domain.adjustment import Adjustment, TradingHours
from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.instrument import Instrument, instrument
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.domain.query import (
    AGREEMENT,
    BarQuery,
    Priority,
    SourceMode,
    SourcePolicy,
)
from ingestion_server.service.moments import nanoseconds
from ingestion_server.service.vocabulary import (
    ADJUSTMENTS,
    ASSET_CLASSES,
    HOURS,
    INTERVALS,
    MODES,
    PRIORITIES,
)

MOST_BATCH_SYMBOLS = 1_000
_MOST_PROVIDERS = 32
_LAYOUTS = {
    ingestion_service_pb2.LAYOUT_UNSPECIFIED,
    ingestion_service_pb2.LAYOUT_ROWS,
    ingestion_service_pb2.LAYOUT_COLUMNS,
}
_Request = ingestion_service_pb2.FetchRequest | ingestion_service_pb2.FetchBatchRequest
_Code = TypeVar("_Code")
_Word = TypeVar("_Word")
_Message = TypeVar("_Message", bound=Message)


def request_of(kind: type[_Message], question: bytes) -> _Message:
    """
    Return the request that some bytes are.

    Raises:
        InvalidQueryError: They are none.

    """
    request = kind()
    try:
        request.ParseFromString(question)
    except DecodeError as error:
        wrong = Violation("request", f"is no {kind.DESCRIPTOR.name} of this contract")
        raise InvalidQueryError([wrong]) from error
    return request


def query_of(request: ingestion_service_pb2.FetchRequest) -> BarQuery:
    """
    Return the query that a request means.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    found = _instrument(request.symbol, request, wrong)
    query = _query(request, found, wrong, Priority.INTERACTIVE)
    if wrong:
        raise InvalidQueryError(wrong)
    return query


def batch_of(
    request: ingestion_service_pb2.FetchBatchRequest,
) -> tuple[Sequence[str], Sequence[BarQuery | InvalidQueryError]]:
    """
    Return the symbols as they were spelled, and for each its query or its fault.

    Raises:
        InvalidQueryError: A field is wrong that applies to every symbol.

    """
    symbols = list(dict.fromkeys(request.symbols))
    wrong: list[Violation] = []
    if not symbols:
        wrong.append(Violation("symbols", "names no symbol"))
    if len(symbols) > MOST_BATCH_SYMBOLS:
        wrong.append(
            Violation(
                "symbols",
                f"names {len(symbols)} symbols; one call takes {MOST_BATCH_SYMBOLS}",
            )
        )
    word(ASSET_CLASSES, request.asset_class, "asset_class", wrong)
    _query(request, None, wrong, Priority.BATCH)
    if wrong:
        raise InvalidQueryError(wrong)
    return symbols, [_batched(symbol, request) for symbol in symbols]


def _batched(
    symbol: str, request: ingestion_service_pb2.FetchBatchRequest
) -> BarQuery | InvalidQueryError:
    wrong: list[Violation] = []
    found = _instrument(symbol, request, wrong)
    query = _query(request, found, wrong, Priority.BATCH)
    return InvalidQueryError(wrong) if wrong else query


def _instrument(
    symbol: str, request: _Request, wrong: list[Violation]
) -> Instrument | None:
    kind = word(ASSET_CLASSES, request.asset_class, "asset_class", wrong)
    try:
        return instrument(symbol, asset_class=kind, exchange=request.exchange)
    except InvalidQueryError as error:
        wrong.extend(error.violations)
        return None


def _query(
    request: _Request,
    found: Instrument | None,
    wrong: list[Violation],
    default_priority: Priority,
) -> BarQuery:
    if request.limit < 0:
        wrong.append(Violation("limit", "must not be negative; 0 means the default"))
    if request.layout not in _LAYOUTS:
        wrong.append(Violation("layout", f"{request.layout} is not known"))
    return BarQuery(
        found or instrument("UNKNOWN"),
        word(INTERVALS, request.interval, "interval", wrong) or Interval.DAY_1,
        start_ns=_time(request, "start", wrong),
        end_ns=_time(request, "end", wrong),
        limit=request.limit,
        adjustment=(
            word(ADJUSTMENTS, request.adjustment, "adjustment", wrong)
            or Adjustment.SPLIT
        ),
        hours=word(HOURS, request.session, "session", wrong) or TradingHours.REGULAR,
        policy=policy_of(request.source_policy, wrong),
        priority=(
            word(PRIORITIES, request.priority, "priority", wrong) or default_priority
        ),
    )


def policy_of(
    policy: source_policy_pb2.SourcePolicy, wrong: list[Violation]
) -> SourcePolicy:
    """Return which vendors may answer."""
    mode = word(MODES, policy.mode, "source_policy.mode", wrong) or SourceMode.ANY
    if len(policy.providers) > _MOST_PROVIDERS:
        wrong.append(
            Violation("source_policy.providers", f"names more than {_MOST_PROVIDERS}")
        )
    allow_partial = policy.allow_partial if policy.HasField("allow_partial") else True
    return SourcePolicy(
        mode,
        tuple(policy.providers[:_MOST_PROVIDERS]),
        allow_partial,
        _most_cost(policy, wrong),
        _max_staleness(policy, wrong),
        _tolerance(policy, mode, wrong),
    )


def _max_staleness(
    policy: source_policy_pb2.SourcePolicy, wrong: list[Violation]
) -> float | None:
    if not policy.HasField("max_staleness"):
        return None
    stale = policy.max_staleness
    seconds = stale.seconds + stale.nanos / SECOND_NS
    if seconds < 0:
        wrong.append(
            Violation(
                "source_policy.max_staleness",
                f"{seconds:g} seconds are negative; leave it out to be served nothing "
                "stale",
            )
        )
        return None
    return seconds


def _tolerance(
    policy: source_policy_pb2.SourcePolicy, mode: SourceMode, wrong: list[Violation]
) -> float:
    if not policy.HasField("tolerance"):
        return AGREEMENT
    if mode is not SourceMode.CONSENSUS:
        wrong.append(
            Violation("source_policy.tolerance", "is only for mode MODE_CONSENSUS")
        )
    elif not 0 <= policy.tolerance < 1:
        wrong.append(
            Violation(
                "source_policy.tolerance",
                f"{policy.tolerance:g} is not from 0 to below 1; it is relative "
                "to the larger price",
            )
        )
    return policy.tolerance


def _most_cost(
    policy: source_policy_pb2.SourcePolicy, wrong: list[Violation]
) -> float | None:
    if not policy.HasField("max_cost_usd"):
        return None
    if not math.isfinite(policy.max_cost_usd) or policy.max_cost_usd < 0:
        wrong.append(
            Violation(
                "source_policy.max_cost_usd",
                f"{policy.max_cost_usd:g} is no amount of money; leave it out for no "
                "limit",
            )
        )
        return None
    return policy.max_cost_usd


def _time(request: _Request, field: str, wrong: list[Violation]) -> int | None:
    if not request.HasField(field):  # type: ignore[arg-type]  # either of two names
        return None
    return moment(getattr(request, field), field, wrong)


def moment(stamp: Timestamp, field: str, wrong: list[Violation]) -> int | None:
    """Return a point in time; None if it is none, which is a wrong field."""
    if not 0 <= stamp.nanos < SECOND_NS:
        wrong.append(Violation(field, "has nanos outside of [0, 999999999]"))
        return None
    return nanoseconds(stamp)


def word(
    words: Mapping[_Code, _Word | None], code: _Code, field: str, wrong: list[Violation]
) -> _Word | None:
    """Return what a value of an enum means; an unknown one is a wrong field."""
    if code in words:
        return words[code]
    wrong.append(Violation(field, f"{code} is not a value of this enum"))
    return None
