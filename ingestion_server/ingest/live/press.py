"""
What channels have heard, and what becomes of them, on its way to be published.

Ticks are held for a moment so that those of several messages are sorted, and no longer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, final

from typing_extensions import override

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.ticks import Tick, Trade
from ingestion_server.ingest.live.channel import Channel
from ingestion_server.ingest.live.crowd import SHARE, Readers
from ingestion_server.ingest.live.newsroom import Intake
from ingestion_server.ingest.live.publishing import Partition, Publisher
from ingestion_server.ports.hooks import OnLag
from ingestion_server.ports.live import StreamEvent, StreamEventKind

_log: Final = logging.getLogger(__name__)


@final
class Press(Intake):
    """Sort what was heard, publish it, and tell events in their place among it."""

    def __init__(
        self,
        publisher: Publisher,
        readers: Readers,
        *,
        sorting_seconds: float,
        on_lag: Sequence[OnLag] = (),
    ) -> None:
        """``sorting_seconds`` is how long ticks are held at most."""
        self._publisher = publisher
        self._readers = readers
        self._sorting_seconds = sorting_seconds
        self._on_lag = on_lag
        self._ready: list[Channel] = []
        self._timer: asyncio.TimerHandle | None = None

    @override
    def ready(self, channel: Channel) -> None:
        """Publish what waits as soon as it may have been sorted."""
        self._ready.append(channel)
        if self._timer is None:
            self.soon()

    @override
    def settle(self, channel: Channel) -> None:
        """Publish what waits."""
        if channel.pending:
            self._publish(channel)

    def soon(self) -> None:
        """Send what was published, together with what is being sorted."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._sorting_seconds, self._flush)

    def tell(
        self,
        channel: Channel,
        kind: StreamEventKind,
        **fields: str | bool | float | None,
    ) -> None:
        """Tell those who subscribe to a channel, and to its bars."""
        self.announce(channel.partition, kind, **fields)
        for line in channel.lines:
            self.announce(line.partition, kind, **fields)

    def announce(
        self,
        partition: Partition,
        kind: StreamEventKind,
        **fields: str | bool | float | None,
    ) -> None:
        """Tell those who subscribe to a partition."""
        event = StreamEvent(
            kind=kind,
            time_ns=self._publisher.now_ns(),
            symbol=partition.symbol,
            tick_kind=partition.kind,
            sequence=partition.sequence,
            **fields,  # type: ignore[arg-type]
        )
        self._publisher.announce(partition, event)
        self.soon()

    async def publish(self, partition: Partition, ticks: Sequence[Tick]) -> None:
        """Publish many ticks, no faster than subscribers read."""
        for first in range(0, len(ticks), SHARE):
            self._publisher.publish(partition, ticks[first : first + SHARE])
            self.soon()
            await self.caught_up()

    async def caught_up(self) -> None:
        """Send what waits, and give subscribers a moment if many are behind."""
        if self._timer is not None:
            # So much is not held back for the sake of what may still come.
            self._timer.cancel()
            self._flush()
        await self._readers.caught_up()

    def stop(self) -> None:
        """Send nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        self._timer = None
        ready, self._ready = self._ready, []
        for channel in ready:
            try:
                if channel.pending:
                    self._publish(channel)
            except Exception:  # noqa: BLE001 - the others go on
                _log.exception("what came of %s was lost", channel.symbol)
        self._publisher.send_due()
        if self._on_lag and ready:
            self._tell_lag(ready)

    def _tell_lag(self, ready: Sequence[Channel]) -> None:
        """Tell how late one channel of each vendor is: they share its connection."""
        now_ns = self._publisher.now_ns()
        for channel in {each.active: each for each in ready}.values():
            # What only ever told of times that cannot be true has none.
            if channel.newest_ns:
                seconds = max(now_ns - channel.newest_ns, 0) / SECOND_NS
                for hook in self._on_lag:
                    hook(channel.active, seconds)

    def _publish(self, channel: Channel) -> None:
        channel.stale = False
        ticks = channel.sorted_ticks()
        self._publisher.publish(channel.partition, ticks)
        if channel.overlaps:
            channel.collect(ticks)
        for line in channel.lines:
            line.add(tick for tick in ticks if isinstance(tick, Trade))
