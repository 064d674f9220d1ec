"""What the sources of live data tell of a channel, and whom they tell it."""

from __future__ import annotations

from typing import Protocol

from ingestion_server.domain.errors import ProviderError
from ingestion_server.ingest.live.channel import Break, Channel


class Intake(Protocol):
    """Take what channels have heard."""

    def ready(self, channel: Channel) -> None:
        """Hear that ticks wait to be published."""
        ...

    def settle(self, channel: Channel) -> None:
        """Publish what waits, because what follows is about what comes after."""
        ...


class Newsroom(Protocol):
    """Tell subscribers what becomes of a channel."""

    def spare(self) -> None:
        """Let go at once of what is kept for those who may come back."""
        ...

    def begun(self, channel: Channel) -> None:
        """Hear that data come, for the first time or again."""
        ...

    def stale(self, channel: Channel, detail: str) -> None:
        """Hear that nothing comes at the moment, or nothing can be had."""
        ...

    def gap(
        self, channel: Channel, broken: Break, to_ns: int, *, filling: bool
    ) -> None:
        """Hear that a break has an end, and whether to fill it."""
        ...

    def changed(self, channel: Channel, previous: str) -> None:
        """Hear that another vendor's data are published from now on."""
        ...

    def rejected(self, channel: Channel, error: ProviderError) -> None:
        """Hear that nobody serves the channel."""
        ...

    async def room_to_read(self) -> None:
        """Wait, but not for long, until subscribers have read some of it."""
        ...
