"""Reports, from the house to the wire."""

from __future__ import annotations

from collections.abc import Sequence

from marketdata.ingestion.v1 import report_service_pb2

from ingestion_server.ports.reporting import LatencyQuantiles, ServiceLevel, SlaReport
from ingestion_server.service.moments import duration, timestamp


def report_of(
    report: SlaReport, order: Sequence[str]
) -> report_service_pb2.GetSlaReportResponse:
    """Return a report; vendors that have no place in the order come last."""
    names = sorted(
        report.providers,
        key=lambda name: (order.index(name) if name in order else len(order), name),
    )
    return report_service_pb2.GetSlaReportResponse(
        start=timestamp(report.start_ns),
        end=timestamp(report.end_ns),
        overall=_level(report.overall),
        rpcs=[
            report_service_pb2.RpcServiceLevel(rpc=rpc, level=_level(level))
            for rpc, level in report.rpcs.items()
        ],
        providers=[
            report_service_pb2.ProviderServiceLevel(
                provider=name, level=_level(report.providers[name])
            )
            for name in names
        ],
        downtimes=[
            report_service_pb2.Downtime(
                start=timestamp(each.start_ns), end=timestamp(each.end_ns)
            )
            for each in report.downtimes
        ],
        incomplete_reason=report.incomplete_reason,
    )


def _level(level: ServiceLevel) -> report_service_pb2.ServiceLevel:
    return report_service_pb2.ServiceLevel(
        calls=level.calls,
        answered=level.answered,
        caller_faults=level.caller_faults,
        failures=level.failures,
        success_ratio=level.success_ratio,
        market_hours_availability=level.market_hours_availability,
        latency=None if level.latency is None else _latency(level.latency),
        objective=level.objective,
        error_budget_left=level.error_budget_left,
    )


def _latency(latency: LatencyQuantiles) -> report_service_pb2.LatencyQuantiles:
    return report_service_pb2.LatencyQuantiles(
        p50=duration(latency.p50),
        p95=duration(latency.p95),
        p99=duration(latency.p99),
        max=duration(latency.longest),
    )
