"""Requests about budgets, from the wire; every wrong field is named."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from marketdata.ingestion.v1 import quota_service_pb2

from ingestion_server.domain.errors import Violation
from ingestion_server.ports.quota import Lane, Planned
from ingestion_server.service.decoding import moment, word
from ingestion_server.service.vendor_decoding import Vendors, refuse
from ingestion_server.service.vocabulary import LANES

_MOST_PLANNED: Final = 20
_MOST_CALLS: Final = 100_000
_LAST_SECOND: Final = 253_402_300_799
"""What protobuf says a Timestamp may hold: the end of the year 9999."""


def list_of(
    request: quota_service_pb2.ListQuotasRequest, vendors: Vendors
) -> Collection[str]:
    """
    Return the vendors that a request is about.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    wanted = vendors.chosen(request.providers, wrong)
    refuse(wrong)
    return wanted


def forecast_request_of(
    request: quota_service_pb2.ForecastQuotaRequest, vendors: Vendors
) -> tuple[Collection[str], Sequence[Planned]]:
    """
    Return the vendors that a request is about, and what calls it plans.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    wanted = vendors.chosen(request.providers, wrong)
    if len(request.planned) > _MOST_PLANNED:
        told = f"has {len(request.planned)} entries; one call takes {_MOST_PLANNED}"
        wrong.append(Violation("planned", told))
    planned = [
        _planned(entry, f"planned[{place}]", vendors, wrong)
        for place, entry in enumerate(request.planned[:_MOST_PLANNED])
    ]
    refuse(wrong)
    return wanted, planned


def _planned(
    entry: quota_service_pb2.PlannedCalls,
    field: str,
    vendors: Vendors,
    wrong: list[Violation],
) -> Planned:
    vendors.check(entry.provider, f"{field}.provider", wrong)
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
