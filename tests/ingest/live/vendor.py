"""A vendor's stream that does what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ingestion_server.domain.errors import (
    IngestionError,
    ProviderError,
    ProviderUnavailableError,
)
from ingestion_server.domain.instrument import AssetClass, Instrument
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ingest.live.connection import Connection, Upstream
from ingestion_server.ingest.live.limits import StreamLimits
from ingestion_server.ports.stream import Heard, StreamDeclaration
from tests.clocks import ManualClock

LIMITS = StreamLimits()


@dataclass
class Line(Connection):
    """Be one connection."""

    clock: ManualClock
    sent: list[str] = field(default_factory=list)
    """What was subscribed (+AAPL) and ended (-AAPL), and beats (.)."""
    sent_at: list[float] = field(default_factory=list)
    waiting: asyncio.Queue[Sequence[Heard] | Exception] = field(
        default_factory=asyncio.Queue
    )
    heard_at: float = 0.0
    closed: bool = False

    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Note it."""
        self._note(f"+{each}" for each in symbols)

    async def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Note it."""
        self._note(f"-{each}" for each in symbols)

    async def beat(self) -> None:
        """Note it."""
        self._note(".")

    async def hear(self) -> Sequence[Heard]:
        """Wait for what the test says."""
        told = await self.waiting.get()
        if isinstance(told, Exception):
            raise told
        self.heard_at = self.clock.monotonic()
        return told

    def tell(self, *said: Heard) -> None:
        """Let the vendor say something."""
        self.waiting.put_nowait(said)

    def breaks(self, error: Exception | None = None) -> None:
        """Let the connection be lost."""
        self.waiting.put_nowait(error or lost())

    def _note(self, notes: Sequence[str]) -> None:
        for note in notes:
            self.sent.append(note)
            self.sent_at.append(self.clock.monotonic())


@dataclass
class Vendor:
    """Be where connections come from."""

    clock: ManualClock
    name: str = "acme"
    kinds: frozenset[TickKind] = frozenset({TickKind.TRADES, TickKind.QUOTES})
    most_symbols: int | None = None
    silence_seconds: float | None = None
    beat_seconds: float | None = None
    sampled: bool = False
    per_second: float = 50.0
    lines: list[Line] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)
    """When a connection was tried, in monotonic seconds."""
    failures: list[IngestionError | None] = field(default_factory=list)
    """What befalls the next tries; None = nothing."""
    down: bool = False
    """Whether every try fails."""
    off: ProviderError | None = None
    """Why it cannot be used at all."""

    @property
    def line(self) -> Line:
        """Return the latest connection."""
        return self.lines[-1]

    def upstream(self) -> Upstream:
        """Return it as the hub knows it."""
        return Upstream(
            self.name,
            StreamDeclaration(
                asset_classes=frozenset({AssetClass.EQUITY}),
                kinds=self.kinds,
                most_symbols=self.most_symbols,
                silence_seconds=self.silence_seconds,
                beat_seconds=self.beat_seconds,
                sampled=self.sampled,
                messages_per_second=self.per_second,
            ),
            self._connect,
            _spelled,
            lambda: self.off,
        )

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Connection]:
        self.asked_at.append(self.clock.monotonic())
        failure = self.failures.pop(0) if self.failures else None
        if failure is None and self.down:
            failure = lost()
        if failure is not None:
            raise failure
        line = Line(self.clock, heard_at=self.clock.monotonic())
        self.lines.append(line)
        try:
            yield line
        finally:
            line.closed = True


def lost(name: str = "acme") -> ProviderUnavailableError:
    """Say that a connection is lost."""
    return ProviderUnavailableError("the connection was lost", provider=name)


def _spelled(instrument: Instrument) -> str:
    return instrument.symbol
