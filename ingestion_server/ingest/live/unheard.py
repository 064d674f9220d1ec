"""Symbols of which nothing is heard: they may be quiet, or nobody may know them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Final, final

from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.ingest.live.channel import Channel
from ingestion_server.ingest.live.tasks import Spawn

_CHECK_SECONDS: Final = 3.0
"""After so long without a tick it is asked whether anybody knows the symbol."""

Unknown = Callable[
    [list[Instrument]], Coroutine[None, None, Mapping[Instrument, ProviderError]]
]
"""Return which instruments no vendor knows, and who said so."""


@final
class Unheard:
    """Ask, once for each channel without ticks, whether anybody knows its symbol."""

    def __init__(
        self,
        unknown: Unknown,
        rejected: Callable[[Channel, ProviderError], None],
        spawn: Spawn,
    ) -> None:
        """``rejected`` is told the channels whose symbol nobody knows."""
        self._unknown = unknown
        self._rejected = rejected
        self._spawn = spawn
        self._channels: dict[Channel, None] = {}

    def add(self, channel: Channel) -> None:
        """Look after a channel until something is heard."""
        self._channels[channel] = None

    def remove(self, channel: Channel) -> None:
        """Look after a channel no more."""
        self._channels.pop(channel, None)

    def look(self, now: float) -> None:
        """Ask about those that have been silent for long enough, in monotonic s."""
        doubtful: list[Channel] = []
        for channel in list(self._channels):
            if channel.latest is not None:
                self.remove(channel)
            elif channel.since_ns and now - channel.begun_at >= _CHECK_SECONDS:
                self.remove(channel)
                doubtful.append(channel)
        if doubtful:
            self._spawn(self._ask(doubtful), "unknown symbols")

    async def _ask(self, channels: list[Channel]) -> None:
        instruments = list(dict.fromkeys(each.instrument for each in channels))
        unknown = await self._unknown(instruments)
        for channel in channels:
            error = unknown.get(channel.instrument)
            if error is not None and channel.latest is None:
                self._rejected(channel, error)
