"""The live bars of all channels: made once for all who want the same, and minded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.interval import SECOND_NS, Interval
from ingestion_server.domain.sessions import Sessions
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ingest.live.bar_line import BarLine
from ingestion_server.ingest.live.channel import Channel
from ingestion_server.ingest.live.labels import BarLabels
from ingestion_server.ingest.live.limits import StreamLimits
from ingestion_server.ingest.live.publishing import Publisher
from ingestion_server.ingest.live.pump import Pump
from ingestion_server.ports.clock import Clock


@final
class BarDesk:
    """Have the lines of bars, and tell them as time passes."""

    def __init__(
        self,
        publisher: Publisher,
        pumps: Mapping[str, Pump],
        confirm: Callable[[Channel, BarLine, int, int], None],
        clock: Clock,
        limits: StreamLimits,
    ) -> None:
        """``confirm`` is told the bars of which a vendor's own is needed."""
        self._publisher = publisher
        self._pumps = pumps
        self._confirm = confirm
        self._clock = clock
        self._limits = limits
        self._channels: dict[Channel, None] = {}

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
        partition = self._publisher.partition(channel.symbol, TickKind.BARS)
        instrument = channel.instrument

        def confirm(line: BarLine, open_ns: int, end_ns: int) -> None:
            self._confirm(channel, line, open_ns, end_ns)

        line = BarLine(
            partition,
            BarLabels(interval, hours, instrument, sessions),
            hours,
            self._publisher,
            confirm,
            since_ns=self._clock.now_ns(),
            grace_seconds=self._limits.grace_seconds,
        )
        line.subscribers = 1
        if not channel.live or channel.broken is not None:
            # Until it is known from when on all trades come.
            line.doubt(self._clock.now_ns())
        channel.lines.append(line)
        self._channels[channel] = None
        return line

    def remove(self, channel: Channel) -> None:
        """Mind the bars of a channel no more."""
        self._channels.pop(channel, None)

    def look(self, now: float) -> None:
        """Tell what has changed and what is over; ``now`` is in monotonic seconds."""
        for channel in list(self._channels):
            if channel.lines:
                self._tell(channel, now)
            else:
                self.remove(channel)

    def _tell(self, channel: Channel, now: float) -> None:
        vendor_now_ns = self._vendor_now_ns(channel)
        for line in list(channel.lines):
            left_at = line.left_at
            if left_at is not None and now - left_at >= self._limits.linger_seconds:
                channel.lines.remove(line)
                self._publisher.drop(line.partition)
                continue
            line.tell(now, self._limits.bar_seconds)
            if vendor_now_ns is not None:
                line.close(vendor_now_ns)

    def _vendor_now_ns(self, channel: Channel) -> int | None:
        """Return until when all trades have come; None if nothing comes."""
        pump = self._pumps.get(channel.active)
        if pump is None or not channel.live:
            return None
        silent = pump.silent_seconds
        if silent is None:
            return None
        delay = pump.upstream.declaration.feed_delay_seconds or 0.0
        return self._clock.now_ns() - int((silent + delay) * SECOND_NS)
