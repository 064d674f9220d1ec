"""
What vendors say, and what becomes of it: ticks of the channels, gaps, and changes.

Each vendor has one pump, and each channel one vendor whose data are published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Final, final

from typing_extensions import override

from ingestion_server.domain.durations import in_words
from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    EntitlementMissingError,
    ProviderError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ingest.live.channel import Break, Channel
from ingestion_server.ingest.live.connection import Upstream
from ingestion_server.ingest.live.limits import StreamLimits
from ingestion_server.ingest.live.newsroom import Intake, Newsroom
from ingestion_server.ingest.live.placing import Placing
from ingestion_server.ingest.live.pump import Listener, Pump
from ingestion_server.ingest.live.source import Source
from ingestion_server.ingest.live.tasks import Spawn
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.stream import Confirmed, Heard, Malformed, Refused

_CALM_SECONDS: Final = 1.0
"""Unreadable messages that follow each other so soon are one gap."""
_LONGEST_SPELL_SECONDS: Final = 30.0
"""So long at most: all that comes in between is kept to be held against a history."""
_SETTLED_SECONDS: Final = 1.0
"""So long after it was subscribed anew, a quiet symbol is known to be whole again."""


@final
class Sources(Listener):
    """Listen to each vendor that is needed, and let channels have what is theirs."""

    def __init__(  # noqa: PLR0913, PLR0917 - its parts
        self,
        upstreams: Mapping[str, Upstream],
        newsroom: Newsroom,
        intake: Intake,
        spawn: Spawn,
        clock: Clock,
        limits: StreamLimits,
        random: Callable[[], float],
    ) -> None:
        self._newsroom = newsroom
        self._intake = intake
        self._spawn = spawn
        self._clock = clock
        self._limits = limits
        self._random = random
        self._pumps: dict[str, Pump] = {}
        self._placing = Placing(
            upstreams, newsroom, self._begin, self._came, clock=clock, limits=limits
        )
        self._sources: Mapping[str, Source] = self._placing.sources
        self._unsettled: dict[Channel, None] = {}
        self.heard_items = 0
        """All that vendors said."""
        self.left_out = 0
        """Ticks that could not be true."""
        self.malformed = 0

    @property
    def pumps(self) -> Mapping[str, Pump]:
        """Return the vendors that were ever needed."""
        return self._pumps

    def instrument_of(self, provider: str, symbol: str) -> Instrument | None:
        """Return what is wanted of a vendor by its own symbol; None if nothing is."""
        source = self._sources.get(provider)
        fed = () if source is None else source.fed.get(symbol, ())
        return next((channel.instrument for channel in fed), None)

    def open(self, channel: Channel) -> None:
        """Begin to feed a channel, if need be, by the first vendor that can."""
        self._placing.open(channel)

    def close(self, channel: Channel) -> None:
        """Feed it no more."""
        self._unsettled.pop(channel, None)
        self._placing.close(channel)

    def look(self) -> None:
        """Let vendors take over from others, and gaps end, as time passes."""
        now = self._clock.monotonic()
        for channel in list(self._unsettled):
            broken = channel.broken
            if broken is None or broken.resumed_at is None:
                self._unsettled.pop(channel, None)
            elif now >= (broken.until or broken.resumed_at + _SETTLED_SECONDS):
                silent = self._pumps[channel.active].silent_seconds
                if silent is not None and now - silent > broken.resumed_at:
                    # It has spoken since, so what it did not tell is not.
                    self._mend(channel, self._clock.now_ns())
        self._placing.look()

    @override
    def heard(self, pump: Pump, said: Sequence[Heard]) -> None:
        """Let channels have what is theirs."""
        self.heard_items += len(said)
        name = pump.provider
        source = self._sources[name]
        self.left_out += source.take(
            said, self._clock.now_ns(), self._intake.ready, self._told
        )
        for channel in list(self._unsettled):
            if channel.pending and channel.active == name:
                self._arrived(channel)

    @override
    def subscribed(self, pump: Pump, symbols: Sequence[str]) -> None:
        """Let data be published that come from now on."""
        source = self._sources[pump.provider]
        for symbol in symbols:
            for channel in list(source.fed.get(symbol, ())):
                self._came(channel, source)

    @override
    def lost(self, pump: Pump, cause: str) -> None:
        """Let channels break off."""
        source = self._sources[pump.provider]
        for channel in source.channels:
            if channel.active == source.name:
                self._broke(channel, source, cause)
            elif not channel.active:
                self._placing.displace(channel)
                self._newsroom.stale(channel, cause)

    @override
    def silent(self, pump: Pump, seconds: float) -> None:
        """Say so."""
        detail = f"{pump.provider} has said nothing for {in_words(seconds)}"
        for channel in self._sources[pump.provider].channels:
            if channel.active == pump.provider:
                self._newsroom.stale(channel, detail)

    @override
    async def room(self) -> None:
        """Wait, but not for long, until subscribers have read some of it."""
        await self._newsroom.room_to_read()

    def _begin(self, upstream: Upstream) -> Source:
        """Begin to listen to a vendor."""
        pump = Pump(upstream, self, self._clock, self._limits, self._random)
        self._pumps[upstream.provider] = pump
        self._spawn(pump.run(), f"stream of {upstream.provider}")
        return Source(pump)

    def _told(self, source: Source, said: Heard) -> None:
        match said:
            case Malformed():
                self.malformed += 1
                # Nobody knows which symbols it was about.
                for channel in source.channels:
                    if channel.active == source.name and channel.live:
                        self._flush_then_break(channel, source, said.detail)
            case Refused(error, symbol) if symbol:
                for channel in list(source.fed.get(symbol, ())):
                    self._refuse(channel, source, error)
            case Refused(error, _) if isinstance(error, CredentialsRefusedError):
                source.pump.refuse(error)
            case Refused(error, _) if isinstance(error, EntitlementMissingError):
                newest = _newest_unheard(source)
                if newest is not None:
                    self._refuse(newest, source, error)
            case Refused() | Confirmed() | _:
                # What it says changes nothing; a refusal of that kind is followed by
                # the end of the connection, if it is meant.
                pass

    def _refuse(self, channel: Channel, source: Source, error: ProviderError) -> None:
        if channel.active == source.name:
            channel.live = False
            self._intake.settle(channel)
            channel.break_off(error.message, self._clock.now_ns())
        self._placing.refuse(channel, source.name, error)

    def _flush_then_break(self, channel: Channel, source: Source, detail: str) -> None:
        cause = f"a message could not be read: {detail}"
        self._intake.settle(channel)
        now, now_ns = self._clock.monotonic(), self._clock.now_ns()
        broken = channel.broken
        if broken is not None and now >= (broken.longest_until or inf):
            self._mend(channel, now_ns)
        channel.break_off(cause, self._heard_ns(source))
        channel.resume(now, now_ns)
        if channel.broken is not None and now - channel.malformed_at < _CALM_SECONDS:
            _prolong(channel.broken, now)
        self._unsettled[channel] = None
        channel.malformed_at = now

    def _came(self, channel: Channel, source: Source) -> None:
        """Note that a channel's data come by a vendor."""
        if channel.active == source.name:
            self._resumed(channel, source)
        elif not channel.active:
            _activate(channel, source)
            self._resumed(channel, source)
        elif channel.joining == source.name:
            self._take_over(channel, source)

    def _resumed(self, channel: Channel, source: Source) -> None:
        channel.live = True
        if not channel.since_ns:
            channel.since_ns = self._clock.now_ns() - source.delay_ns
            channel.begun_at = self._clock.monotonic()
        if channel.broken is not None:
            channel.resume(self._clock.monotonic(), self._clock.now_ns())
            self._unsettled[channel] = None
        self._newsroom.begun(channel)

    def _take_over(self, channel: Channel, source: Source) -> None:
        previous, now_ns = channel.active, self._clock.now_ns()
        self._intake.settle(channel)
        late = channel.sampled or self._sources[previous].delay_ns
        if late or channel.runs_ahead:
            # Between the last that the one told and the first of the other, some are
            # told by nobody; and of two clocks nobody knows which those are.
            channel.break_off(f"{source.name} serves in place of {previous}", now_ns)
        if channel.broken is not None:
            # What another vendor tells from here on fills nothing of it.
            self._mend(channel, now_ns, filling=False)
        channel.joining = ""
        _activate(channel, source)
        channel.live = True
        if channel.newest_ns > now_ns:
            # Whose clock was ahead has not told what is still to come.
            channel.newest_ns = now_ns - 1
        channel.floor_ns = channel.newest_ns
        self._newsroom.changed(channel, previous)
        self._newsroom.begun(channel)
        self._placing.release(channel)

    def _arrived(self, channel: Channel) -> None:
        """End a break by the first tick that came after it."""
        broken = channel.broken
        if broken is None or broken.resumed_at is None:
            self._unsettled.pop(channel, None)
            return
        if broken.until is not None and self._clock.monotonic() < broken.until:
            return
        first_ns = min(tick.time_ns for tick in channel.pending)
        if first_ns < broken.from_ns:
            # A straggler: what was lost may still lie behind it.
            return
        # What was in one instant with the first may be missing as well.
        self._mend(channel, max(first_ns + 1_000_000, broken.resumed_ns))

    def _mend(self, channel: Channel, to_ns: int, *, filling: bool = True) -> None:
        self._unsettled.pop(channel, None)
        if channel.broken is None:
            return
        to_ns = max(to_ns, channel.broken.from_ns + 1)
        # Else there was more than is kept, and a history would tell it again.
        whole = channel.broken.overlap in channel.overlaps
        broken = channel.mend(to_ns)
        if broken is not None:
            filling = filling and whole and not channel.sampled
            self._newsroom.gap(channel, broken, to_ns, filling=filling)

    def _broke(self, channel: Channel, source: Source, cause: str) -> None:
        self._placing.displace(channel)
        was_live, channel.live = channel.live, False
        if not was_live and channel.broken is not None:
            return
        self._intake.settle(channel)
        if channel.break_off(cause, self._heard_ns(source)):
            self._newsroom.stale(channel, cause)

    def _heard_ns(self, source: Source) -> int:
        """Return until when, by its vendor's clock, a connection was surely well."""
        silent = self._clock.monotonic() - source.pump.message_at
        return self._clock.now_ns() - int(silent * SECOND_NS) - source.delay_ns


def _activate(channel: Channel, source: Source) -> None:
    channel.active = source.name
    channel.sampled = source.pump.upstream.declaration.sampled


def _prolong(broken: Break, now: float) -> None:
    """Let a break go on, since what is lost now belongs to it; but not for ever."""
    if broken.longest_until is None:
        broken.longest_until = now + _LONGEST_SPELL_SECONDS
    broken.until = min(now + _CALM_SECONDS, broken.longest_until)


def _newest_unheard(source: Source) -> Channel | None:
    channels = [
        channel
        for channel in source.channels
        if channel.latest is None and channel.active == source.name
    ]
    return channels[-1] if channels else None
