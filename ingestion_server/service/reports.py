"""ReportService: tell how well callers and vendors were served."""

from __future__ import annotations

from marketdata.ingestion.v1 import report_service_pb2, report_service_pb2_grpc
from typing_extensions import override

from ingestion_server.ports.clock import Clock
from ingestion_server.ports.reporting import Reporter
from ingestion_server.ports.routing import Directory
from ingestion_server.service.admission import Context, Door
from ingestion_server.service.report_decoding import report_query_of
from ingestion_server.service.report_encoding import report_of
from ingestion_server.service.vendor_decoding import Vendors


class ReportServicer(report_service_pb2_grpc.ReportServiceServicer):
    """Answer the RPCs of ReportService."""

    def __init__(
        self, reporter: Reporter, directory: Directory, door: Door, clock: Clock
    ) -> None:
        self._reporter = reporter
        self._directory = directory
        self._door = door
        self._clock = clock

    @override
    async def GetSlaReport(
        self, request: report_service_pb2.GetSlaReportRequest, context: Context
    ) -> report_service_pb2.GetSlaReportResponse:
        """Answer with what is known of a stretch of time."""
        async with self._door.call(context, "ReportService/GetSlaReport"):
            order = [each.name for each in self._directory.reports()]
            query = report_query_of(request, Vendors(order), self._clock.now_ns())
            return report_of(await self._reporter.report(query), order)
        raise AssertionError
