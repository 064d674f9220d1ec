"""What Finnhub's stream is like."""

from __future__ import annotations

from typing import Final, final

from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.stream import Feed, StreamDeclaration
from ingestion_server.providers.finnhub.declarations import NAME, STREAM, STREAM_URL
from ingestion_server.providers.finnhub.feed import FinnhubFeed

FREE_SYMBOLS: Final = 50
"""How many symbols the free plan may have on its one connection [P]."""
_PINGS_SECONDS: Final = 60.0
"""About how often a text ping comes while nothing trades [R]."""


@final
class FinnhubStreaming:
    """Be Finnhub's stream of trades."""

    def __init__(self, most_symbols: int | None = FREE_SYMBOLS) -> None:
        """
        Set up for a plan.

        Args:
            most_symbols: How many symbols its connection may have; None = no limit
                is known.

        """
        self.declaration = StreamDeclaration(
            asset_classes=frozenset(
                {AssetClass.EQUITY, AssetClass.FX, AssetClass.CRYPTO}
            ),
            kinds=frozenset({TickKind.TRADES}),
            most_symbols=most_symbols,
            # Half as much again, since it comes only about every minute.
            silence_seconds=1.5 * _PINGS_SECONDS,
        )

    def handshake(self) -> HttpRequest:
        """Return the request to which the key is to be added as ``token``."""
        return HttpRequest(NAME, STREAM_URL, feature=STREAM)

    def feed(self) -> Feed:
        """Return the conversation over a new connection."""
        return FinnhubFeed()
