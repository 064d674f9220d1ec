"""From the chunks of a batch to one item per symbol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from marketdata.ingestion.v1 import ingestion_service_pb2

from ingestion_server.client.bars import Bars, decoded
from ingestion_server.client.errors import IngestionClientError, UnexpectedStatusError
from ingestion_server.client.status import symbol_failure


@dataclass(frozen=True, slots=True)
class BatchItem:
    """Tell what became of one symbol: either its bars, or its error."""

    symbol: str
    """The symbol as the request spelled it."""
    bars: Bars | None
    """The bars; None if they could not be had."""
    error: IngestionClientError | None
    """Why there are no bars; None if there are."""

    def result(self) -> Bars:
        """Return the bars, or raise the error."""
        if self.bars is not None:
            return self.bars
        raise self.error or UnexpectedStatusError(f"nothing about {self.symbol}")


class Batch:
    """Collect chunks until a symbol is complete."""

    def __init__(self) -> None:
        self._chunks: dict[str, list[ingestion_service_pb2.FetchResponse]] = {}

    def add(
        self, response: ingestion_service_pb2.FetchBatchResponse
    ) -> BatchItem | None:
        """Take the next message; answer with the item that it completes."""
        symbol = response.symbol
        if response.HasField("failure"):
            self._chunks.pop(symbol, None)
            return BatchItem(symbol, None, symbol_failure(response.failure))
        self._chunks.setdefault(symbol, []).append(response.chunk)
        if not response.last:
            return None
        return BatchItem(symbol, decoded(self._chunks.pop(symbol)), None)

    def unfinished(self) -> Iterator[BatchItem]:
        """Tell which symbols the end of the stream cut off."""
        for symbol in self._chunks:
            error = UnexpectedStatusError(f"the stream ended within {symbol}")
            yield BatchItem(symbol, None, error)
