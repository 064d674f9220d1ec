"""One vendor's live data: its pump, what is left out of them, and whom they feed."""

from __future__ import annotations

from typing import final

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ingest.live.channel import Channel
from ingestion_server.ingest.live.checks import Duplicates, TickChecks
from ingestion_server.ingest.live.pump import Pump


@final
class Source:
    """Feed channels; the pump wants each symbol as long as any of them does."""

    def __init__(self, pump: Pump) -> None:
        delay_seconds = pump.upstream.declaration.feed_delay_seconds or 0.0
        self.pump = pump
        self.checks = TickChecks(feed_delay_seconds=delay_seconds)
        self.duplicates = Duplicates()
        self.fed: dict[str, dict[Channel, None]] = {}
        """Which channels, by the symbol as the vendor spells it."""
        self.delay_ns = int(delay_seconds * SECOND_NS)
        """How late its data are."""

    @property
    def name(self) -> str:
        """Return the vendor's id."""
        return self.pump.provider

    @property
    def channels(self) -> list[Channel]:
        """Return all that it feeds."""
        return [channel for channels in self.fed.values() for channel in channels]

    def feeds(self, channel: Channel) -> bool:
        """Return whether it feeds a channel."""
        return channel in self.fed.get(channel.spelled[self.name], {})

    def feed(self, channel: Channel) -> bool:
        """Begin to feed a channel; return whether its data come from now on."""
        symbol = channel.spelled[self.name]
        channels = self.fed.setdefault(symbol, {})
        if channel in channels:
            return False
        channels[channel] = None
        self.pump.want(symbol)
        return self.pump.subscribed(symbol)

    def unfeed(self, channel: Channel) -> None:
        """Feed a channel no more."""
        symbol = channel.spelled[self.name]
        channels = self.fed.get(symbol)
        if channels is None or channel not in channels:
            return
        del channels[channel]
        if not channels:
            del self.fed[symbol]
            self.pump.unwant(symbol)
            self.duplicates.forget(symbol)
