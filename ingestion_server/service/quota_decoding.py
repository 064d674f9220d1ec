"""Requests about budgets, from the wire; every wrong field is named."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration
from marketdata.ingestion.v1 import quota_service_pb2

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.quota import Lane, Planned
from ingestion_server.service.decoding import moment, word
from ingestion_server.service.vocabulary import LANES

_MOST_PLANNED: Final = 20
_MOST_CALLS: Final = 100_000
_USUAL_INTERVAL_SECONDS: Final = 1.0
_SHORTEST_INTERVAL_SECONDS: Final = 0.05
_LONGEST_INTERVAL_SECONDS: Final = 3_600.0
_LONGEST_DURATION_SECONDS: Final = 315_576_000_000
"""What protobuf says a Duration may hold: 10,000 years."""
_LAST_SECOND: Final = 253_402_300_799
"""What protobuf says a Timestamp may hold: the end of the year 9999."""


def list_of(
    request: quota_service_pb2.ListQuotasRequest, known: Collection[str]
) -> Collection[str]:
    """
    Return the vendors that a request is about.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    wanted = _providers(request.providers, known, wrong)
    _refuse(wrong)
    return wanted


def watch_of(
    request: quota_service_pb2.WatchQuotasRequest, known: Collection[str]
) -> tuple[Collection[str], float]:
    """
    Return the vendors that a request is about, and the seconds between two messages.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    wanted = _providers(request.providers, known, wrong)
    interval_seconds = _USUAL_INTERVAL_SECONDS
    if request.HasField("min_interval"):
        interval_seconds = _interval(request.min_interval, wrong)
    _refuse(wrong)
    return wanted, interval_seconds


def forecast_request_of(
    request: quota_service_pb2.ForecastQuotaRequest, known: Collection[str]
) -> tuple[Collection[str], Sequence[Planned]]:
    """
    Return the vendors that a request is about, and what calls it plans.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    wanted = _providers(request.providers, known, wrong)
    if len(request.planned) > _MOST_PLANNED:
        told = f"has {len(request.planned)} entries; one call takes {_MOST_PLANNED}"
        wrong.append(Violation("planned", told))
    planned = [
        _planned(entry, f"planned[{place}]", known, wrong)
        for place, entry in enumerate(request.planned[:_MOST_PLANNED])
    ]
    _refuse(wrong)
    return wanted, planned


def _refuse(wrong: Sequence[Violation]) -> None:
    if wrong:
        raise InvalidQueryError(wrong)


def _providers(
    named: Sequence[str], known: Collection[str], wrong: list[Violation]
) -> Collection[str]:
    wrong.extend(
        Violation("providers", _unknown(provider, known))
        for provider in dict.fromkeys(named)
        if provider not in known
    )
    return set(named) or known


def _unknown(provider: str, known: Collection[str]) -> str:
    return (
        f"{provider!r} is not known or switched off; there are: "
        f"{', '.join(known) or 'none'}"
    )


def _interval(interval: Duration, wrong: list[Violation]) -> float:
    if interval.seconds < 0 or interval.nanos < 0:
        wrong.append(Violation("min_interval", "must not be negative"))
    elif interval.seconds > _LONGEST_DURATION_SECONDS or interval.nanos >= SECOND_NS:
        wrong.append(Violation("min_interval", "is no valid Duration"))
    return min(
        max(interval.seconds + interval.nanos / SECOND_NS, _SHORTEST_INTERVAL_SECONDS),
        _LONGEST_INTERVAL_SECONDS,
    )


def _planned(
    entry: quota_service_pb2.PlannedCalls,
    field: str,
    known: Collection[str],
    wrong: list[Violation],
) -> Planned:
    if not entry.provider:
        wrong.append(Violation(f"{field}.provider", "names no vendor"))
    elif entry.provider not in known:
        wrong.append(Violation(f"{field}.provider", _unknown(entry.provider, known)))
    if not 1 <= entry.calls <= _MOST_CALLS:
        told = f"{entry.calls} is not from 1 to {_MOST_CALLS}"
        wrong.append(Violation(f"{field}.calls", told))
    return Planned(
        provider=entry.provider,
        endpoint=entry.endpoint,
        calls=entry.calls,
        lane=word(LANES, entry.priority, f"{field}.priority", wrong) or Lane.BATCH,
        finish_by_ns=_finish_by(entry, f"{field}.finish_by", wrong),
    )


def _finish_by(
    entry: quota_service_pb2.PlannedCalls, field: str, wrong: list[Violation]
) -> int | None:
    if not entry.HasField("finish_by"):
        return None
    if not 0 <= entry.finish_by.seconds <= _LAST_SECOND:
        wrong.append(Violation(field, "is not from 1970 to 9999"))
        return None
    return moment(entry.finish_by, field, wrong)
