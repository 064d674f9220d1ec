"""Which channels there are, and what is known live of an instrument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.ticks import Quote, Snapshot, TickKind, Trade
from ingestion_server.ingest.live.channel import Channel, Route
from ingestion_server.ingest.live.connection import Upstream


@final
class Directory:
    """Find channels by what they are, and by their instrument."""

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        self._upstreams = upstreams
        self._channels: dict[tuple[Instrument, TickKind, Route], Channel] = {}
        self._by_instrument: dict[Instrument, dict[Channel, None]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._channels)

    def find(
        self, instrument: Instrument, kind: TickKind, route: Route
    ) -> Channel | None:
        """Return the channel of a kind and a route; None if there is none."""
        return self._channels.get((instrument, kind, route))

    def add(self, channel: Channel) -> None:
        """Enter a channel."""
        key = channel.instrument, channel.kind, channel.route
        self._channels[key] = channel
        self._by_instrument.setdefault(channel.instrument, {})[channel] = None

    def remove(self, channel: Channel) -> None:
        """Strike a channel off; another one in its place stays."""
        key = channel.instrument, channel.kind, channel.route
        if self._channels.get(key) is channel:
            del self._channels[key]
        channels = self._by_instrument.get(channel.instrument, {})
        channels.pop(channel, None)
        if not channels:
            self._by_instrument.pop(channel.instrument, None)

    def latest(
        self, instrument: Instrument, names: Sequence[str]
    ) -> tuple[Snapshot, str, int] | None:
        """
        Return what lives of an instrument, by one of these vendors.

        That is the latest trade and quote, the vendor, and when it came in ns.
        """
        trade: Trade | None = None
        quote: Quote | None = None
        for channel in self._by_instrument.get(instrument, ()):
            if not channel.live or channel.active not in names:
                continue
            last = channel.latest
            if isinstance(last, Trade) and (
                trade is None or last.time_ns > trade.time_ns
            ):
                trade = last
            if isinstance(last, Quote) and (
                quote is None or last.time_ns > quote.time_ns
            ):
                quote = last
        if trade is None and quote is None:
            return None
        source = trade or quote
        assert source is not None  # noqa: S101 - one of both is there
        if trade is not None and quote is not None and quote.provider != trade.provider:
            quote = None
        delay = self._upstreams[source.provider].declaration.feed_delay_seconds
        snapshot = Snapshot(trade=trade, quote=quote, feed_delay_seconds=delay)
        return snapshot, source.provider, source.received_at_ns
