"""
Number what happens, keep the latest of it, and hand it out in shared batches.

A partition is all ticks of one kind of one instrument; its numbers have no holes. Those
who subscribe to the same partitions form a group: what is published is encoded once,
joined once for each group, and the same bytes go to all of its members.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, final

import msgspec

from ingestion_server.domain.ticks import Tick, TickKind
from ingestion_server.ingest.live import tokens
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.live import StreamEncoder, StreamEvent

MOST_BATCH_ITEMS: Final = 640
"""
In one message: somewhat more than is heard until all that waits is sent, so that no
small message is left over; clients refuse more than 4 MB.
"""
FIRST_SEQUENCE: Final = 1 << 32
"""Numbers below are left for history that stands before what is live."""


class Placed(msgspec.Struct, frozen=True):
    """Be an event in its place among everything that was published."""

    position: int
    event: StreamEvent


Entry = Tick | Placed


class Kept(msgspec.Struct, frozen=True, gc=False):
    """
    Be ticks that were published at once, as bytes.

    As objects they would take five times the memory, and to let go of them when they
    are cold takes longer than all that is done with them while they are not.
    """

    position: int
    """Of the last of them."""
    encoded: bytes


class Batch(NamedTuple):
    """Be some ticks after some events, as one message; shared, and never changed."""

    ticks: Sequence[Tick]
    events: Sequence[StreamEvent]
    encoded: bytes
    position: int
    """All that was published up to here has been told with it."""


class Receiver(Protocol):
    """Take batches."""

    def put(self, batch: Batch) -> None:
        """Take one; never waits."""
        ...


@final
class Partition:
    """Be all ticks of one kind of one instrument, by one route."""

    __slots__ = (
        "_read",
        "born",
        "evicted",
        "groups",
        "kind",
        "ring",
        "sequence",
        "symbol",
    )

    def __init__(
        self,
        symbol: str,
        kind: TickKind,
        born: int,
        read: Callable[[bytes], Sequence[Tick]],
    ) -> None:
        """``read`` says which ticks were written as bytes."""
        self.symbol = symbol
        self.kind = kind
        self.born = born
        """Up to this position nothing of it was published."""
        # No two partitions of one symbol and kind give the same number twice.
        self.sequence = FIRST_SEQUENCE + born
        self.ring: deque[Kept | Placed] = deque()
        self.evicted = born
        """Up to this position nothing is kept."""
        self.groups: list[Group] = []
        self._read = read

    def since(self, position: int) -> list[Entry]:
        """Return what is kept of what came after a position."""
        found: list[Entry] = []
        for entry in self.newest_first():
            if entry.position <= position:
                break
            found.append(entry)
        found.reverse()
        return found

    def newest_first(self) -> Iterator[Entry]:
        """Yield what is kept."""
        for kept in reversed(self.ring):
            if isinstance(kept, Placed):
                yield kept
                continue
            position = kept.position
            for tick in reversed(self._read(kept.encoded)):
                tick.position = position
                position -= 1
                yield tick


@final
class Group:
    """Be those who subscribe to the same partitions, with the same patience."""

    def __init__(self, partitions: frozenset[Partition], seconds: float) -> None:
        self.partitions = partitions
        self.seconds = seconds
        self.members: dict[Receiver, None] = {}
        self.ticks: list[Tick] = []
        self.events: list[StreamEvent] = []
        self.parts: list[bytes] = []
        """What is to be sent, as bytes: those of the events, and then of the ticks."""
        self.timer: asyncio.TimerHandle | None = None

    @property
    def empty(self) -> bool:
        """Return whether nothing waits to be sent."""
        return not self.parts


@final
class Publisher:
    """Number, keep and hand out."""

    def __init__(
        self, encoder: StreamEncoder, clock: Clock, *, epoch: int, replay_items: int
    ) -> None:
        """``epoch`` tells this server's numbers from those of another start."""
        self.position = 0
        self.epoch = epoch
        self._encoder = encoder
        self._clock = clock
        self._replay_items = replay_items
        self._order: deque[tuple[Partition, int]] = deque()
        self._kept = 0
        self._groups: dict[tuple[frozenset[Partition], float], Group] = {}
        self._due: dict[Group, None] = {}

    def now_ns(self) -> int:
        """Return the time."""
        return self._clock.now_ns()

    def partition(self, symbol: str, kind: TickKind) -> Partition:
        """Return a new one."""
        # Whoever was told everything until now has been told nothing of it.
        self.position += 1
        return Partition(symbol, kind, self.position, self._encoder.read)

    def publish(self, partition: Partition, ticks: Sequence[Tick]) -> None:
        """Number ticks, and let everybody have them who subscribes to them."""
        count = len(ticks)
        if count > MOST_BATCH_ITEMS:
            for start in range(0, count, MOST_BATCH_ITEMS):
                self.publish(partition, ticks[start : start + MOST_BATCH_ITEMS])
            return
        groups = partition.groups
        for group in groups:
            if len(group.ticks) + len(group.events) + count > MOST_BATCH_ITEMS:
                # With the position of what was published before.
                self._send(group)
        sequence, position = partition.sequence, self.position
        for tick in ticks:
            sequence += 1
            position += 1
            tick.sequence = sequence
            tick.position = position
        partition.sequence, self.position = sequence, position
        part = self._encoder.ticks(ticks)
        self._keep(partition, Kept(position, part), count)
        due = self._due
        for group in groups:
            group.ticks += ticks
            group.parts.append(part)
            if group not in due:
                self._is_due(group)

    def announce(self, partition: Partition, event: StreamEvent) -> None:
        """Tell an event to everybody who subscribes to a partition."""
        for group in partition.groups:
            if group.ticks or len(group.events) >= MOST_BATCH_ITEMS:
                # Within a message, events stand before the data; and whoever goes on
                # after these data has not been told the event.
                self._send(group)
        self.position += 1
        self._keep(partition, Placed(self.position, event), 1)
        part = self._encoder.event(event)
        for group in partition.groups:
            group.events.append(event)
            group.parts.append(part)
            self._is_due(group)

    def join(
        self, partitions: Iterable[Partition], seconds: float, member: Receiver
    ) -> Group:
        """Let somebody have what is published from now on."""
        shape = frozenset(partitions), seconds
        group = self._groups.get(shape)
        if group is None:
            group = self._groups[shape] = Group(*shape)
            for partition in group.partitions:
                partition.groups.append(group)
        else:
            self._send(group)
        group.members[member] = None
        return group

    def leave(self, group: Group, member: Receiver) -> None:
        """Let somebody have nothing any more."""
        group.members.pop(member, None)
        if group.members:
            return
        self._groups.pop((group.partitions, group.seconds), None)
        self._due.pop(group, None)
        if group.timer is not None:
            group.timer.cancel()
        for partition in group.partitions:
            if group in partition.groups:
                partition.groups.remove(group)

    def drop(self, partition: Partition) -> None:
        """Keep nothing of a partition any more."""
        partition.ring.clear()

    def send_due(self) -> None:
        """Send what may not be held back any longer."""
        due, self._due = self._due, {}
        for group in due:
            self._send(group)

    def send(self, group: Group) -> None:
        """Send what waits in a group, so that something else can come after it."""
        self._send(group)

    def alone(
        self,
        ticks: Sequence[Tick],
        events: Sequence[StreamEvent],
        position: int | None = None,
    ) -> Batch:
        """Return a batch for one subscriber; without a position, without a token."""
        parts = [*map(self._encoder.event, events), self._encoder.ticks(ticks)]
        if position is not None:
            parts.append(self._token(position))
        return Batch(ticks, events, b"".join(parts), position or 0)

    def _is_due(self, group: Group) -> None:
        if len(group.ticks) >= MOST_BATCH_ITEMS:
            self._send(group)
        elif group.seconds <= _NO_DELAY_SECONDS:
            self._due[group] = None
        elif group.timer is None:
            loop = asyncio.get_running_loop()
            group.timer = loop.call_later(group.seconds, self._send, group)

    def _send(self, group: Group) -> None:
        if group.timer is not None:
            group.timer.cancel()
            group.timer = None
        if group.empty:
            return
        ticks, group.ticks = group.ticks, []
        events, group.events = group.events, []
        parts, group.parts = group.parts, []
        parts.append(self._token(self.position))
        batch = Batch(ticks, events, b"".join(parts), self.position)
        for member in group.members:
            member.put(batch)

    def _token(self, position: int) -> bytes:
        token = tokens.Token(self.epoch, position, self._clock.now_ns())
        return self._encoder.token(tokens.written(token))

    def _keep(self, partition: Partition, kept: Kept | Placed, items: int) -> None:
        """Keep what was published, and what is oldest no more."""
        partition.ring.append(kept)
        self._order.append((partition, items))
        self._kept += items
        while self._kept > self._replay_items:
            oldest, items = self._order.popleft()
            self._kept -= items
            if oldest.ring:
                oldest.evicted = oldest.ring.popleft().position


_NO_DELAY_SECONDS: Final = 0.005
"""Who asks for less patience gets what is sorted as soon as it is."""
