"""How a subscriber joins: what can be had, what was missed, and what comes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

from typing_extensions import override

from ingestion_server.domain.errors import (
    IngestionError,
    InvalidQueryError,
    Violation,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.domain.sessions import Sessions
from ingestion_server.domain.ticks import LiveBar, TickKind
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.live import tokens
from ingestion_server.ingest.live.historian import Historian, Histories
from ingestion_server.ingest.live.hub import Hub
from ingestion_server.ingest.live.mailbox import Alone, Mailbox
from ingestion_server.ingest.live.publishing import MOST_BATCH_ITEMS, Batch
from ingestion_server.ingest.live.resuming import Missed
from ingestion_server.ingest.live.routing import route
from ingestion_server.ingest.live.standing import opening
from ingestion_server.ingest.live.subscriber import Line, Subscriber, split
from ingestion_server.ingest.live.withholding import Withholding
from ingestion_server.ports.calendars import Calendars
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.live import (
    Asked,
    LiveData,
    StreamEncoder,
    StreamEvent,
    StreamEventKind,
    StreamQuery,
)

_CALENDAR_SECONDS: Final = 5.0

Order = Callable[[SourcePolicy], Sequence[str]]
"""Return the vendors that may be asked; raises ``InvalidQueryError``."""


@final
class LiveDesk(LiveData):
    """Let subscribers have what the hub has."""

    def __init__(  # noqa: PLR0913, PLR0917 - its parts
        self,
        hub: Hub,
        order: Order,
        chosen: Callable[[], bool],
        fetcher: Fetcher,
        calendars: Calendars,
        clock: Clock,
        encoder: StreamEncoder,
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
            encoder: writes tokens.

        """
        self._hub = hub
        self._order = order
        self._chosen = chosen
        self._calendars = calendars
        self._clock = clock
        self._encoder = encoder
        self._historian = Historian(hub, fetcher, clock)

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
        publisher = self._hub.publisher
        withholding = Withholding(publisher, self._encoder)
        mailbox = Mailbox(
            query.slow,
            most_items=self._hub.limits.queue_items,
            alone=withholding.alone,
            now_ns=self._clock.now_ns,
            monotonic=self._clock.monotonic,
        )
        token = tokens.read(query.resume_token)
        # Who comes back before history was told gets it then.
        past_wanted = query.start_ns is not None and (
            token is None or token.history_due
        )
        subscriber = Subscriber(
            query, mailbox, publisher, withholding, past_wanted=past_wanted
        )
        rejected: list[StreamEvent] = []
        try:
            for asked in query.asked:
                self._ask(asked, query, names, sessions, subscriber, rejected)
            self._begin(subscriber, withholding, token, rejected)
        except BaseException:
            self._left(subscriber)
            raise
        return subscriber

    def _begin(
        self,
        subscriber: Subscriber,
        withholding: Withholding,
        token: tokens.Token | None,
        rejected: Sequence[StreamEvent],
    ) -> None:
        hub, publisher = self._hub, self._hub.publisher
        query, lines = subscriber.query, subscriber.lines
        partitions = [partition for _, partition in subscriber.sources()]
        if partitions:
            subscriber.group = publisher.join(
                partitions, query.batch_seconds, subscriber
            )
        subscriber.mailbox.position = publisher.position
        if subscriber.past_wanted:
            withholding.begin(each.channel.symbol for each in lines)
        missed = None
        if token is not None:
            missed = Missed(hub, token, subscriber.resumed())
        events, bars = opening(hub, subscriber, missed)
        subscriber.first = _opening(
            [*rejected, *events],
            bars,
            publisher.position if missed is None else None,
            withholding.alone,
        )
        if missed is not None:
            subscriber.replay = missed.replayed(withholding.alone)
        if subscriber.past_wanted:
            subscriber.histories = Histories(self._historian, query, lines)
        hub.came(subscriber)
        subscriber.begin()
        # Last, for then it hears what becomes of them.
        for channel in subscriber.channels:
            hub.sources.open(channel)

    def _left(self, subscriber: Subscriber) -> None:
        subscriber.end()
        if subscriber.group is not None:
            self._hub.publisher.leave(subscriber.group, subscriber)
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
                found = route(
                    instrument,
                    base,
                    query.policy,
                    names,
                    hub.upstreams,
                    chosen=self._chosen(),
                )
            except IngestionError as error:
                rejected += [
                    self._rejection(instrument.symbol, k, error) for k in kinds
                ]
                continue
            channel = hub.channel(instrument, base, found)
            subscriber.channels.append(channel)
            if TickKind.BARS in kinds:
                line = hub.line(
                    channel,
                    query.interval,
                    query.hours,
                    sessions.get(instrument.exchange),
                )
                subscriber.add(Line(channel, line))

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


def _opening(
    events: Sequence[StreamEvent],
    bars: Sequence[LiveBar],
    position: int | None,
    alone: Alone,
) -> list[Batch]:
    """Return what is told first as messages, of which the last has the token."""
    parts: list[tuple[Sequence[LiveBar], Sequence[StreamEvent]]] = [(bars, events)]
    if len(events) + len(bars) > MOST_BATCH_ITEMS:
        parts = [((), some) for some in split(events)]
        parts += [(some, ()) for some in split(bars)]
    *others, last = parts
    return [*(alone(*part, None) for part in others), alone(*last, position)]
