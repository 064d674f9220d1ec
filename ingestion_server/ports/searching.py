"""What a vendor finds when somebody asks for a symbol that nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ingestion_server.domain.instrument import Instrument
from ingestion_server.ports.http import HttpRequest, HttpResponse


class Suggestion(msgspec.Struct, frozen=True):
    """Name an instrument that may have been meant."""

    symbol: str
    """In our spelling: it can stand where the unknown one stood, on its exchange."""
    name: str
    """Of the company or fund; empty if the vendor does not say."""


class SymbolSearch(Protocol):
    """Be the part of a vendor that finds symbols by what somebody has typed."""

    def search_request(self, instrument: Instrument) -> HttpRequest | None:
        """
        Return the unsigned request for what is like a symbol, on its exchange.

        None if nothing of the instrument's kind, or on its exchange, can be found.
        """
        ...

    def read_search(
        self, response: HttpResponse, instrument: Instrument
    ) -> Sequence[Suggestion]:
        """
        Read the answer, the best match first by the vendor's word.

        Raises ``ProviderError`` if it cannot be read.
        """
        ...
