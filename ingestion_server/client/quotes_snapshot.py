"""The latest quotes as users hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.client import provenance, wire
from ingestion_server.client.errors import IngestionClientError
from ingestion_server.client.provenance import Attempt
from ingestion_server.client.status import symbol_failure
from ingestion_server.client.stream_items import Quote, Trade, quote_from, trade_from


@dataclass(frozen=True, slots=True)
class QuoteSnapshot:
    """Tell the latest of one instrument, or why nothing is known."""

    symbol: str
    """The symbol as the request spelled it."""
    trade: Trade | None
    """The last trade; None if the vendor gives none."""
    quote: Quote | None
    """The best bid and ask; None if the vendor gives none."""
    provider: str
    """Id of the vendor; empty if there is an error."""
    live: bool
    """Whether it comes from the live stream; else a vendor was asked."""
    received_at: datetime | None
    """When it reached the server; None if there is an error."""
    age: timedelta | None
    """How long ago the later of quote and trade was; None if there is an error."""
    feed_delay: timedelta | None
    """How late the vendor's data are by its own word; None if it does not say."""
    currency: str
    """The unit of the prices; empty if the vendor does not say."""
    previous_close: float | None
    """The last price of the session before; None if the vendor does not say."""
    attempts: tuple[Attempt, ...]
    """What was tried, in order; a call for several symbols stands in each of them."""
    error: IngestionClientError | None
    """Why there is neither quote nor trade; None if there is one."""

    @property
    def change(self) -> float | None:
        """How far the last price is above the close before, as a share of that."""
        if self.trade is None or not self.previous_close:
            return None
        return self.trade.price / self.previous_close - 1

    def result(self) -> QuoteSnapshot:
        """Return itself, or raise the error."""
        if self.error is not None:
            raise self.error
        return self


@dataclass(frozen=True, slots=True)
class QuoteSnapshots:
    """Hold an answer: one entry for each symbol, in the order of the request."""

    quotes: tuple[QuoteSnapshot, ...]
    """The entries."""
    request_id: str
    """Id of the request, as in the server's log."""
    _answer: ingestion_service_pb2.GetQuotesResponse = field(repr=False, compare=False)
    """The same on the wire."""

    def __iter__(self) -> Iterator[QuoteSnapshot]:
        return iter(self.quotes)

    def __len__(self) -> int:
        return len(self.quotes)

    def __getitem__(self, symbol: str) -> QuoteSnapshot:
        """Return the entry of a symbol, as the request spelled it."""
        for each in self.quotes:
            if each.symbol == symbol:
                return each
        raise KeyError(symbol)

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the GetQuotesResponse in protobuf's JSON; indent None = one line."""
        return wire.json(self._answer, indent)


def quotes_from(answer: ingestion_service_pb2.GetQuotesResponse) -> QuoteSnapshots:
    """Read the latest quotes."""
    return QuoteSnapshots(
        quotes=tuple(map(_snapshot, answer.results)),
        request_id=answer.request_id,
        _answer=answer,
    )


def _snapshot(told: ingestion_service_pb2.QuoteResult) -> QuoteSnapshot:
    return QuoteSnapshot(
        symbol=told.symbol,
        trade=trade_from(told.trade) if told.HasField("trade") else None,
        quote=quote_from(told.quote) if told.HasField("quote") else None,
        provider=told.provider,
        live=told.live,
        received_at=wire.maybe_moment(told, "received_at"),
        age=wire.maybe_span(told, "age"),
        feed_delay=wire.maybe_span(told, "feed_delay"),
        currency=told.currency,
        previous_close=(
            told.previous_close if told.HasField("previous_close") else None
        ),
        attempts=provenance.attempts(told),
        error=symbol_failure(told.failure) if told.HasField("failure") else None,
    )
