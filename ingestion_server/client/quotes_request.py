"""What users ask of the latest quotes, as the message of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.client import vocabulary
from ingestion_server.client.errors import InvalidOptionError
from ingestion_server.client.request import several, usual_mode
from ingestion_server.client.vocabulary import number


class QuotesOptions(TypedDict, total=False):
    """Everything that can be said about the quotes one wants, besides the symbols."""

    asset_class: str | None
    """equity, fx, crypto, index or future; None = told by the symbol."""
    exchange: str
    """Market identifier code, for example XLON; empty = the primary one."""
    providers: str | Sequence[str]
    """The vendors that may answer; empty = any."""
    mode: str | None
    """any, ordered or pinned; None = any, pinned for one provider, else ordered."""
    max_cost_usd: float | None
    """Most that the calls may cost together, in US dollars; None = no limit."""
    priority: str | None
    """interactive or batch; None = interactive."""


def quotes_request(  # noqa: PLR0913 - these are the fields of the contract
    symbols: Sequence[str | Sequence[str]],
    *,
    asset_class: str | None = None,
    exchange: str = "",
    providers: str | Sequence[str] = (),
    mode: str | None = None,
    max_cost_usd: float | None = None,
    priority: str | None = None,
) -> ingestion_service_pb2.GetQuotesRequest:
    """
    Ask for the latest quotes of some instruments.

    Raises:
        InvalidOptionError: an option does not exist, or no symbol is named.

    """
    names = [name for each in symbols for name in several(each)]
    if not names:
        raise InvalidOptionError("quotes need symbols that they are about")
    named = several(providers)
    request = ingestion_service_pb2.GetQuotesRequest(symbols=names, exchange=exchange)
    policy = request.source_policy
    policy.providers.extend(named)
    policy.mode = number(vocabulary.MODES, mode or usual_mode(len(named)), "mode")
    if max_cost_usd is not None:
        policy.max_cost_usd = max_cost_usd
    if asset_class is not None:
        request.asset_class = number(
            vocabulary.ASSET_CLASSES, asset_class, "asset_class"
        )
    if priority is not None:
        request.priority = number(vocabulary.PRIORITIES, priority, "priority")
    return request
