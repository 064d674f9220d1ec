"""Bars of several instruments by one call of a vendor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ingestion_server.domain.errors import ProviderError
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.provider import BarAsk, Page


class BarBatching(Protocol):
    """Be the part of a vendor that tells bars of several instruments at once."""

    @property
    def most_symbols(self) -> int:
        """Return how many instruments one request may be about."""
        ...

    def fits(self, ask: BarAsk) -> bool:
        """Tell whether such bars may be asked for together with others of the kind."""
        ...

    def batch_request(self, asks: Sequence[BarAsk]) -> HttpRequest:
        """
        Return the unsigned request that tells all that is asked for.

        The asks are made at the same time, and of so many instruments at most. Raises
        ``ProviderError`` if they cannot share a call.
        """
        ...

    def read_batch(
        self, response: HttpResponse, asks: Sequence[BarAsk]
    ) -> Mapping[BarAsk, Page | ProviderError]:
        """
        Read the answer: for each question its page, or why there is none.

        Raises ``ProviderError`` if none can be read.
        """
        ...
