"""Reports, without asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import grpc
from marketdata.ingestion.v1 import report_service_pb2_grpc

from ingestion_server.client.report_request import sla_request
from ingestion_server.client.reports import SlaReport, sla_report_from
from ingestion_server.client.request import When
from ingestion_server.client.status import failures_of


class SyncReports:
    """
    Hear how well callers and vendors were served; see `Reports`.

        client.reports.sla("2025-01-01").overall.success_ratio
    """

    def __init__(
        self, channel: grpc.Channel, target: str, timeout_seconds: float
    ) -> None:
        """Name the server, and the channel to it."""
        self._target: Final = target
        self._timeout: Final = timeout_seconds
        self._stub: Final = report_service_pb2_grpc.ReportServiceStub(channel)

    def sla(
        self,
        start: When | None = None,
        end: When | None = None,
        *,
        providers: str | Sequence[str] = (),
        objective: float | None = None,
        timeout_seconds: float | None = None,
    ) -> SlaReport:
        """Tell success, availability and latency; see `Reports.sla`."""
        request = sla_request(start, end, providers, objective)
        with failures_of(self._target):
            answer = self._stub.GetSlaReport(
                request, timeout=timeout_seconds or self._timeout
            )
        return sla_report_from(answer)
