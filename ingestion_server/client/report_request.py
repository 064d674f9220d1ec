"""What users ask for in a report, as the messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence

from marketdata.ingestion.v1 import report_service_pb2

from ingestion_server.client.errors import InvalidOptionError
from ingestion_server.client.request import When, moment, several


def sla_request(
    start: When | None,
    end: When | None,
    providers: str | Sequence[str],
    objective: float | None,
) -> report_service_pb2.GetSlaReportRequest:
    """Ask how well callers and vendors were served."""
    if objective is not None and not 0 < objective < 1:
        raise InvalidOptionError(
            f"objective {objective:g} is no share above 0 and below 1, such as 0.999"
        )
    return report_service_pb2.GetSlaReportRequest(
        start=None if start is None else moment(start, "start"),
        end=None if end is None else moment(end, "end"),
        providers=several(providers),
        objective=objective or 0.0,
    )
