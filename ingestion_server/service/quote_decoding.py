"""Requests for quotes, from the wire; every wrong field is named."""

from __future__ import annotations

from typing import Final

from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.domain.instrument import AssetClass, instrument
from ingestion_server.domain.query import Priority, SourceMode
from ingestion_server.ports.live import Asked, QuotesQuery
from ingestion_server.service.decoding import policy_of, word
from ingestion_server.service.vocabulary import ASSET_CLASSES, PRIORITIES

MOST_QUOTES: Final = 500


def quotes_of(request: ingestion_service_pb2.GetQuotesRequest) -> QuotesQuery:
    """
    Return what a request asks for; a symbol that cannot be read is that one's failure.

    Raises:
        InvalidQueryError: Names every field that is wrong and applies to every symbol.

    """
    wrong: list[Violation] = []
    symbols = list(dict.fromkeys(request.symbols))
    if not symbols:
        wrong.append(Violation("symbols", "names no symbol"))
    if len(symbols) > MOST_QUOTES:
        told = f"names {len(symbols)} symbols; one call takes {MOST_QUOTES}"
        wrong.append(Violation("symbols", told))
    kind = word(ASSET_CLASSES, request.asset_class, "asset_class", wrong)
    policy = policy_of(request.source_policy, wrong)
    if policy.mode is SourceMode.CONSENSUS:
        told = "MODE_CONSENSUS is for bars; quotes differ from moment to moment"
        wrong.append(Violation("source_policy.mode", told))
    priority = word(PRIORITIES, request.priority, "priority", wrong)
    if wrong:
        raise InvalidQueryError(wrong)
    return QuotesQuery(
        asked=tuple(_asked(symbol, kind, request.exchange) for symbol in symbols),
        policy=policy,
        priority=priority or Priority.INTERACTIVE,
    )


def _asked(symbol: str, kind: AssetClass | None, exchange: str) -> Asked:
    try:
        return Asked(symbol, instrument(symbol, asset_class=kind, exchange=exchange))
    except InvalidQueryError as error:
        return Asked(symbol, error)
