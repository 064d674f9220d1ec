"""What users ask about vendors, as the messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypedDict

from marketdata.ingestion.v1 import provider_service_pb2

from ingestion_server.client.errors import InvalidOptionError
from ingestion_server.client.request import Query, fetch_request, length, several

_OF_SOURCES: Final = (
    "providers",
    "mode",
    "tolerance",
    "allow_partial",
    "max_staleness_seconds",
    "max_cost_usd",
)
"""Options of a query that say who may answer it."""


class BenchmarkOptions(TypedDict, total=False):
    """Everything that can be said about a comparison, besides the symbols."""

    query: Query
    """What is asked of each symbol, without what says who may answer."""
    providers: str | Sequence[str]
    """The vendors that are asked; empty = all that are switched on."""
    rounds: int
    """How often each question is asked, from 1 to 10."""
    tolerance: float | None
    """
    How far apart two prices may be, relative to the larger, and still agree; None =
    0.000001.
    """


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


def benchmark_request(
    symbols: str | Sequence[str],
    *,
    query: Query | None = None,
    providers: str | Sequence[str] = (),
    rounds: int = 1,
    tolerance: float | None = None,
) -> provider_service_pb2.BenchmarkProvidersRequest:
    """Ask how vendors compare on the same questions."""
    options = Query() if query is None else query
    if wrong := [name for name in _OF_SOURCES if name in options]:
        raise InvalidOptionError(
            f"{wrong[0]} cannot be said of a question: each vendor is asked the same"
        )
    names = several(symbols)
    if options and not names:
        raise InvalidOptionError("a query needs symbols that it is about")
    questions = [fetch_request(name, options) for name in names]
    for question in questions:
        question.ClearField("source_policy")
    try:
        return provider_service_pb2.BenchmarkProvidersRequest(
            questions=questions,
            providers=several(providers),
            rounds=rounds,
            tolerance=tolerance,
        )
    except ValueError:
        raise InvalidOptionError(f"{rounds} is no number of rounds") from None
