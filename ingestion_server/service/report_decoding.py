"""Requests for reports, from the wire; every wrong field is named."""

from __future__ import annotations

import math
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import report_service_pb2

from ingestion_server.domain.errors import Violation
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.reporting import ReportQuery
from ingestion_server.service.decoding import moment
from ingestion_server.service.vendor_decoding import Vendors, refuse

_USUAL_NS: Final = 24 * 3_600 * SECOND_NS
_LAST_SECOND: Final = 253_402_300_799
"""What protobuf says a Timestamp may hold: the end of the year 9999."""


def report_query_of(
    request: report_service_pb2.GetSlaReportRequest, vendors: Vendors, now_ns: int
) -> ReportQuery:
    """
    Return the stretch of time, and the vendors, that a request is about.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    end_ns = now_ns
    if request.HasField("end"):
        end_ns = _moment(request.end, "end", wrong)
    start_ns = max(end_ns - _USUAL_NS, 0)
    if request.HasField("start"):
        start_ns = _moment(request.start, "start", wrong)
    if not wrong and start_ns >= now_ns:
        wrong.append(Violation("start", "is not before now"))
    elif not wrong and start_ns >= end_ns:
        wrong.append(Violation("end", "is not after the start"))
    vendors.chosen(request.providers, wrong)
    objective = request.objective
    if not (math.isfinite(objective) and 0 <= objective < 1):
        told = f"{objective:g} is not above 0 and below 1"
        wrong.append(Violation("objective", told))
    refuse(wrong)
    return ReportQuery(
        start_ns=start_ns,
        end_ns=end_ns,
        providers=tuple(dict.fromkeys(request.providers)),
        objective=objective or None,
    )


def _moment(stamp: Timestamp, field: str, wrong: list[Violation]) -> int:
    if not 0 <= stamp.seconds <= _LAST_SECOND:
        wrong.append(Violation(field, "is not from 1970 to 9999"))
        return 0
    return moment(stamp, field, wrong) or 0
