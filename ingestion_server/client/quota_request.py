"""What users ask about quotas, as the messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marketdata.ingestion.v1 import quota_service_pb2

from ingestion_server.client import vocabulary
from ingestion_server.client.errors import InvalidOptionError
from ingestion_server.client.request import When, length, moment, several
from ingestion_server.client.vocabulary import number


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCalls:
    """Plan a number of calls of one vendor, to hear whether they would fit."""

    provider: str
    """Id of the vendor, for example ``alpha_vantage``."""
    calls: int
    """How many, from 1 to 100,000."""
    endpoint: str = ""
    """What is asked for, which decides how much each weighs; empty = the usual."""
    priority: str = "batch"
    """interactive or batch."""
    finish_by: When | None = None
    """When they must be done; None = whenever."""


def list_request(
    providers: str | Sequence[str],
) -> quota_service_pb2.ListQuotasRequest:
    """Ask for the windows of vendors."""
    return quota_service_pb2.ListQuotasRequest(providers=several(providers))


def watch_request(
    providers: str | Sequence[str], min_interval_seconds: float
) -> quota_service_pb2.WatchQuotasRequest:
    """Ask to be told of changes."""
    return quota_service_pb2.WatchQuotasRequest(
        providers=several(providers),
        min_interval=length(min_interval_seconds, "min_interval_seconds"),
    )


def forecast_request(
    planned: Sequence[PlannedCalls], providers: str | Sequence[str]
) -> quota_service_pb2.ForecastQuotaRequest:
    """Ask what is to come."""
    return quota_service_pb2.ForecastQuotaRequest(
        providers=several(providers), planned=map(_planned, planned)
    )


def _planned(plan: PlannedCalls) -> quota_service_pb2.PlannedCalls:
    try:
        message = quota_service_pb2.PlannedCalls(calls=plan.calls)
    except ValueError:
        raise InvalidOptionError(
            f"calls {plan.calls} is no number from 1 to 100,000"
        ) from None
    message.provider = plan.provider
    message.endpoint = plan.endpoint
    message.priority = number(vocabulary.PRIORITIES, plan.priority, "priority")
    if plan.finish_by is not None:
        message.finish_by.CopyFrom(moment(plan.finish_by, "finish_by"))
    return message
