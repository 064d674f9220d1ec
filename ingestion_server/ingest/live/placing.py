"""
Which vendor feeds a channel: who is asked first, and who takes over from whom.

A better vendor that is away stays subscribed, so that it can take over again without a
hole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

from ingestion_server.domain.errors import EntitlementMissingError, ProviderError
from ingestion_server.ingest.live.channel import Channel
from ingestion_server.ingest.live.connection import Upstream
from ingestion_server.ingest.live.limits import StreamLimits
from ingestion_server.ingest.live.newsroom import Newsroom
from ingestion_server.ingest.live.pump import Pump
from ingestion_server.ingest.live.source import Source
from ingestion_server.ports.clock import Clock


@final
class Placing:
    """Have each channel fed by the first vendor of its route that can."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        newsroom: Newsroom,
        begin: Callable[[Upstream], Source],
        came: Callable[[Channel, Source], None],
        *,
        clock: Clock,
        limits: StreamLimits,
    ) -> None:
        """
        Set up.

        Args:
            upstreams: where the vendors' data come from.
            newsroom: is told what nobody serves, and asked to spare what it can.
            begin: begins to listen to a vendor, once it is needed.
            came: is told whose data come at once, for they came to others already.
            clock: tells the time.
            limits: say who is away for too long, or back for long enough.

        """
        self._upstreams = upstreams
        self._newsroom = newsroom
        self._begin = begin
        self._came = came
        self._clock = clock
        self._limits = limits
        self._displaced: dict[Channel, None] = {}
        self.sources: dict[str, Source] = {}
        """The vendors that were ever needed."""

    def open(self, channel: Channel) -> None:
        """Begin to feed a channel, if need be."""
        if not channel.active and not any(
            self._feeds(channel, name) for name in channel.route.names
        ):
            self._place_anew(channel)

    def close(self, channel: Channel) -> None:
        """Feed a channel no more."""
        for name in channel.spelled:
            self._unfeed(channel, name)
        self._displaced.pop(channel, None)

    def look(self) -> None:
        """Let vendors take over from others as time passes."""
        for source in self.sources.values():
            if source.pump.failed(self._limits.failover_seconds):
                for channel in source.channels:
                    self.displace(channel)
        for channel in list(self._displaced):
            self._place(channel)

    def displace(self, channel: Channel) -> None:
        """Look every so often who should feed a channel."""
        self._displaced[channel] = None

    def refuse(self, channel: Channel, name: str, error: ProviderError) -> None:
        """Hear that a vendor will not serve a channel, and find another."""
        channel.refused[name] = error
        self._unfeed(channel, name)
        if channel.joining == name:
            channel.joining = ""
        self._place_anew(channel)

    def release(self, channel: Channel) -> None:
        """Let no vendor stand by for a better one that serves."""
        names = channel.route.names
        for name in names[names.index(channel.active) + 1 :]:
            self._unfeed(channel, name)

    def _place_anew(self, channel: Channel) -> None:
        self.displace(channel)
        self._place(channel)

    def _place(self, channel: Channel) -> None:
        names = channel.route.names
        best = self._best(channel)
        if best is None:
            if all(name in channel.refused for name in names):
                self._displaced.pop(channel, None)
                self._newsroom.rejected(channel, channel.refused[names[-1]])
        elif not channel.active:
            self._feed(channel, best)
        elif best == channel.active:
            self._stays(channel)
        else:
            self._joins(channel, self._source(best))

    def _stays(self, channel: Channel) -> None:
        """Let nobody stand by for a vendor that serves, but those before it."""
        channel.joining = ""
        if channel.live and self._feeds(channel, channel.active):
            self.release(channel)
            if channel.active == _first_possible(channel) and not channel.full:
                self._displaced.pop(channel, None)

    def _joins(self, channel: Channel, source: Source) -> None:
        """Let a vendor take over, now or as soon as it is subscribed there."""
        channel.joining = source.name
        if not source.feeds(channel):
            self._feed(channel, source.name)
        elif source.pump.subscribed(channel.spelled[source.name]):
            # It has been subscribed there all the time.
            self._came(channel, source)

    def _best(self, channel: Channel) -> str | None:
        """Return the vendor that should feed a channel now."""
        waiting: str | None = None
        for name in channel.route.names:
            if name in channel.full and self._source(name).pump.room:
                channel.full.discard(name)
                channel.refused.pop(name, None)
            if name in channel.refused or self._upstreams[name].available() is not None:
                continue
            source = self._source(name)
            if self._is_refused(channel, source) or self._is_full(channel, source):
                continue
            if source.pump.failed(self._limits.failover_seconds):
                waiting = waiting or name
                # It stays wanted, and so it is tried again.
                self._feed(channel, name)
                continue
            if (
                channel.active
                and name != channel.active
                and self._returns(channel, source.pump)
            ):
                self._feed(channel, name)
                continue
            return name
        if channel.active and channel.active not in channel.refused:
            return channel.active
        if waiting is None:
            self._note_unable(channel)
        return waiting

    def _note_unable(self, channel: Channel) -> None:
        for name in channel.route.names:
            unable = self._upstreams[name].available()
            if unable is not None:
                channel.refused.setdefault(name, unable)

    def _is_refused(self, channel: Channel, source: Source) -> bool:
        """Return whether a vendor will not have us, and note it."""
        refusal = source.pump.refusal
        if refusal is None or channel.active:
            return False
        # Who has never had data of it does not wait for that.
        channel.refused[source.name] = refusal
        source.unfeed(channel)
        return True

    def _is_full(self, channel: Channel, source: Source) -> bool:
        """Return whether a vendor takes no more symbols, and note it."""
        name, pump = source.name, source.pump
        if source.feeds(channel) or pump.wants(channel.spelled[name]):
            return False
        if not pump.room:
            # Those whom nobody wants any more make room first.
            self._newsroom.spare()
        if pump.room:
            return False
        channel.full.add(name)
        most = pump.upstream.declaration.most_symbols
        channel.refused[name] = EntitlementMissingError(
            f"the plan of {name} streams no more than {most} symbols",
            provider=name,
            feature="stream",
        )
        return True

    def _returns(self, channel: Channel, pump: Pump) -> bool:
        """Return whether a better vendor is not back for long enough yet."""
        names = channel.route.names
        if names.index(pump.provider) > names.index(channel.active):
            return False
        now = self._clock.monotonic()
        if not pump.up or pump.away_since is not None:
            return True
        return now - pump.up_since < self._limits.return_seconds

    def _feed(self, channel: Channel, name: str) -> None:
        source = self._source(name)
        if source.feed(channel):
            self._came(channel, source)

    def _unfeed(self, channel: Channel, name: str) -> None:
        source = self.sources.get(name)
        if source is not None:
            source.unfeed(channel)

    def _feeds(self, channel: Channel, name: str) -> bool:
        source = self.sources.get(name)
        return source is not None and source.feeds(channel)

    def _source(self, name: str) -> Source:
        source = self.sources.get(name)
        if source is None:
            source = self.sources[name] = self._begin(self._upstreams[name])
        return source


def _first_possible(channel: Channel) -> str | None:
    return next(
        (name for name in channel.route.names if name not in channel.refused), None
    )
