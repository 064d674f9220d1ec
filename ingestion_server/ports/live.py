"""What a subscriber asks of live data, and what it is told besides data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Protocol

import msgspec

from ingestion_server.domain.adjustment import TradingHours
from ingestion_server.domain.errors import IngestionError, InvalidQueryError
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import Priority, SourcePolicy
from ingestion_server.domain.result import Attempt
from ingestion_server.domain.ticks import Snapshot, Tick, TickKind


class SlowPolicy(StrEnum):
    """Say what becomes of a subscriber that falls behind."""

    CONFLATE = "conflate"
    DROP_OLDEST = "drop_oldest"
    DISCONNECT = "disconnect"


class Asked(msgspec.Struct, frozen=True):
    """Be one symbol of a request."""

    symbol: str
    """As the request spelled it."""
    instrument: Instrument | InvalidQueryError
    """What it means, or why it means nothing."""


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for live data of some instruments."""

    asked: tuple[Asked, ...]
    """Each symbol once."""
    kinds: frozenset[TickKind]
    interval: Interval = Interval.MINUTE_1
    """Of bars."""
    hours: TradingHours = TradingHours.EXTENDED
    """Which trades count for bars."""
    start_ns: int | None = None
    """Bars begin with history from here; None = with the bar that is forming."""
    policy: SourcePolicy = SourcePolicy()
    slow: SlowPolicy = SlowPolicy.CONFLATE
    batch_seconds: float = 0.005
    """How long items may be held back to share a message."""
    heartbeat_seconds: float = 5.0
    resume_token: bytes = b""


class StreamEventKind(StrEnum):
    """Name what happened to a stream."""

    SUBSCRIBED = "subscribed"
    REJECTED = "rejected"
    GAP = "gap"
    BACKFILLED = "backfilled"
    SOURCE_CHANGED = "source_changed"
    STALE = "stale"
    HEARTBEAT = "heartbeat"
    CONFLATED = "conflated"


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Be one thing that happened; the contract explains each field."""

    kind: StreamEventKind
    time_ns: int
    symbol: str = ""
    tick_kind: TickKind | None = None
    sequence: int = 0
    from_ns: int | None = None
    to_ns: int | None = None
    cause: str = ""
    count: int = 0
    verified: bool = False
    provider: str = ""
    previous_provider: str = ""
    reason: str = ""
    detail: str = ""
    first_missing: int = 0
    last_missing: int = 0
    feed_delay_seconds: float | None = None
    sampled: bool = False


class StreamEncoder(Protocol):
    """Write the parts of a message; a message is its parts one after the other."""

    def ticks(self, ticks: Sequence[Tick]) -> bytes:
        """Write ticks in their order."""
        ...

    def read(self, encoded: bytes) -> Sequence[Tick]:
        """Return the ticks that were written so; where they stood is not known."""
        ...

    def event(self, event: StreamEvent) -> bytes:
        """Write an event."""
        ...

    def token(self, token: bytes) -> bytes:
        """Write where to go on after the message."""
        ...


class LiveData(Protocol):
    """Have live data."""

    def stream(
        self, query: StreamQuery
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """
        Subscribe while the block lasts, and yield encoded messages without end.

        The iterator raises ``SubscriberTooSlowError`` if that is what was asked for.
        Raises ``IngestionError`` if nothing can be subscribed.
        """
        ...


class QuotesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the latest quote and trade of some instruments."""

    asked: tuple[Asked, ...]
    policy: SourcePolicy = SourcePolicy()
    priority: Priority = Priority.INTERACTIVE


class QuoteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Tell what is known of one instrument, or why nothing is."""

    symbol: str
    """As the request spelled it."""
    snapshot: Snapshot | IngestionError
    provider: str = ""
    live: bool = False
    """Whether it comes from the live stream; else a vendor was asked."""
    received_at_ns: int = 0
    attempts: tuple[Attempt, ...] = ()


class Quotes(Protocol):
    """Know the latest quotes."""

    async def quotes(
        self, query: QuotesQuery, *, budget_seconds: float
    ) -> Sequence[QuoteAnswer]:
        """Return an answer for each symbol, in the order of the query."""
        ...
