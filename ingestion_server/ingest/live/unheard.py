"""Symbols of which nothing is heard: they may be quiet, or nobody may know them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import islice
from typing import Final, final

from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.ingest.live.channel import Channel
from ingestion_server.ingest.live.tasks import Spawn

_CHECK_SECONDS: Final = 3.0
"""After so long without a tick it is asked whether anybody knows the symbol."""
_AT_ONCE: Final = 10
"""Symbols of one question. At night all are silent, and a call may tell of one only."""
_PAUSE_SECONDS: Final = 20.0
"""Between questions: so they take half of a plan of 60 calls a minute at most."""

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
        self._next_at = 0.0
        self._asking = False

    def add(self, channel: Channel) -> None:
        """Look after a channel until something is heard."""
        self._channels[channel] = None

    def remove(self, channel: Channel) -> None:
        """Look after a channel no more."""
        self._channels.pop(channel, None)

    def look(self, now: float) -> None:
        """Ask about some that have been silent for long enough, in monotonic s."""
        silent: dict[Instrument, list[Channel]] = {}
        for channel in list(self._channels):
            if channel.latest is not None:
                self.remove(channel)
            elif channel.since_ns and now - channel.begun_at >= _CHECK_SECONDS:
                silent.setdefault(channel.instrument, []).append(channel)
        if not silent or self._asking or now < self._next_at:
            return
        self._next_at = now + _PAUSE_SECONDS
        self._asking = True
        doubtful = dict(islice(silent.items(), _AT_ONCE))
        for channels in doubtful.values():
            for channel in channels:
                self.remove(channel)
        self._spawn(self._ask(doubtful), "unknown symbols")

    async def _ask(self, doubtful: Mapping[Instrument, Sequence[Channel]]) -> None:
        try:
            unknown = await self._unknown(list(doubtful))
        finally:
            self._asking = False
        for instrument, error in unknown.items():
            for channel in doubtful[instrument]:
                if channel.latest is None:
                    self._rejected(channel, error)
