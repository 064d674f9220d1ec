"""Reports, with asyncio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import grpc
from marketdata.ingestion.v1 import report_service_pb2_grpc

from ingestion_server.client.report_request import sla_request
from ingestion_server.client.reports import SlaReport, sla_report_from
from ingestion_server.client.request import When
from ingestion_server.client.status import failures_of


class Reports:
    """
    Hear how well callers and vendors were served, over restarts.

        report = await client.reports.sla("2025-01-01", objective=0.999)
        print(report.overall.success_ratio, report.overall.error_budget_left)
    """

    def __init__(
        self,
        connected: Callable[[], grpc.aio.Channel],
        target: str,
        timeout_seconds: float,
    ) -> None:
        """Name the server, which is connected to when it is needed."""
        self._connected: Final = connected
        self._target: Final = target
        self._timeout: Final = timeout_seconds

    async def sla(
        self,
        start: When | None = None,
        end: When | None = None,
        *,
        providers: str | Sequence[str] = (),
        objective: float | None = None,
        timeout_seconds: float | None = None,
    ) -> SlaReport:
        """
        Tell success, availability and latency in ``[start, end)``; no vendor is asked.

        Args:
            start: None = 24 hours before the end.
            end: None = now.
            providers: ids of vendors; empty = all that were asked.
            objective: share of calls that should be answered; None = the server's.
            timeout_seconds: bounds the call, retries included; None = the client's.

        Raises:
            IngestionClientError: one subclass per reason, see `client.errors`.
            ValueError: an option is none of those that exist (InvalidOptionError).

        """
        request = sla_request(start, end, providers, objective)
        stub = report_service_pb2_grpc.ReportServiceStub(self._connected())
        with failures_of(self._target):
            answer = await stub.GetSlaReport(
                request, timeout=timeout_seconds or self._timeout
            )
        return sla_report_from(answer)
