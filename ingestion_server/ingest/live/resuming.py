"""How a subscriber comes back: what it has missed, and what of that is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, final

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.ticks import Quote, Tick, Trade
from ingestion_server.ingest.live.channel import Channel
from ingestion_server.ingest.live.mailbox import Alone
from ingestion_server.ingest.live.publishing import (
    MOST_BATCH_ITEMS,
    Batch,
    Entry,
    Partition,
    Placed,
)
from ingestion_server.ingest.live.tokens import Token
from ingestion_server.ports.live import StreamEvent, StreamEventKind

if TYPE_CHECKING:
    from ingestion_server.ingest.live.hub import Hub

_LATE_SECONDS: Final = 1.0
"""How late trades of a vendor without delay may come."""


@final
class Missed:
    """Be what came since a token was given."""

    def __init__(
        self, hub: Hub, token: Token, sources: Iterable[tuple[Channel, Partition]]
    ) -> None:
        """``sources`` are the partitions that it goes on with, and their channels."""
        self.gaps: list[StreamEvent] = []
        """What is missing of it."""
        self._hub = hub
        self._token = token
        self._entries: list[Entry] = []
        self._sequences: dict[Partition, int] = {}
        self._until = hub.publisher.position
        self._strange = (
            token.epoch != hub.publisher.epoch or token.position > self._until
        )
        for channel, partition in sources:
            self._add(channel, partition)
        self._entries.sort(key=_position)

    def before(self, partition: Partition) -> int:
        """Return the number of the last tick before those that come again."""
        return self._sequences.get(partition, partition.sequence)

    def replayed(self, alone: Alone) -> Iterator[Batch]:
        """Yield all of it as messages, each with its own token."""
        ticks: list[Tick] = []
        events: list[StreamEvent] = []
        position = 0
        for entry in self._entries:
            full = len(ticks) + len(events) >= MOST_BATCH_ITEMS
            if full or (ticks and isinstance(entry, Placed)):
                yield alone(ticks, events, position)
                ticks, events = [], []
            if isinstance(entry, Placed):
                events.append(entry.event)
            else:
                ticks.append(entry)
            position = entry.position
        yield alone(ticks, events, self._until)

    def _add(self, channel: Channel, partition: Partition) -> None:
        token = self._token
        entries = [] if self._strange else partition.since(token.position)
        self._entries.extend(entries)
        first = next((e for e in entries if not isinstance(e, Placed)), None)
        sequence = partition.sequence if first is None else first.sequence - 1
        self._sequences[partition] = sequence
        cause = self._cause(partition)
        if cause:
            to_ns = self._hub.publisher.now_ns()
            if partition.born <= token.position and isinstance(first, Trade | Quote):
                to_ns = first.time_ns  # from there on all is kept
            self._declare(channel, partition, cause, to_ns)

    def _cause(self, partition: Partition) -> str:
        """Return why something of a partition is missing; empty if nothing is."""
        if self._strange:
            return "the server was started anew since"
        if partition.born > self._token.position:
            return "nobody was subscribed for a while"
        if partition.evicted > self._token.position:
            return "more has happened since than is kept"
        return ""

    def _declare(
        self, channel: Channel, partition: Partition, cause: str, to_ns: int
    ) -> None:
        """Say that data are missing since the token, or have it said once they come."""
        # What took place before, but had not arrived, is missing as well.
        from_ns = min(self._token.time_ns - self._late_ns(channel), to_ns)
        if not channel.live and partition is channel.partition:
            channel.awaits_from(from_ns, cause)
            return
        self.gaps.append(
            StreamEvent(
                kind=StreamEventKind.GAP,
                time_ns=self._hub.publisher.now_ns(),
                symbol=partition.symbol,
                tick_kind=partition.kind,
                sequence=self._sequences[partition],
                from_ns=from_ns,
                to_ns=to_ns,
                cause=cause,
            )
        )

    def _late_ns(self, channel: Channel) -> int:
        upstream = self._hub.upstreams[channel.active or channel.route.names[0]]
        delay = upstream.declaration.feed_delay_seconds or 0.0
        return int((delay + _LATE_SECONDS) * SECOND_NS)


def _position(entry: Entry) -> int:
    return entry.position
