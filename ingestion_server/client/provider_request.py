"""What users ask about vendors, as the messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence

from marketdata.ingestion.v1 import provider_service_pb2

from ingestion_server.client.errors import InvalidOptionError
from ingestion_server.client.request import Query, fetch_request, length, several


def watch_providers_request(
    providers: str | Sequence[str], min_interval_seconds: float
) -> provider_service_pb2.WatchProvidersRequest:
    """Ask to be told of changes."""
    return provider_service_pb2.WatchProvidersRequest(
        providers=several(providers),
        min_interval=length(min_interval_seconds, "min_interval_seconds"),
    )


def update_request(
    name: str, *, enabled: bool | None, priority: int | None
) -> provider_service_pb2.UpdateProviderRequest:
    """Ask to change a vendor."""
    try:
        return provider_service_pb2.UpdateProviderRequest(
            name=name, enabled=enabled, priority=priority
        )
    except ValueError:
        raise InvalidOptionError(
            f"priority {priority} is no number from 0 to 1,000"
        ) from None


def explain_request(
    symbol: str, query: Query
) -> provider_service_pb2.ExplainRouteRequest:
    """Ask how a question would be answered."""
    return provider_service_pb2.ExplainRouteRequest(
        request=fetch_request(symbol, query)
    )
