"""
The hub: whoever wants live data gets them here, all from the same connections.

It never waits for a subscriber. Nothing is held back but what is sorted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final, final

from typing_extensions import override

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.errors import CallerThrottledError, ProviderError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.sessions import Sessions
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ingest.live.aftercare import Aftercare
from ingestion_server.ingest.live.bar_desk import BarDesk
from ingestion_server.ingest.live.bar_line import BarLine
from ingestion_server.ingest.live.channel import Break, Channel, Route
from ingestion_server.ingest.live.confirming import BarConfirmer
from ingestion_server.ingest.live.connection import Upstream
from ingestion_server.ingest.live.crowd import SHARE, Readers
from ingestion_server.ingest.live.directory import Directory
from ingestion_server.ingest.live.filling import Filler
from ingestion_server.ingest.live.limits import StreamLimits
from ingestion_server.ingest.live.newsroom import Newsroom
from ingestion_server.ingest.live.press import Press
from ingestion_server.ingest.live.publishing import Partition, Publisher
from ingestion_server.ingest.live.sources import Sources
from ingestion_server.ingest.live.subscriber import Subscriber
from ingestion_server.ingest.live.tasks import Tasks
from ingestion_server.ingest.live.unheard import Unheard, Unknown
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import OnLag
from ingestion_server.ports.live import StreamEvent, StreamEventKind

_log: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 0.25
_RETRY_SECONDS: Final = 5.0


@final
class Hub(Newsroom):
    """Have channels, publish what they bring, and keep their promises."""

    def __init__(  # noqa: PLR0913, PLR0917 - its parts
        self,
        upstreams: Mapping[str, Upstream],
        publisher: Publisher,
        filler: Filler,
        confirmer: BarConfirmer,
        unknown: Unknown,
        clock: Clock,
        limits: StreamLimits,
        on_lag: Sequence[OnLag] = (),
    ) -> None:
        self.limits = limits
        self.publisher = publisher
        self.upstreams = upstreams
        self.directory = Directory(upstreams)
        self._clock = clock
        self._tasks = Tasks()
        self._readers = Readers(clock.monotonic)
        self._press = Press(
            publisher,
            self._readers,
            sorting_seconds=limits.sorting_seconds,
            on_lag=on_lag,
        )
        jitter = Random()  # noqa: S311 - no secret
        self.sources = Sources(
            upstreams,
            self,
            self._press,
            self._tasks.spawn,
            clock,
            limits,
            jitter.random,
        )
        self._aftercare = Aftercare(self._press, filler, confirmer, self._tasks.spawn)
        self._bars = BarDesk(
            publisher, self.sources.pumps, self._aftercare.confirm, clock, limits
        )
        self._unheard = Unheard(unknown, self.rejected, self._tasks.spawn)
        self._left: dict[Channel, None] = {}
        self._looked_at = 0
        self._gaps = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hub]:
        """Serve until the block ends; no task is left then."""
        self._tasks.spawn(self._mind(), "live hub")
        try:
            yield self
        finally:
            self._press.stop()
            await self._tasks.end()

    # What subscribers come and go by.

    def channel(self, instrument: Instrument, kind: TickKind, route: Route) -> Channel:
        """Return a channel for one more subscriber; it lasts until he leaves."""
        channel = self.directory.find(instrument, kind, route)
        if channel is None:
            if len(self.directory) >= self.limits.most_symbols:
                raise CallerThrottledError(
                    f"{self.limits.most_symbols} symbols are subscribed, which is the "
                    "most",
                    limit=self.limits.most_symbols,
                    retry_after_seconds=_RETRY_SECONDS,
                )
            partition = self.publisher.partition(instrument.symbol, kind)
            spelled = {
                name: self.upstreams[name].spelling(instrument) or ""
                for name in route.names
            }
            channel = Channel(instrument, kind, route, partition, spelled)
            self.directory.add(channel)
            self._unheard.add(channel)
        channel.subscribers += 1
        channel.left_at = None
        self._left.pop(channel, None)
        return channel

    def line(
        self,
        channel: Channel,
        interval: Interval,
        hours: TradingHours,
        sessions: Sessions | None,
    ) -> BarLine:
        """Return the live bars of a channel for one more subscriber."""
        return self._bars.line(channel, interval, hours, sessions)

    def confirm(self, channel: Channel, line: BarLine, open_ns: int) -> None:
        """Have the vendor's own bar told as soon as it is final."""
        end_ns = line.labels.end_ns(open_ns)
        self._aftercare.confirm(channel, line, open_ns, end_ns)

    def came(self, subscriber: Subscriber) -> None:
        """Count a subscriber in."""
        self._readers.add(subscriber.mailbox)

    def gone(self, subscriber: Subscriber) -> None:
        """Let a subscriber go; what nobody wants any more ends in a while."""
        self._readers.remove(subscriber.mailbox)
        now = self._clock.monotonic()
        for channel in subscriber.channels:
            channel.awaiting.pop(subscriber, None)
            channel.subscribers -= 1
            if not channel.subscribers:
                channel.left_at = now
                self._left[channel] = None
        for each in subscriber.lines:
            each.line.subscribers -= 1
            if not each.line.subscribers:
                each.line.left_at = now

    def subscribed_event(self, channel: Channel, partition: Partition) -> StreamEvent:
        """Return what tells a subscriber that data come."""
        declaration = self.upstreams[channel.active].declaration
        return StreamEvent(
            kind=StreamEventKind.SUBSCRIBED,
            time_ns=self._clock.now_ns(),
            symbol=channel.symbol,
            tick_kind=partition.kind,
            sequence=partition.sequence,
            provider=channel.active,
            feed_delay_seconds=declaration.feed_delay_seconds,
            sampled=channel.sampled,
        )

    @property
    def counts(self) -> Mapping[str, int]:
        """Return what there is at the moment."""
        return {
            "subscribers": len(self._readers),
            "channels": len(self.directory),
            "published": self.publisher.position,
            "gaps": self._gaps,
            "filled": self._aftercare.filled,
            "left_out": self.sources.left_out,
            "malformed": self.sources.malformed,
            "slow": self._readers.slow,
        }

    @property
    def dropped(self) -> Mapping[str, int]:
        """Return what slow subscribers were not told, by what they have chosen."""
        return self._readers.dropped

    # What the sources tell.

    @override
    def spare(self) -> None:
        """Let go of what nobody subscribes to."""
        for channel in list(self._left):
            if not channel.subscribers:
                self._forget(channel)

    @override
    def begun(self, channel: Channel) -> None:
        """Tell who has not been told yet that data come."""
        channel.stale = False
        if channel.broken is None:
            for line in channel.lines:
                line.trust(self._clock.now_ns(), None)
        if not channel.awaiting:
            return
        self._press.settle(channel)
        awaiting, channel.awaiting = channel.awaiting, {}
        for subscriber in awaiting:
            for partition in subscriber.partitions(channel):
                subscriber.tell(self.subscribed_event(channel, partition))

    @override
    def stale(self, channel: Channel, detail: str) -> None:
        """Say once that nothing comes."""
        if channel.stale:
            return
        channel.stale = True
        self._press.settle(channel)
        self._press.tell(channel, StreamEventKind.STALE, detail=detail)

    @override
    def gap(
        self, channel: Channel, broken: Break, to_ns: int, *, filling: bool
    ) -> None:
        """Tell a gap before what came after it, and have it filled."""
        self._gaps += 1
        for line in channel.lines:
            line.trust(to_ns, None)
        self._press.announce(
            channel.partition,
            StreamEventKind.GAP,
            from_ns=broken.from_ns,
            to_ns=to_ns,
            cause=broken.cause,
            provider=broken.provider or channel.active,
        )
        if filling and channel.of_trades:
            self._aftercare.fill(channel, broken, to_ns)
        else:
            channel.forget(broken.overlap)

    @override
    def changed(self, channel: Channel, previous: str) -> None:
        """Tell that another vendor serves from now on."""
        self._press.settle(channel)
        declaration = self.upstreams[channel.active].declaration
        self._press.tell(
            channel,
            StreamEventKind.SOURCE_CHANGED,
            provider=channel.active,
            previous_provider=previous,
            feed_delay_seconds=declaration.feed_delay_seconds,
            sampled=channel.sampled,
        )

    @override
    def rejected(self, channel: Channel, error: ProviderError) -> None:
        """Tell that nobody serves it, and forget it."""
        self._press.settle(channel)
        channel.awaiting = {}
        self._press.tell(
            channel,
            StreamEventKind.REJECTED,
            reason=error.reason,
            detail=error.message,
        )
        self._forget(channel)

    @override
    async def room_to_read(self) -> None:
        """Wait, but not for long, until those who read have read some of it."""
        await asyncio.sleep(0)
        if self.sources.heard_items - self._looked_at < SHARE:
            return
        self._looked_at = self.sources.heard_items
        await self._press.caught_up()

    # What happens as time passes.

    async def _mind(self) -> None:
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            try:
                self._look()
            except Exception:  # noqa: BLE001 - it must not end streams for good
                _log.exception("the live hub met a defect")

    def _look(self) -> None:
        now = self._clock.monotonic()
        self.sources.look()
        for channel in list(self._left):
            if channel.left_at is None:
                self._left.pop(channel, None)
            elif now - channel.left_at >= self.limits.linger_seconds:
                self._forget(channel)
        self._bars.look(now)
        self._unheard.look(now)
        self._press.soon()

    def _forget(self, channel: Channel) -> None:
        self.directory.remove(channel)
        self._left.pop(channel, None)
        self._bars.remove(channel)
        self._unheard.remove(channel)
        channel.stale = False
        channel.live = False
        self.sources.close(channel)
        if not channel.subscribers:
            self.publisher.drop(channel.partition)
