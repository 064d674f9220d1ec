"""One subscriber: what it gets first, and then what happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar, final

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
from ingestion_server.ingest.live.telling import note
from ingestion_server.ingest.live.withholding import Withholding
from ingestion_server.ports.live import StreamEvent, StreamEventKind, StreamQuery
from ingestion_server.ports.tracing import root

if TYPE_CHECKING:
    from ingestion_server.ingest.live.historian import Answer, Histories

_T = TypeVar("_T")


class Line(msgspec.Struct, frozen=True):
    """Be the live bars of an instrument, and the channel that they are built of."""

    channel: Channel
    line: BarLine


@final
class Subscriber:
    """Hold what one subscriber asked for, and give it that."""

    def __init__(
        self,
        query: StreamQuery,
        mailbox: Mailbox,
        publisher: Publisher,
        withholding: Withholding,
        *,
        past_wanted: bool,
    ) -> None:
        """``past_wanted`` says whether bars begin with history."""
        self.query = query
        self.mailbox = mailbox
        self.past_wanted = past_wanted
        self._publisher = publisher
        self._withholding = withholding
        self.channels: list[Channel] = []
        self.lines: list[Line] = []
        self._bars: dict[Channel, Partition] = {}
        self.group: Group | None = None
        self.histories: Histories | None = None
        """Those that have not been told; None = none were wanted."""
        self.first: list[Batch] = []
        """What comes before all else."""
        self.replay: Iterator[Batch] = iter(())
        """What was missed, and comes next."""
        self._span = root()
        self._timer: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[bytes] | None = None

    def add(self, line: Line) -> None:
        """Subscribe to bars as well."""
        self.lines.append(line)
        self._bars[line.channel] = line.line.partition

    def partitions(self, channel: Channel) -> list[Partition]:
        """Return those of a channel whose beginning is told once data come."""
        found = []
        if channel.kind in self.query.kinds:
            found.append(channel.partition)
        if channel in self._bars and not self._withholding.withholds(channel.symbol):
            found.append(self._bars[channel])
        return found

    def sources(self) -> Iterator[tuple[Channel, Partition]]:
        """Yield all that it subscribes to, each with the channel that it comes of."""
        for channel in self.channels:
            if channel.kind in self.query.kinds:
                yield channel, channel.partition
        for each in self.lines:
            yield each.channel, each.line.partition

    def resumed(self) -> Iterator[tuple[Channel, Partition]]:
        """Yield those of them that go on where they were, and not with history."""
        for channel, partition in self.sources():
            if partition.kind is not TickKind.BARS or not self.past_wanted:
                yield channel, partition

    def put(self, batch: Batch) -> None:
        """Take what is published, as far as it may be told; never waits."""
        told = self._withholding.told(batch)
        if told is not None:
            if told.events:
                note(self._span, told.events)
            self.mailbox.put(told)

    def tell(self, *events: StreamEvent) -> None:
        """Tell what only this subscriber is told, after what it was told so far."""
        if self.group is not None:
            self._publisher.send(self.group)
        note(self._span, events)
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
        if self.histories is not None:
            self.histories.end()
        if self._reading is not None:
            self._reading.cancel()
            # Nobody is told any more how it failed.
            self._reading.add_done_callback(_failure)

    async def messages(self) -> AsyncIterator[bytes]:
        """
        Yield messages without end; of each symbol's bars, history comes first.

        Raises ``SubscriberTooSlowError`` if that is what was asked for.
        """
        for batch in self.first:
            note(self._span, batch.events)
            yield batch.encoded
        self.first = []
        for batch in self.replay:
            yield batch.encoded
            await asyncio.sleep(0)
        if self.histories is not None:
            async for message in self._with(self.histories):
                yield message
        while True:
            yield await self.mailbox.get()

    async def _with(self, histories: Histories) -> AsyncIterator[bytes]:
        """Yield histories as they come, and between them what is live."""
        while histories.tasks:
            for answer in histories.come():
                for batch in self._told(histories, answer):
                    yield batch.encoded
            if self._reading is None and not self.mailbox.idle:
                yield await self.mailbox.get()
                continue
            if self._reading is None:
                self._reading = asyncio.create_task(self.mailbox.get())
            await asyncio.wait(
                [self._reading, *histories.tasks],
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._reading.done():
                reading, self._reading = self._reading, None
                yield reading.result()
        if self._reading is not None:
            reading, self._reading = self._reading, None
            yield await reading

    def _told(self, histories: Histories, answer: Answer) -> Iterator[Batch]:
        """Yield what is told of a symbol's bars before the next ones are published."""
        if self.group is not None:
            # What waits is part of how the bars stand now, so it is withheld.
            self._publisher.send(self.group)
        rejected = self._withholding.end(answer.line.channel.symbol)
        # There is nothing up to here that has not been put in, or is told now.
        self.mailbox.position = self._publisher.position
        events, bars, afterwards = histories.tell(answer)
        if rejected is not None:
            afterwards = [rejected]
        for some in split(events):
            yield self._publisher.alone((), some)
        for part in split(bars):
            yield self._publisher.alone(part, ())
        if afterwards:
            yield self._publisher.alone((), afterwards)

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.query.heartbeat_seconds, self._beat)
        if self.mailbox.idle:
            self.tell(
                StreamEvent(
                    kind=StreamEventKind.HEARTBEAT, time_ns=self._publisher.now_ns()
                )
            )


def split(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield as many as fit in one message, and then the next."""
    for start in range(0, len(items), MOST_BATCH_ITEMS):
        yield items[start : start + MOST_BATCH_ITEMS]


def _failure(reading: asyncio.Task[bytes]) -> None:
    if not reading.cancelled():
        reading.exception()
