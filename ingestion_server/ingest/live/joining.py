"""How a subscriber joins: what can be had, what was missed, and what comes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, final

from msgspec.structs import replace
from typing_extensions import override

from ingestion_server.domain.bars import BarState
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    IngestionError,
    InvalidQueryError,
    Violation,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.domain.sessions import Sessions
from ingestion_server.domain.ticks import Quote, Tick, TickKind, Trade
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.live import tokens
from ingestion_server.ingest.live.channel import Channel, Route
from ingestion_server.ingest.live.connection import Upstream
from ingestion_server.ingest.live.hub import Hub, own_bars
from ingestion_server.ingest.live.mailbox import Mailbox
from ingestion_server.ingest.live.past import Past, history
from ingestion_server.ingest.live.publishing import (
    MOST_BATCH_ITEMS,
    Batch,
    Entry,
    Partition,
    Placed,
)
from ingestion_server.ingest.live.sources import unable
from ingestion_server.ingest.live.subscriber import Line, Subscriber
from ingestion_server.ports.calendars import Calendars
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.live import (
    Asked,
    LiveData,
    StreamEvent,
    StreamEventKind,
    StreamQuery,
)

_CALENDAR_SECONDS: Final = 5.0
_HISTORY_SECONDS: Final = 30.0
_HISTORIES_AT_ONCE: Final = 8
_LATE_SECONDS: Final = 1.0
"""How late trades of a vendor without delay may come."""
_MOST_UNFINISHED: Final = 5
"""So many of the latest bars of a history may still be waited for."""

Order = Callable[[SourcePolicy], Sequence[str]]
"""Return the vendors that may be asked; raises ``InvalidQueryError``."""


@final
class LiveDesk(LiveData):
    """Let subscribers have what the hub has."""

    def __init__(
        self,
        hub: Hub,
        order: Order,
        chosen: Callable[[], bool],
        fetcher: Fetcher,
        calendars: Calendars,
        clock: Clock,
    ) -> None:
        """
        Set up.

        Args:
            hub: has the data.
            order: says which vendors a policy allows.
            chosen: says whether an operator chose the order.
            fetcher: tells history.
            calendars: tell when hours begin.
            clock: tells the time.

        """
        self._hub = hub
        self._order = order
        self._chosen = chosen
        self._fetcher = fetcher
        self._calendars = calendars
        self._clock = clock
        self._histories = asyncio.Semaphore(_HISTORIES_AT_ONCE)

    @asynccontextmanager
    @override
    async def stream(self, query: StreamQuery) -> AsyncIterator[AsyncIterator[bytes]]:
        """Subscribe while the block lasts, and yield encoded messages without end."""
        if query.policy.mode is SourceMode.CONSENSUS:
            wrong = Violation("source_policy.mode", "MODE_CONSENSUS is not for streams")
            raise InvalidQueryError([wrong])
        names = self._order(query.policy)
        if query.resume_token and tokens.read(query.resume_token) is None:
            wrong = Violation("resume_token", "is none that a stream has given")
            raise InvalidQueryError([wrong])
        sessions = await self._sessions(query)
        subscriber = self._joined(query, names, sessions)
        try:
            yield subscriber.messages()
        finally:
            self._left(subscriber)

    async def _sessions(self, query: StreamQuery) -> Mapping[str, Sessions | None]:
        """Return the calendars that bars need, as far as they are there in time."""
        if TickKind.BARS not in query.kinds:
            return {}
        venues = {
            asked.instrument.exchange
            for asked in query.asked
            if isinstance(asked.instrument, Instrument) and asked.instrument.venue
        }
        found: dict[str, Sessions | None] = {}
        try:
            async with asyncio.timeout(_CALENDAR_SECONDS):
                for venue in venues:
                    found[venue] = await self._calendars.sessions(venue)
        except TimeoutError:
            pass
        return found

    def _joined(
        self,
        query: StreamQuery,
        names: Sequence[str],
        sessions: Mapping[str, Sessions | None],
    ) -> Subscriber:
        """Subscribe; nothing of it waits, so nothing is missed meanwhile."""
        hub, publisher = self._hub, self._hub.publisher
        mailbox = Mailbox(
            query.slow,
            most_items=hub.limits.queue_items,
            alone=publisher.alone,
            now_ns=self._clock.now_ns,
            monotonic=self._clock.monotonic,
        )
        subscriber = Subscriber(query, mailbox, publisher)
        token = tokens.read(query.resume_token)
        rejected: list[StreamEvent] = []
        try:
            for asked in query.asked:
                self._ask(asked, query, names, sessions, subscriber, rejected)
            self._begin(subscriber, token, rejected)
        except BaseException:
            self._left(subscriber)
            raise
        return subscriber

    def _begin(
        self,
        subscriber: Subscriber,
        token: tokens.Token | None,
        rejected: Sequence[StreamEvent],
    ) -> None:
        hub, publisher, mailbox = self._hub, self._hub.publisher, subscriber.mailbox
        query = subscriber.query
        partitions = list(subscriber.wanted())
        if partitions:
            subscriber.group = publisher.join(partitions, query.batch_seconds, mailbox)
        mailbox.position = publisher.position
        missed = None if token is None else self._missed(token, subscriber)
        events = [*rejected, *self._begun(subscriber, missed)]
        # Who comes back before history was told shall get it then.
        known = missed is None and not subscriber.past_wanted
        position = publisher.position if known else None
        subscriber.first = [publisher.alone((), events, position)]
        if missed is not None:
            subscriber.replay = self._replayed(missed, publisher.position)
        if subscriber.past_wanted:
            for line in subscriber.lines:
                task = asyncio.ensure_future(self._past(query, line))
                subscriber.past.append(task)
        hub.came(subscriber)
        subscriber.begin()
        # Last, for then it hears what becomes of them.
        for channel in subscriber.channels:
            hub.sources.open(channel)

    def _left(self, subscriber: Subscriber) -> None:
        subscriber.end()
        if subscriber.group is not None:
            self._hub.publisher.leave(subscriber.group, subscriber.mailbox)
        self._hub.gone(subscriber)

    def _ask(
        self,
        asked: Asked,
        query: StreamQuery,
        names: Sequence[str],
        sessions: Mapping[str, Sessions | None],
        subscriber: Subscriber,
        rejected: list[StreamEvent],
    ) -> None:
        """Subscribe to one symbol, or say why not."""
        if not isinstance(asked.instrument, Instrument):
            rejected.append(self._rejection(asked.symbol, None, asked.instrument))
            return
        instrument = asked.instrument
        hub = self._hub
        bases: dict[TickKind, list[TickKind]] = {}
        for kind in sorted(query.kinds):
            of_quotes = kind is TickKind.QUOTES
            base = TickKind.QUOTES if of_quotes else TickKind.TRADES
            bases.setdefault(base, []).append(kind)
        for base, kinds in bases.items():
            try:
                route = self._route(instrument, base, query.policy, names)
            except IngestionError as error:
                rejected += [
                    self._rejection(instrument.symbol, k, error) for k in kinds
                ]
                continue
            channel = hub.channel(instrument, base, route)
            subscriber.channels.append(channel)
            if TickKind.BARS in kinds:
                line = hub.line(
                    channel,
                    query.interval,
                    query.hours,
                    sessions.get(instrument.exchange),
                )
                now_ns = self._clock.now_ns()
                until_ns = line.labels.open_ns(now_ns)
                subscriber.lines.append(
                    Line(
                        channel,
                        line,
                        now_ns if until_ns is None else until_ns,
                        line.partition.sequence,
                    )
                )

    def _route(
        self,
        instrument: Instrument,
        kind: TickKind,
        policy: SourcePolicy,
        names: Sequence[str],
    ) -> Route:
        """
        Return who may serve, first choice first.

        Unless somebody has chosen an order, who tells every trade comes before who
        tells samples, and that before who has to be asked.
        """
        upstreams = self._hub.upstreams
        able = [
            name for name in names if _serves(upstreams.get(name), instrument, kind)
        ]
        if not able:
            raise CapabilityMissingError(
                f"none of {', '.join(names) or 'no vendor'} streams {kind} of "
                f"{instrument.symbol}",
                provider="",
            )
        if all(upstreams[name].available() is not None for name in able):
            raise unable(able, upstreams)
        if policy.mode is SourceMode.ANY and not self._chosen():
            able.sort(
                key=lambda name: (
                    upstreams[name].polled,
                    upstreams[name].declaration.sampled,
                )
            )
        return Route(tuple(able), own_bars(policy))

    def _rejection(
        self, symbol: str, kind: TickKind | None, error: IngestionError
    ) -> StreamEvent:
        return StreamEvent(
            kind=StreamEventKind.REJECTED,
            time_ns=self._clock.now_ns(),
            symbol=symbol,
            tick_kind=kind,
            reason=error.reason,
            detail=error.message,
        )

    def _missed(self, token: tokens.Token, subscriber: Subscriber) -> _Missed:
        """Return what came since a token was given."""
        publisher = self._hub.publisher
        missed = _Missed([], {}, [])
        strange = token.epoch != publisher.epoch or token.position > publisher.position
        for channel, partition in subscriber.sources():
            entries = [] if strange else partition.since(token.position)
            missed.entries.extend(entries)
            first = next((e for e in entries if not isinstance(e, Placed)), None)
            sequence = partition.sequence if first is None else first.sequence - 1
            missed.sequences[partition] = sequence
            cause = ""
            if strange:
                cause = "the server was started anew since"
            elif partition.born > token.position:
                cause = "nobody was subscribed for a while"
            elif partition.evicted > token.position:
                cause = "more has happened since than is kept"
            if cause:
                to_ns = self._clock.now_ns()
                if partition.born <= token.position and isinstance(
                    first, Trade | Quote
                ):
                    to_ns = first.time_ns  # from there on all is kept
                self._declare(missed, channel, partition, token, (cause, to_ns))
        missed.entries.sort(key=_position)
        return missed

    def _declare(
        self,
        missed: _Missed,
        channel: Channel,
        partition: Partition,
        token: tokens.Token,
        why: tuple[str, int],
    ) -> None:
        """Say that data are missing since a token, or have it said once they come."""
        cause, to_ns = why
        # What took place before, but had not arrived, is missing as well.
        from_ns = token.time_ns - self._late_ns(channel)
        if not channel.live and partition is channel.partition:
            channel.awaits_from(min(from_ns, to_ns), cause)
            return
        missed.gaps.append(
            StreamEvent(
                kind=StreamEventKind.GAP,
                time_ns=self._clock.now_ns(),
                symbol=partition.symbol,
                tick_kind=partition.kind,
                sequence=missed.sequences[partition],
                from_ns=min(from_ns, to_ns),
                to_ns=to_ns,
                cause=cause,
            )
        )

    def _late_ns(self, channel: Channel) -> int:
        upstream = self._hub.upstreams[channel.active or channel.route.names[0]]
        delay = upstream.declaration.feed_delay_seconds or 0.0
        return int((delay + _LATE_SECONDS) * SECOND_NS)

    def _begun(
        self, subscriber: Subscriber, missed: _Missed | None
    ) -> Iterator[StreamEvent]:
        """Yield what is told first; who has to wait for it is noted."""
        hub = self._hub
        for channel in subscriber.channels:
            if not channel.live:
                channel.awaiting[subscriber] = None
                if channel.active:
                    pump = hub.sources.pumps[channel.active]
                    yield StreamEvent(
                        kind=StreamEventKind.STALE,
                        time_ns=self._clock.now_ns(),
                        symbol=channel.symbol,
                        tick_kind=channel.kind,
                        detail=pump.cause or f"{channel.active} is away",
                    )
                continue
            for partition in subscriber.partitions(channel):
                event = hub.subscribed_event(channel, partition)
                if missed is not None:
                    event = replace(event, sequence=missed.sequences[partition])
                yield event
        if missed is not None:
            yield from missed.gaps

    def _replayed(self, missed: _Missed, until: int) -> Iterator[Batch]:
        """Yield what came since as messages, each with its own token."""
        publisher = self._hub.publisher
        ticks: list[Tick] = []
        events: list[StreamEvent] = []
        position = 0
        for entry in missed.entries:
            full = len(ticks) + len(events) >= MOST_BATCH_ITEMS
            if full or (ticks and isinstance(entry, Placed)):
                yield publisher.alone(ticks, events, position)
                ticks, events = [], []
            if isinstance(entry, Placed):
                events.append(entry.event)
            else:
                ticks.append(entry)
            position = entry.position
        yield publisher.alone(ticks, events, until)

    async def _past(self, query: StreamQuery, line: Line) -> tuple[Line, Past]:
        """Return the history of one symbol; a defect is a hole with its reason."""
        start_ns = query.start_ns or 0
        async with self._histories:
            past = await history(
                self._fetcher,
                line.channel.instrument,
                query.interval,
                query.hours,
                start_ns=start_ns,
                end_ns=line.until_ns,
                policy=query.policy,
                budget_seconds=_HISTORY_SECONDS,
            )
        for bar in past.bars[-_MOST_UNFINISHED:]:
            if bar.state is BarState.PARTIAL:
                self._hub.confirm(line.channel, line.line, bar.open_time_ns)
        return line, past


class _Missed(NamedTuple):
    """Be what came since a token was given."""

    entries: list[Entry]
    sequences: dict[Partition, int]
    gaps: list[StreamEvent]


def _serves(upstream: Upstream | None, instrument: Instrument, kind: TickKind) -> bool:
    return (
        upstream is not None
        and kind in upstream.declaration.kinds
        and instrument.asset_class in upstream.declaration.asset_classes
        and upstream.spelling(instrument) is not None
    )


def _position(entry: Entry) -> int:
    return entry.position
