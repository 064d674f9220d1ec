"""One subscriber: what it gets first, and then what happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, final

import msgspec

from ingestion_server.domain.ticks import TickKind
from ingestion_server.ingest.live.bar_line import BarLine
from ingestion_server.ingest.live.channel import Channel
from ingestion_server.ingest.live.mailbox import Mailbox
from ingestion_server.ingest.live.publishing import (
    MOST_BATCH_ITEMS,
    Batch,
    Group,
    Partition,
    Publisher,
)
from ingestion_server.ports.live import StreamEvent, StreamEventKind, StreamQuery

if TYPE_CHECKING:
    from ingestion_server.ingest.live.past import Past


class Line(msgspec.Struct, frozen=True):
    """Be the live bars of an instrument, and where history ends for a subscriber."""

    channel: Channel
    line: BarLine
    until_ns: int
    """History reaches up to here."""
    sequence: int
    """The number of the last bar before what is live for it."""


@final
class Subscriber:
    """Hold what one subscriber asked for, and give it that."""

    def __init__(
        self, query: StreamQuery, mailbox: Mailbox, publisher: Publisher
    ) -> None:
        self.query = query
        self.mailbox = mailbox
        self._publisher = publisher
        self.channels: list[Channel] = []
        self.lines: list[Line] = []
        self.group: Group | None = None
        self.past: list[asyncio.Task[tuple[Line, Past]]] = []
        """Histories that are on their way."""
        self.first: list[Batch] = []
        """What comes before all else."""
        self.replay: Iterator[Batch] = iter(())
        """What was missed, and comes next."""
        self._timer: asyncio.TimerHandle | None = None

    def partitions(self, channel: Channel) -> list[Partition]:
        """Return those of a channel whose beginning is told once data come."""
        found = []
        if channel.kind in self.query.kinds:
            found.append(channel.partition)
        if not self.past_wanted:
            found += [
                each.line.partition for each in self.lines if each.channel is channel
            ]
        return found

    def wanted(self) -> Iterator[Partition]:
        """Yield all that it subscribes to."""
        for _, partition in self.sources():
            yield partition

    def sources(self) -> Iterator[tuple[Channel, Partition]]:
        """Yield the same, each with the channel that it comes of."""
        for channel in self.channels:
            if channel.kind in self.query.kinds:
                yield channel, channel.partition
        for each in self.lines:
            yield each.channel, each.line.partition

    @property
    def past_wanted(self) -> bool:
        """Return whether bars begin with history."""
        return self.query.start_ns is not None and not self.query.resume_token

    def tell(self, *events: StreamEvent) -> None:
        """Tell what only this subscriber is told, after what it was told so far."""
        if self.group is not None:
            self._publisher.send(self.group)
        self.mailbox.put_alone(*events)

    def begin(self) -> None:
        """Begin to send heartbeats."""
        loop = asyncio.get_running_loop()
        seconds = self.query.heartbeat_seconds
        self._timer = loop.call_later(seconds, self._beat)

    def end(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in self.past:
            task.cancel()

    async def messages(self) -> AsyncIterator[bytes]:
        """
        Yield messages without end; history comes before what is live.

        Raises ``SubscriberTooSlowError`` if that is what was asked for.
        """
        for batch in self.first:
            yield batch.encoded
        self.first = []
        for batch in self.replay:
            yield batch.encoded
            await asyncio.sleep(0)
        waiting = set(self.past)
        while waiting:
            done, waiting = await asyncio.wait(
                waiting,
                timeout=self.query.heartbeat_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                yield self._publisher.alone((), [self._heartbeat()]).encoded
            for task in done:
                for batch in self._told(*task.result()):
                    yield batch.encoded
        while True:
            yield await self.mailbox.get()

    def _told(self, line: Line, past: Past) -> Sequence[Batch]:
        """Return one history as messages, numbered so that live bars go on from it."""
        bars = past.bars
        partition = line.line.partition
        first = line.sequence - len(bars)
        for number, bar in enumerate(bars, start=first + 1):
            bar.symbol, bar.interval = partition.symbol, line.line.interval
            bar.sequence = number
        events = [
            StreamEvent(
                kind=StreamEventKind.SUBSCRIBED,
                time_ns=self._publisher.now_ns(),
                symbol=partition.symbol,
                tick_kind=TickKind.BARS,
                sequence=first,
                provider=line.channel.active,
            )
        ]
        events += [
            StreamEvent(
                kind=StreamEventKind.GAP,
                time_ns=self._publisher.now_ns(),
                symbol=partition.symbol,
                tick_kind=TickKind.BARS,
                sequence=first,
                from_ns=hole.start_ns,
                to_ns=hole.end_ns,
                cause=hole.reason,
            )
            for hole in past.holes[:MOST_BATCH_ITEMS]
        ]
        batches = [self._publisher.alone((), events)]
        batches += [
            self._publisher.alone(bars[start : start + MOST_BATCH_ITEMS], ())
            for start in range(0, len(bars), MOST_BATCH_ITEMS)
        ]
        return batches

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.query.heartbeat_seconds, self._beat)
        if self.mailbox.idle:
            self.tell(self._heartbeat())

    def _heartbeat(self) -> StreamEvent:
        return StreamEvent(
            kind=StreamEventKind.HEARTBEAT, time_ns=self._publisher.now_ns()
        )
