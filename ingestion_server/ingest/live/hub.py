"""
The hub: whoever wants live data gets them here, all from the same connections.

It never waits for a subscriber. Nothing is held back but what is sorted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final, final

from typing_extensions import override

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.errors import CallerThrottledError, ProviderError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.domain.sessions import Sessions
from ingestion_server.domain.ticks import Quote, Snapshot, TickKind, Trade
from ingestion_server.ingest.live.bar_line import BarLine
from ingestion_server.ingest.live.channel import Break, Channel, Route
from ingestion_server.ingest.live.confirming import BarConfirmer
from ingestion_server.ingest.live.connection import Upstream
from ingestion_server.ingest.live.filling import Filled, Filler
from ingestion_server.ingest.live.labels import BarLabels
from ingestion_server.ingest.live.limits import StreamLimits
from ingestion_server.ingest.live.mailbox import CROWDED_ITEMS, Crowd, Mailbox
from ingestion_server.ingest.live.publishing import Partition, Publisher
from ingestion_server.ingest.live.sources import Newsroom, Sources
from ingestion_server.ingest.live.subscriber import Subscriber
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.live import StreamEvent, StreamEventKind

_log: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 0.25
_CHECK_SECONDS: Final = 3.0
"""After so long without a tick it is asked whether anybody knows the symbol."""
_READING_SECONDS: Final = 0.05
"""Who has read nothing for so long is not waited for."""
_CROWD: Final = 4
"""If one of so many readers is behind, more is not read for a moment."""
_MOST_WAITS: Final = 4
_RETRY_SECONDS: Final = 5.0
_SHARE: Final = 512
"""After so many items it is looked whether subscribers keep up."""

Unknown = Callable[
    [list[Instrument]], Coroutine[None, None, Mapping[Instrument, ProviderError]]
]
"""Return which instruments no vendor knows, and who said so."""
_Key = tuple[Instrument, TickKind, Route]


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
    ) -> None:
        self.limits = limits
        self.publisher = publisher
        self.upstreams = upstreams
        self._filler = filler
        self._confirmer = confirmer
        self._unknown = unknown
        self._clock = clock
        jitter = Random()  # noqa: S311 - no secret
        self.sources = Sources(
            upstreams, self, self._spawn, clock, limits, jitter.random
        )
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._channels: dict[_Key, Channel] = {}
        self._by_instrument: dict[Instrument, dict[Channel, None]] = {}
        self._left: dict[Channel, None] = {}
        self._lined: dict[Channel, None] = {}
        self._unheard: dict[Channel, None] = {}
        self._stale: set[Channel] = set()
        self._confirming: set[tuple[BarLine, int]] = set()
        self._ready: list[Channel] = []
        self._timer: asyncio.TimerHandle | None = None
        self._subscribers: dict[Subscriber, None] = {}
        self._looked_at = 0
        self.gaps = 0
        self.filled = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hub]:
        """Serve until the block ends; no task is left then."""
        self._spawn(self._mind(), "live hub")
        try:
            yield self
        finally:
            if self._timer is not None:
                self._timer.cancel()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # What subscribers come and go by.

    def channel(self, instrument: Instrument, kind: TickKind, route: Route) -> Channel:
        """Return a channel for one more subscriber; it lasts until he leaves."""
        key = instrument, kind, route
        channel = self._channels.get(key)
        if channel is None:
            if len(self._channels) >= self.limits.most_symbols:
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
            self._channels[key] = channel
            self._by_instrument.setdefault(instrument, {})[channel] = None
            self._unheard[channel] = None
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
        for line in channel.lines:
            if (line.interval, line.hours) == (interval, hours):
                line.subscribers += 1
                line.left_at = None
                return line
        partition = self.publisher.partition(channel.symbol, TickKind.BARS)
        instrument = channel.instrument

        def confirm(line: BarLine, open_ns: int, end_ns: int) -> None:
            self._confirm_once(channel, line, open_ns, end_ns)

        line = BarLine(
            partition,
            BarLabels(interval, hours, instrument, sessions),
            hours,
            self.publisher,
            confirm,
            since_ns=self._clock.now_ns(),
            grace_seconds=self.limits.grace_seconds,
        )
        line.subscribers = 1
        if not channel.live or channel.broken is not None:
            # Until it is known from when on all trades come.
            line.doubt(self._clock.now_ns())
        channel.lines.append(line)
        self._lined[channel] = None
        return line

    def confirm(self, channel: Channel, line: BarLine, open_ns: int) -> None:
        """Have the vendor's own bar told as soon as it is final."""
        self._confirm_once(channel, line, open_ns, line.labels.end_ns(open_ns))

    def _confirm_once(
        self, channel: Channel, line: BarLine, open_ns: int, end_ns: int
    ) -> None:
        if (line, open_ns) not in self._confirming:
            self._confirming.add((line, open_ns))
            self._spawn(self._confirm(channel, line, open_ns, end_ns), "bar")

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Do some work that ends with the hub."""
        self._spawn(work, name)

    def came(self, subscriber: Subscriber) -> None:
        """Count a subscriber in."""
        self._subscribers[subscriber] = None

    def gone(self, subscriber: Subscriber) -> None:
        """Let a subscriber go; what nobody wants any more ends in a while."""
        self._subscribers.pop(subscriber, None)
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

    def latest(
        self, instrument: Instrument, names: Sequence[str]
    ) -> tuple[Snapshot, str, int] | None:
        """Return what lives of an instrument, by one of these vendors."""
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
        delay = self.upstreams[source.provider].declaration.feed_delay_seconds
        snapshot = Snapshot(trade=trade, quote=quote, feed_delay_seconds=delay)
        return snapshot, source.provider, source.received_at_ns

    @property
    def counts(self) -> Mapping[str, int]:
        """Return what there is at the moment."""
        return {
            "subscribers": len(self._subscribers),
            "channels": len(self._channels),
            "published": self.publisher.position,
            "gaps": self.gaps,
            "filled": self.filled,
            "left_out": self.sources.left_out,
            "malformed": self.sources.malformed,
        }

    # What the sources tell.

    @override
    def ready(self, channel: Channel) -> None:
        """Publish what waits as soon as it may have been sorted."""
        self._ready.append(channel)
        self._soon()

    @override
    def settle(self, channel: Channel) -> None:
        """Publish what waits."""
        if channel.pending:
            self._publish(channel)

    @override
    def spare(self) -> None:
        """Let go of what nobody subscribes to."""
        for channel in list(self._left):
            if not channel.subscribers:
                self._forget(channel)

    @override
    def begun(self, channel: Channel) -> None:
        """Tell who has not been told yet that data come."""
        self._stale.discard(channel)
        if channel.broken is None:
            for line in channel.lines:
                line.trust(self._clock.now_ns(), None)
        if not channel.awaiting:
            return
        self.settle(channel)
        awaiting, channel.awaiting = channel.awaiting, {}
        for subscriber in awaiting:
            for partition in subscriber.partitions(channel):
                subscriber.tell(self.subscribed_event(channel, partition))

    @override
    def stale(self, channel: Channel, detail: str) -> None:
        """Say once that nothing comes."""
        if channel in self._stale:
            return
        self._stale.add(channel)
        self.settle(channel)
        self._announce(channel, StreamEventKind.STALE, detail=detail)

    @override
    def gap(
        self, channel: Channel, broken: Break, to_ns: int, *, filling: bool
    ) -> None:
        """Tell a gap before what came after it, and have it filled."""
        self.gaps += 1
        for line in channel.lines:
            line.trust(to_ns, None)
        event = self._event(
            channel.partition,
            StreamEventKind.GAP,
            from_ns=broken.from_ns,
            to_ns=to_ns,
            cause=broken.cause,
            provider=broken.provider or channel.active,
        )
        self.publisher.announce(channel.partition, event)
        self._soon()
        if filling and channel.of_trades:
            self._spawn(self._fill(channel, broken, to_ns), "gap")
        else:
            channel.forget(broken.overlap)

    @override
    def changed(self, channel: Channel, previous: str) -> None:
        """Tell that another vendor serves from now on."""
        self.settle(channel)
        declaration = self.upstreams[channel.active].declaration
        self._announce(
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
        self.settle(channel)
        channel.awaiting = {}
        self._announce(
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
        if self.sources.heard_items - self._looked_at < _SHARE:
            return
        self._looked_at = self.sources.heard_items
        await self._subscribers_read()

    async def _subscribers_read(self) -> None:
        """Send what waits, and give subscribers a moment if many are behind."""
        if self._timer is not None:
            # So much is not held back for the sake of what may still come.
            self._timer.cancel()
            self._flush()
        for _ in range(_MOST_WAITS):
            crowd = self._crowd()
            if crowd is None:
                break
            await crowd.cleared(_READING_SECONDS)

    def _crowd(self) -> Crowd | None:
        """Return those who are behind if they are many: then it is us, not them."""
        now = self._clock.monotonic()
        reading, crowded = 0, list[Mailbox]()
        for subscriber in self._subscribers:
            mailbox = subscriber.mailbox
            if mailbox.waiting or now - mailbox.read_at < _READING_SECONDS:
                reading += 1
                if mailbox.items >= CROWDED_ITEMS:
                    crowded.append(mailbox)
        allowed = reading // _CROWD
        return Crowd(crowded, allowed) if len(crowded) > allowed else None

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
        for channel in list(self._lined):
            self._bars(channel, now)
        self._check(now)
        self._soon()

    def _bars(self, channel: Channel, now: float) -> None:
        if not channel.lines:
            self._lined.pop(channel, None)
            return
        vendor_now_ns = None
        pump = self.sources.pumps.get(channel.active)
        if pump is not None and channel.live:
            silent = pump.silent_seconds
            if silent is not None:
                delay = pump.upstream.declaration.feed_delay_seconds or 0.0
                late_ns = int((silent + delay) * SECOND_NS)
                vendor_now_ns = self._clock.now_ns() - late_ns
        for line in list(channel.lines):
            left_at = line.left_at
            if left_at is not None and now - left_at >= self.limits.linger_seconds:
                channel.lines.remove(line)
                self.publisher.drop(line.partition)
                continue
            line.tell(now, self.limits.bar_seconds)
            if vendor_now_ns is not None:
                line.close(vendor_now_ns)

    def _check(self, now: float) -> None:
        """Ask, once, whether anybody knows the symbols of which nothing is heard."""
        doubtful: list[Channel] = []
        for channel in list(self._unheard):
            if channel.latest is not None:
                self._unheard.pop(channel, None)
            elif channel.since_ns and now - channel.begun_at >= _CHECK_SECONDS:
                self._unheard.pop(channel, None)
                doubtful.append(channel)
        if doubtful:
            self._spawn(self._ask_who_knows(doubtful), "unknown symbols")

    async def _ask_who_knows(self, channels: list[Channel]) -> None:
        instruments = list(dict.fromkeys(each.instrument for each in channels))
        unknown = await self._unknown(instruments)
        for channel in channels:
            error = unknown.get(channel.instrument)
            if error is not None and channel.latest is None:
                self.rejected(channel, error)

    async def _fill(self, channel: Channel, broken: Break, to_ns: int) -> None:
        filled = await self._filler.fill(
            channel.instrument,
            broken.provider,
            broken.from_ns,
            to_ns,
            broken.before,
            broken.overlap.trades,
        )
        channel.forget(broken.overlap)
        if not isinstance(filled, Filled):
            _log.info(
                "a gap of %s at %s stands: %s",
                channel.symbol,
                broken.provider,
                filled.reason,
            )
            return
        self.filled += 1
        self.settle(channel)
        trades = list(filled.trades)
        for first in range(0, len(trades), _SHARE):
            self.publisher.publish(channel.partition, trades[first : first + _SHARE])
            self._soon()
            await self._subscribers_read()
        for line in channel.lines:
            line.add(trades)
            line.trust(broken.from_ns, to_ns)
        event = self._event(
            channel.partition,
            StreamEventKind.BACKFILLED,
            from_ns=broken.from_ns,
            to_ns=to_ns,
            count=len(trades),
            verified=True,
            provider=broken.provider,
        )
        self.publisher.announce(channel.partition, event)
        self._soon()

    async def _confirm(
        self, channel: Channel, line: BarLine, open_ns: int, end_ns: int
    ) -> None:
        try:
            bar = await self._confirmer.confirm(
                channel.instrument,
                line.interval,
                line.hours,
                open_ns,
                channel.route.own_bars,
            )
        finally:
            self._confirming.discard((line, open_ns))
        if line not in channel.lines:
            return
        if bar is not None:
            line.serve(bar)
        else:
            event = self._event(
                line.partition,
                StreamEventKind.GAP,
                from_ns=open_ns,
                to_ns=end_ns,
                cause="trades of this bar are missing, and no vendor tells its own",
            )
            self.publisher.announce(line.partition, event)
        self._soon()

    def _publish(self, channel: Channel) -> None:
        self._stale.discard(channel)
        ticks = channel.sorted_ticks()
        self.publisher.publish(channel.partition, ticks)
        if channel.overlaps:
            channel.collect(ticks)
        for line in channel.lines:
            line.add(tick for tick in ticks if isinstance(tick, Trade))

    def _announce(
        self,
        channel: Channel,
        kind: StreamEventKind,
        **fields: str | bool | float | None,
    ) -> None:
        """Tell those who subscribe to a channel, and to its bars."""
        for partition in (
            channel.partition,
            *(line.partition for line in channel.lines),
        ):
            event = self._event(partition, kind, **fields)
            self.publisher.announce(partition, event)
        self._soon()

    def _event(
        self,
        partition: Partition,
        kind: StreamEventKind,
        **fields: str | bool | float | None,
    ) -> StreamEvent:
        return StreamEvent(
            kind=kind,
            time_ns=self._clock.now_ns(),
            symbol=partition.symbol,
            tick_kind=partition.kind,
            sequence=partition.sequence,
            **fields,  # type: ignore[arg-type]
        )

    def _forget(self, channel: Channel) -> None:
        key = channel.instrument, channel.kind, channel.route
        if self._channels.get(key) is channel:
            del self._channels[key]
        channels = self._by_instrument.get(channel.instrument, {})
        channels.pop(channel, None)
        if not channels:
            self._by_instrument.pop(channel.instrument, None)
        for some in (self._left, self._lined, self._unheard):
            some.pop(channel, None)
        self._stale.discard(channel)
        channel.live = False
        self.sources.close(channel)
        if not channel.subscribers:
            self.publisher.drop(channel.partition)

    def _soon(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.limits.sorting_seconds, self._flush)

    def _flush(self) -> None:
        self._timer = None
        ready, self._ready = self._ready, []
        for channel in ready:
            try:
                if channel.pending:
                    self._publish(channel)
            except Exception:  # noqa: BLE001 - the others go on
                _log.exception("what came of %s was lost", channel.symbol)
        self.publisher.send_due()

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(_guarded(work, name), name=name)
        self._tasks[task] = None

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.pop(task, None)
            # If it was cancelled before it began, nobody else has closed it.
            work.close()

        task.add_done_callback(ended)


async def _guarded(work: Coroutine[None, None, None], name: str) -> None:
    """Do some work; a defect of it is told, and ends nothing else."""
    try:
        await work
    except Exception:  # noqa: BLE001 - the others go on
        _log.exception("%s met a defect", name)


def own_bars(policy: SourcePolicy) -> tuple[str, ...]:
    """Return whose own bars may be served in place of ours; empty = anybody's."""
    return () if policy.mode is SourceMode.ANY else policy.providers
