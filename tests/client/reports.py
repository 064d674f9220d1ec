"""Reports, as a fake service tells of them."""

from __future__ import annotations

from datetime import timedelta

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from marketdata.ingestion.v1 import report_service_pb2, report_service_pb2_grpc

from tests.client.telling import DAY, FIRST, Refusal, stamp


class FakeReports(report_service_pb2_grpc.ReportServiceServicer):
    """Answer as told."""

    def __init__(self) -> None:
        self.told: report_service_pb2.GetSlaReportResponse | Refusal = sla_report()
        self.requests: list[Message] = []

    def GetSlaReport(  # noqa: N802 - named by the contract
        self,
        request: report_service_pb2.GetSlaReportRequest,
        context: grpc.ServicerContext,
    ) -> report_service_pb2.GetSlaReportResponse:
        """Answer as told."""
        self.requests.append(request)
        if isinstance(self.told, Refusal):
            self.told.raise_in(context)
        return self.told


def sla_report() -> report_service_pb2.GetSlaReportResponse:
    """Return a report of a day with all there is."""
    return report_service_pb2.GetSlaReportResponse(
        start=stamp(FIRST),
        end=stamp(FIRST + DAY),
        overall=level(calls=1_234_600, caller_faults=100, ALL_PROVIDERS_FAILED=1_500),
        rpcs=[
            report_service_pb2.RpcServiceLevel(
                rpc="IngestionService/Fetch",
                level=level(
                    calls=1_234_598, caller_faults=99, ALL_PROVIDERS_FAILED=1_500
                ),
            ),
            report_service_pb2.RpcServiceLevel(
                rpc="ProviderService/BenchmarkProviders",
                level=report_service_pb2.ServiceLevel(
                    calls=2, caller_faults=2, objective=0.999
                ),
            ),
        ],
        providers=[
            report_service_pb2.ProviderServiceLevel(
                provider="alpha_vantage", level=level(calls=400)
            ),
            report_service_pb2.ProviderServiceLevel(
                provider="yahoo", level=level(calls=100, MALFORMED=1, TIMEOUT=50)
            ),
        ],
        downtimes=[
            report_service_pb2.Downtime(
                start=stamp(FIRST + timedelta(hours=each)),
                end=stamp(FIRST + timedelta(hours=each, seconds=90)),
            )
            for each in range(7)
        ],
        incomplete_reason="the disk is full",
    )


def level(
    *, calls: int, caller_faults: int = 0, **failures: int
) -> report_service_pb2.ServiceLevel:
    """Return how calls ended."""
    promised = calls - caller_faults
    failed = sum(failures.values())
    return report_service_pb2.ServiceLevel(
        calls=calls,
        answered=promised - failed,
        caller_faults=caller_faults,
        failures=failures,
        success_ratio=(promised - failed) / promised,
        market_hours_availability=0.9975,
        latency=report_service_pb2.LatencyQuantiles(
            p50=Duration(nanos=213_000),
            p95=Duration(nanos=123_400_000),
            p99=Duration(seconds=1, nanos=230_000_000),
            max=Duration(seconds=29),
        ),
        objective=0.999,
        error_budget_left=1 - failed / promised / 0.001,
    )
