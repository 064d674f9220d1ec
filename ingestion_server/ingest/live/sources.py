"""
Whose live data are published: who is asked first, who takes over, and what is lost.

Each vendor has one pump, and each channel one vendor whose data are published. A better
vendor that is away stays subscribed, so that it can take over again without a hole.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol, final

from typing_extensions import override

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    EntitlementMissingError,
    ProviderError,
)
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.ticks import Quote, TickMark, Trade
from ingestion_server.ingest.live.channel import Break, Channel
from ingestion_server.ingest.live.checks import Duplicates, TickChecks
from ingestion_server.ingest.live.connection import Upstream
from ingestion_server.ingest.live.limits import StreamLimits
from ingestion_server.ingest.live.pump import Listener, Pump
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.stream import Confirmed, Heard, Malformed, Refused

_CALM_SECONDS: Final = 1.0
"""Unreadable messages that follow each other so soon are one gap."""
_SETTLED_SECONDS: Final = 1.0
"""So long after it was subscribed anew, a quiet symbol is known to be whole again."""


class Newsroom(Protocol):
    """Tell subscribers what becomes of a channel."""

    def ready(self, channel: Channel) -> None:
        """Hear that ticks wait to be published."""
        ...

    def settle(self, channel: Channel) -> None:
        """Publish what waits, because what follows is about what comes after."""
        ...

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


@final
class Sources(Listener):
    """Have a pump for each vendor, and know which channel it feeds."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        newsroom: Newsroom,
        spawn: Callable[[Coroutine[None, None, None], str], None],
        clock: Clock,
        limits: StreamLimits,
        random: Callable[[], float],
    ) -> None:
        self._upstreams = upstreams
        self._newsroom = newsroom
        self._spawn = spawn
        self._clock = clock
        self._limits = limits
        self._random = random
        self._pumps: dict[str, Pump] = {}
        self._fed: dict[str, dict[str, dict[Channel, None]]] = {}
        self._checks: dict[str, TickChecks] = {}
        self._duplicates: dict[str, Duplicates] = {}
        self._unsettled: dict[Channel, None] = {}
        self._displaced: dict[Channel, None] = {}
        self.heard_items = 0
        """All that vendors said."""
        self.left_out = 0
        """Ticks that could not be true."""
        self.malformed = 0

    @property
    def pumps(self) -> Mapping[str, Pump]:
        """Return the vendors that were ever needed."""
        return self._pumps

    def upstream(self, name: str) -> Upstream:
        """Return a vendor's."""
        return self._upstreams[name]

    def open(self, channel: Channel) -> None:
        """Begin to feed a channel, if need be, by the first vendor that can."""
        if not channel.active and not any(
            self._feeds(channel, name) for name in channel.route.names
        ):
            self._displaced[channel] = None
            self._place(channel)

    def close(self, channel: Channel) -> None:
        """Feed it no more."""
        for name in channel.spelled:
            self._unfeed(channel, name)
        self._unsettled.pop(channel, None)
        self._displaced.pop(channel, None)

    def look(self) -> None:
        """Let vendors take over from others, and gaps end, as time passes."""
        now = self._clock.monotonic()
        for channel in list(self._unsettled):
            broken = channel.broken
            if broken is None or broken.resumed_at is None:
                self._unsettled.pop(channel, None)
            elif now >= (broken.until or broken.resumed_at + _SETTLED_SECONDS):
                pump = self._pumps[channel.active]
                silent = pump.silent_seconds
                if silent is not None and now - silent > broken.resumed_at:
                    # It has spoken since, so what it did not tell is not.
                    self._mend(channel, self._clock.now_ns())
        for name, pump in self._pumps.items():
            if pump.failed(self._limits.failover_seconds):
                for channel in list(self._channels(name)):
                    self._displaced[channel] = None
        for channel in list(self._displaced):
            self._place(channel)

    @override
    def heard(  # noqa: C901, PLR0912 - a call for each tick would cost a tenth
        self, pump: Pump, said: Sequence[Heard]
    ) -> None:
        """Let channels have what is theirs."""
        self.heard_items += len(said)
        name = pump.provider
        fed = self._fed.get(name, {})
        checks = self._checks[name]
        now_ns = self._clock.now_ns()
        newsroom = self._newsroom
        for each in said:
            if type(each) is Trade:
                channels = fed.get(each.symbol)
                if not channels:
                    continue
                if checks.trade(each, now_ns) or (
                    each.trade_id and self._duplicates[name].seen(each)
                ):
                    self.left_out += 1
                    continue
            elif type(each) is Quote:
                channels = fed.get(each.symbol)
                if not channels:
                    continue
                if checks.quote(each, now_ns):
                    self.left_out += 1
                    continue
            else:
                self._told(pump, each)
                continue
            each.provider = name
            kind = type(each)
            first = True
            for channel in channels:
                if channel.active != name or (kind is Trade) is not channel.of_trades:
                    continue
                if each.time_ns <= channel.floor_ns:
                    continue
                tick = each if first else _copy(each)
                first = False
                tick.symbol = channel.symbol
                if not channel.pending:
                    newsroom.ready(channel)
                channel.pending.append(tick)
        for channel in list(self._unsettled):
            if channel.pending and channel.active == name:
                self._arrived(channel)

    @override
    def subscribed(self, pump: Pump, symbols: Sequence[str]) -> None:
        """Let data be published that come from now on."""
        fed = self._fed.get(pump.provider, {})
        for symbol in symbols:
            for channel in list(fed.get(symbol, ())):
                self._came(channel, pump)

    @override
    def lost(self, pump: Pump, cause: str) -> None:
        """Let channels break off."""
        for channel in list(self._channels(pump.provider)):
            if channel.active == pump.provider:
                self._broke(channel, pump, cause)
            elif not channel.active:
                self._displaced[channel] = None
                self._newsroom.stale(channel, cause)

    @override
    def silent(self, pump: Pump, seconds: float) -> None:
        """Say so."""
        detail = f"{pump.provider} has said nothing for {seconds:.3g} seconds"
        for channel in list(self._channels(pump.provider)):
            if channel.active == pump.provider:
                self._newsroom.stale(channel, detail)

    @override
    async def room(self) -> None:
        """Wait, but not for long, until subscribers have read some of it."""
        await self._newsroom.room_to_read()

    def refuse(self, channel: Channel, name: str, error: ProviderError) -> None:
        """Hear that a vendor will not serve a channel."""
        channel.refused[name] = error
        self._unfeed(channel, name)
        if channel.joining == name:
            channel.joining = ""
        if channel.active == name:
            channel.live = False
            self._newsroom.settle(channel)
            channel.break_off(error.message, self._clock.now_ns())
        self._displaced[channel] = None
        self._place(channel)

    def _told(self, pump: Pump, said: Heard) -> None:
        match said:
            case Malformed():
                self.malformed += 1
                # Nobody knows which symbols it was about.
                for channel in list(self._channels(pump.provider)):
                    if channel.active == pump.provider and channel.live:
                        self._flush_then_break(channel, said.detail)
            case Refused(error, symbol) if symbol:
                channels = self._fed.get(pump.provider, {}).get(symbol, {})
                for channel in list(channels):
                    self.refuse(channel, pump.provider, error)
            case Refused(error, _) if isinstance(error, CredentialsRefusedError):
                pump.refuse(error)
            case Refused(error, _) if isinstance(error, EntitlementMissingError):
                newest = self._newest_unheard(pump.provider)
                if newest is not None:
                    self.refuse(newest, pump.provider, error)
            case Refused() | Confirmed() | _:
                # What it says changes nothing; a refusal of that kind is followed by
                # the end of the connection, if it is meant.
                pass

    def _flush_then_break(self, channel: Channel, detail: str) -> None:
        cause = f"a message could not be read: {detail}"
        self._newsroom.settle(channel)
        channel.break_off(cause, self._heard_ns(self._pumps[channel.active]))
        now = self._clock.monotonic()
        if channel.broken is not None and channel.live:
            channel.resume(now, self._clock.now_ns())
            if now - channel.malformed_at < _CALM_SECONDS:
                # One gap for many messages; what comes in between is not held
                # against a history, so it is not filled.
                channel.broken.until = now + _CALM_SECONDS
            self._unsettled[channel] = None
        channel.malformed_at = now

    def _newest_unheard(self, name: str) -> Channel | None:
        channels = [
            channel
            for channel in self._channels(name)
            if channel.latest is None and channel.active == name
        ]
        return channels[-1] if channels else None

    def _came(self, channel: Channel, pump: Pump) -> None:
        """Note that a channel's data come by a vendor."""
        name = pump.provider
        if channel.active == name:
            self._resumed(channel)
        elif not channel.active:
            self._activate(channel, name)
            self._resumed(channel)
        elif channel.joining == name:
            self._take_over(channel, name)

    def _resumed(self, channel: Channel) -> None:
        channel.live = True
        if not channel.since_ns:
            channel.since_ns = self._clock.now_ns() - self._delay_ns(channel.active)
            channel.begun_at = self._clock.monotonic()
        if channel.broken is not None:
            channel.resume(self._clock.monotonic(), self._clock.now_ns())
            self._unsettled[channel] = None
        self._newsroom.begun(channel)

    def _activate(self, channel: Channel, name: str) -> None:
        channel.active = name
        channel.sampled = self._upstreams[name].declaration.sampled

    def _take_over(self, channel: Channel, name: str) -> None:
        previous = channel.active
        self._newsroom.settle(channel)
        delayed = self._upstreams[previous].declaration.feed_delay_seconds
        if channel.sampled or delayed:
            # Between the last that the one told and the first of the other, some are
            # told by nobody.
            channel.break_off(
                f"{name} serves in place of {previous}", self._clock.now_ns()
            )
        if channel.broken is not None:
            # What another vendor tells from here on fills nothing of it.
            self._mend(channel, self._clock.now_ns(), filling=False)
        channel.joining = ""
        self._activate(channel, name)
        channel.live = True
        channel.floor_ns = min(channel.newest_ns, self._clock.now_ns())
        self._newsroom.changed(channel, previous)
        self._newsroom.begun(channel)
        names = channel.route.names
        for worse in names[names.index(name) + 1 :]:
            self._unfeed(channel, worse)

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
        broken = channel.mend(to_ns)
        if broken is not None:
            filling = filling and not channel.sampled and broken.until is None
            self._newsroom.gap(channel, broken, to_ns, filling=filling)

    def _broke(self, channel: Channel, pump: Pump, cause: str) -> None:
        self._displaced[channel] = None
        was_live, channel.live = channel.live, False
        if not was_live and channel.broken is not None:
            return
        self._newsroom.settle(channel)
        if channel.break_off(cause, self._heard_ns(pump)):
            self._newsroom.stale(channel, cause)

    def _place(self, channel: Channel) -> None:
        """Have a channel fed by the first vendor of its route that can."""
        names = channel.route.names
        best = self._best(channel)
        if best is None:
            if all(name in channel.refused for name in names):
                self._displaced.pop(channel, None)
                self._newsroom.rejected(channel, channel.refused[names[-1]])
            return
        if not channel.active:
            if not self._feeds(channel, best):
                self._feed(channel, best)
            return
        if best == channel.active:
            self._stays(channel)
            return
        pump = self._pumps.get(best)
        if (
            self._feeds(channel, best)
            and pump is not None
            and pump.subscribed(channel.spelled[best])
        ):
            # It has been subscribed there all the time.
            self._take_over(channel, best)
        elif channel.joining != best:
            channel.joining = best
            self._feed(channel, best)

    def _stays(self, channel: Channel) -> None:
        """Let nobody stand by for a vendor that serves, but those before it."""
        channel.joining = ""
        active, names = channel.active, channel.route.names
        if channel.live and self._feeds(channel, active):
            for name in names[names.index(active) + 1 :]:
                self._unfeed(channel, name)
            if active == self._first_possible(channel) and not channel.full:
                self._displaced.pop(channel, None)

    def _best(self, channel: Channel) -> str | None:
        """Return the vendor that should feed a channel now."""
        names = channel.route.names
        waiting: str | None = None
        for name in names:
            if name in channel.full and self._pump(name).room:
                channel.full.discard(name)
                channel.refused.pop(name, None)
            if name in channel.refused:
                continue
            unable = self._upstreams[name].available()
            if unable is not None:
                continue
            pump = self._pump(name)
            if self._is_refused(channel, name, pump) or self._is_full(
                channel, name, pump
            ):
                continue
            if pump.failed(self._limits.failover_seconds):
                waiting = waiting or name
                # It stays wanted, and so it is tried again.
                self._feed(channel, name)
                continue
            if (
                channel.active
                and name != channel.active
                and self._returns(channel, name, pump)
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

    def _is_refused(self, channel: Channel, name: str, pump: Pump) -> bool:
        """Return whether a vendor will not have us, and note it."""
        refusal = pump.refusal
        if refusal is None or channel.active:
            return False
        # Who has never had data of it does not wait for that.
        channel.refused[name] = refusal
        self._unfeed(channel, name)
        return True

    def _is_full(self, channel: Channel, name: str, pump: Pump) -> bool:
        """Return whether a vendor takes no more symbols, and note it."""
        if self._feeds(channel, name) or pump.wants(channel.spelled[name]):
            return False
        if not pump.room:
            # Those whom nobody wants any more make room first.
            self._newsroom.spare()
        if pump.room:
            return False
        channel.full.add(name)
        most = self._upstreams[name].declaration.most_symbols
        channel.refused[name] = EntitlementMissingError(
            f"the plan of {name} streams no more than {most} symbols",
            provider=name,
            feature="stream",
        )
        return True

    def _returns(self, channel: Channel, name: str, pump: Pump) -> bool:
        """Return whether a better vendor is not back for long enough yet."""
        names = channel.route.names
        if names.index(name) > names.index(channel.active):
            return False
        now = self._clock.monotonic()
        if not pump.up or pump.away_since is not None:
            return True
        return now - pump.up_since < self._limits.return_seconds

    def _first_possible(self, channel: Channel) -> str | None:
        return next(
            (name for name in channel.route.names if name not in channel.refused), None
        )

    def _feed(self, channel: Channel, name: str) -> None:
        symbol = channel.spelled[name]
        channels = self._fed.setdefault(name, {}).setdefault(symbol, {})
        if channel in channels:
            return
        channels[channel] = None
        pump = self._pump(name)
        pump.want(symbol)
        if pump.subscribed(symbol):
            self._came(channel, pump)

    def _unfeed(self, channel: Channel, name: str) -> None:
        symbol = channel.spelled[name]
        channels = self._fed.get(name, {}).get(symbol)
        if channels is None or channel not in channels:
            return
        del channels[channel]
        if not channels:
            del self._fed[name][symbol]
            self._pumps[name].unwant(symbol)
            self._duplicates[name].forget(symbol)

    def _feeds(self, channel: Channel, name: str) -> bool:
        return channel in self._fed.get(name, {}).get(channel.spelled[name], {})

    def _channels(self, name: str) -> Iterator[Channel]:
        for channels in self._fed.get(name, {}).values():
            yield from channels

    def _pump(self, name: str) -> Pump:
        pump = self._pumps.get(name)
        if pump is None:
            upstream = self._upstreams[name]
            pump = Pump(upstream, self, self._clock, self._limits, self._random)
            self._pumps[name] = pump
            self._checks[name] = TickChecks(
                feed_delay_seconds=upstream.declaration.feed_delay_seconds or 0.0
            )
            self._duplicates[name] = Duplicates()
            self._spawn(pump.run(), f"stream of {name}")
        return pump

    def _heard_ns(self, pump: Pump) -> int:
        """Return until when, by its vendor's clock, a connection was surely well."""
        silent = self._clock.monotonic() - pump.message_at
        late_ns = int(silent * SECOND_NS) + self._delay_ns(pump.provider)
        return self._clock.now_ns() - late_ns

    def _delay_ns(self, name: str) -> int:
        delay = self._upstreams[name].declaration.feed_delay_seconds or 0.0
        return int(delay * SECOND_NS)


def _copy(tick: Trade | Quote) -> Trade | Quote:
    if isinstance(tick, Trade):
        return Trade(
            tick.symbol,
            tick.time_ns,
            tick.price,
            tick.size,
            tick.conditions,
            tick.trade_id,
            tick.marks & ~TickMark.OUT_OF_ORDER,
            tick.received_at_ns,
            tick.provider,
        )
    return Quote(
        tick.symbol,
        tick.time_ns,
        tick.bid,
        tick.bid_size,
        tick.ask,
        tick.ask_size,
        tick.marks & ~TickMark.OUT_OF_ORDER,
        tick.received_at_ns,
        tick.provider,
    )


def unable(names: Iterable[str], upstreams: Mapping[str, Upstream]) -> ProviderError:
    """Return why none of these vendors streams."""
    for name in names:
        upstream = upstreams.get(name)
        error = None if upstream is None else upstream.available()
        if error is not None:
            return error
    named = ", ".join(names)
    return CapabilityMissingError(
        f"no live data of this kind from {named}", provider=""
    )
