"""Messages that people can read, in place of those of the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingestion_server.domain.ticks import LiveBar, Tick, TickKind, Trade
from ingestion_server.ingest.live import tokens
from ingestion_server.ingest.live.publishing import Batch, Partition, Publisher
from ingestion_server.ports.live import StreamEvent, StreamEventKind
from tests.clocks import ManualClock
from tests.ingest.live.ticks import TEN

EPOCH = 7


@dataclass
class Scribe:
    """Write a part of a message as a line, and know how often that was."""

    written: int = 0

    def ticks(self, ticks: Sequence[Tick]) -> bytes:
        """Write a line for each, its symbol and number."""
        self.written += len(ticks)
        return b"".join(f"{tick.symbol} {tick.sequence}\n".encode() for tick in ticks)

    def read(self, encoded: bytes) -> Sequence[Tick]:
        """Return as much of them as was written."""
        found: list[Tick] = []
        for line in encoded.decode().splitlines():
            symbol, sequence = line.split()
            found.append(Trade(symbol, TEN, 100.0, sequence=int(sequence)))
        return found

    def event(self, event: StreamEvent) -> bytes:
        """Write what happened."""
        self.written += 1
        return f"! {event.kind} {event.detail}\n".encode()

    def token(self, token: bytes) -> bytes:
        """Write the token."""
        return b"@" + token.hex().encode() + b"\n"


@dataclass(eq=False)
class Inbox:
    """Keep the batches that are put in."""

    batches: list[Batch] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether any came."""

    def put(self, batch: Batch) -> None:
        """Keep one."""
        self.batches.append(batch)
        self.came.set()

    @property
    def lines(self) -> list[list[str]]:
        """Return what each message says, without its token."""
        return [said(batch.encoded) for batch in self.batches]

    @property
    def tokens(self) -> list[int]:
        """Return the position that the token of each message stands for."""
        return [position(batch.encoded) for batch in self.batches]


def said(message: bytes) -> list[str]:
    """Return the lines of a message but its token."""
    lines = message.decode().splitlines()
    return [line for line in lines if not line.startswith("@")]


def position(message: bytes) -> int:
    """Return the position that a message's token stands for; 0 if it has none."""
    last = message.decode().splitlines()[-1]
    if not last.startswith("@"):
        return 0
    token = tokens.read(bytes.fromhex(last[1:]))
    assert token is not None
    return token.position


def publisher(
    *, replay_items: int = 10_000, clock: ManualClock | None = None
) -> Publisher:
    """Make a publisher whose messages can be read."""
    return Publisher(
        Scribe(),
        clock or ManualClock(TEN, runs=False),
        epoch=EPOCH,
        replay_items=replay_items,
    )


def trades_of(source: Publisher, symbol: str = "AAPL") -> Partition:
    """Make the partition of a symbol's trades."""
    return source.partition(symbol, TickKind.TRADES)


def some(count: int, symbol: str = "AAPL") -> list[Tick]:
    """Make so many trades."""
    return [Trade(symbol, TEN + number, 100.0) for number in range(count)]


def bar(open_ns: int, symbol: str = "AAPL", *, close: float = 100.0) -> LiveBar:
    """Make a bar."""
    return LiveBar(symbol, open_ns, 100.0, max(close, 100.0), 100.0, close)


def event(kind: StreamEventKind, detail: str = "") -> StreamEvent:
    """Make an event."""
    return StreamEvent(kind=kind, time_ns=TEN, symbol="AAPL", detail=detail)
