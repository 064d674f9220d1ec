"""How well callers and vendors were served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from google.protobuf.message import Message
from marketdata.ingestion.v1 import report_service_pb2

from ingestion_server.client import wire
from ingestion_server.client.wire import moment, span


@dataclass(frozen=True, slots=True)
class Latency:
    """Tell how long answered calls took; each at most 5 % too long."""

    p50: timedelta
    """Half of the calls took no longer."""
    p95: timedelta
    """95 of 100 calls took no longer."""
    p99: timedelta
    """99 of 100 calls took no longer."""
    max: timedelta
    """The longest took so long."""


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """Tell how calls ended, and how long they took."""

    calls: int
    """All that ended, those that callers are to blame for included."""
    answered: int
    """Those that were answered."""
    caller_faults: int
    """Those that failed through the caller's fault: they are in no share below."""
    failures: Mapping[str, int]
    """Those that failed otherwise, by reason, the most frequent first."""
    success_ratio: float | None
    """Share of calls that were answered, from 0 to 1; None if there were none."""
    market_hours_availability: float | None
    """Share of good minutes while the US exchange was open; None if it was closed."""
    latency: Latency | None
    """How long answered calls took; None if there were none."""
    objective: float
    """Share of calls that should be answered."""
    error_budget_left: float | None
    """1 = all of it, 0 = none, below 0 = overspent; None if there were no calls."""


@dataclass(frozen=True, slots=True)
class Downtime:
    """Tell when no server ran."""

    start: datetime
    """When one was last known to run."""
    end: datetime
    """When one ran again, or the end of the report."""


@dataclass(frozen=True, slots=True)
class SlaReport:
    """Tell how well callers and vendors were served in a stretch of time."""

    start: datetime
    """Where it really begins: later than asked for if nothing older is kept."""
    end: datetime
    """Where it ends."""
    overall: ServiceLevel
    """All that callers asked."""
    rpcs: Mapping[str, ServiceLevel]
    """The same by RPC, such as ``IngestionService/Fetch``; most calls first."""
    providers: Mapping[str, ServiceLevel]
    """The calls of each vendor, in the order in which they are asked."""
    downtimes: tuple[Downtime, ...]
    """When no server ran, oldest first; the latest 100."""
    incomplete_reason: str
    """Why some of what was counted is not in it; empty if all is."""
    _answer: report_service_pb2.GetSlaReportResponse = field(repr=False, compare=False)
    """The same on the wire."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the GetSlaReportResponse in protobuf's JSON; indent None = a line."""
        return wire.json(self._answer, indent)


def sla_report_from(answer: report_service_pb2.GetSlaReportResponse) -> SlaReport:
    """Read a report."""
    return SlaReport(
        start=moment(answer.start),
        end=moment(answer.end),
        overall=_level(answer.overall),
        rpcs={each.rpc: _level(each.level) for each in answer.rpcs},
        providers={each.provider: _level(each.level) for each in answer.providers},
        downtimes=tuple(
            Downtime(moment(each.start), moment(each.end)) for each in answer.downtimes
        ),
        incomplete_reason=answer.incomplete_reason,
        _answer=answer,
    )


def _level(told: report_service_pb2.ServiceLevel) -> ServiceLevel:
    failures = sorted(told.failures.items(), key=lambda item: (-item[1], item[0]))
    return ServiceLevel(
        calls=told.calls,
        answered=told.answered,
        caller_faults=told.caller_faults,
        failures=dict(failures),
        success_ratio=_maybe(told, "success_ratio"),
        market_hours_availability=_maybe(told, "market_hours_availability"),
        latency=_latency(told.latency) if told.HasField("latency") else None,
        objective=told.objective,
        error_budget_left=_maybe(told, "error_budget_left"),
    )


def _latency(told: report_service_pb2.LatencyQuantiles) -> Latency:
    return Latency(span(told.p50), span(told.p95), span(told.p99), span(told.max))


def _maybe(message: Message, name: str) -> float | None:
    return getattr(message, name) if message.HasField(name) else None
