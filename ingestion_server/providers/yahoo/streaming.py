"""What Yahoo's stream is like."""

from __future__ import annotations

from typing import Final, final

from ingestion_server.domain.instrument import AssetClass
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.stream import Feed, StreamDeclaration
from ingestion_server.providers.yahoo import declarations
from ingestion_server.providers.yahoo.feed import YahooFeed

_BEAT_SECONDS: Final = 15.0
"""How often a client repeats its subscription [S]."""


@final
class YahooStreaming:
    """Be Yahoo's stream of prices: of several trades at once it tells the last."""

    declaration = StreamDeclaration(
        asset_classes=frozenset(AssetClass),
        kinds=frozenset({TickKind.TRADES, TickKind.QUOTES}),
        beat_seconds=_BEAT_SECONDS,
        sampled=True,
        # US exchanges, FX and crypto are on time, but no message says so, and many
        # other exchanges are as late here as in the charts.
        feed_delay_seconds=declarations.FEED_DELAY_SECONDS,
    )

    def handshake(self) -> HttpRequest:
        """Return the request of version 2."""
        return HttpRequest(
            declarations.NAME,
            declarations.STREAM_URL,
            (("version", "2"),),
            feature=declarations.STREAM,
        )

    def feed(self) -> Feed:
        """Return the conversation over a new connection."""
        return YahooFeed()
