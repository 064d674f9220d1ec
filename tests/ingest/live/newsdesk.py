"""Two vendors' live data, and a newsroom that remembers what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from typing_extensions import override

from ingestion_server.domain.errors import ProviderError
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.ticks import Tick, TickKind, Trade
from ingestion_server.ingest.live.channel import Break, Channel, Route
from ingestion_server.ingest.live.newsroom import Intake, Newsroom
from ingestion_server.ingest.live.sources import Sources
from tests.clocks import ManualClock
from tests.ingest.live.letters import publisher
from tests.ingest.live.ticks import TEN
from tests.ingest.live.vendor import LIMITS, Vendor

ACME, ZENITH = "acme", "zenith"
BOTH = (ACME, ZENITH)


@dataclass
class News(Newsroom, Intake):
    """Remember what becomes of channels; publish at once what has to be settled."""

    told: list[tuple[str, ...]] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    stretches: list[tuple[int, int, bool]] = field(default_factory=list)

    @override
    def ready(self, channel: Channel) -> None:
        self.told.append(("ready", channel.symbol))

    @override
    def settle(self, channel: Channel) -> None:
        if channel.pending:
            ticks = channel.sorted_ticks()
            self.ticks += ticks
            channel.collect(ticks)

    @override
    def begun(self, channel: Channel) -> None:
        self.told.append(("begun", channel.symbol, channel.active))

    @override
    def stale(self, channel: Channel, detail: str) -> None:
        self.told.append(("stale", channel.symbol, detail))

    @override
    def gap(
        self, channel: Channel, broken: Break, to_ns: int, *, filling: bool
    ) -> None:
        self.told.append(("gap", channel.symbol, broken.cause))
        self.stretches.append((broken.from_ns, to_ns, filling))

    @override
    def spare(self) -> None:
        self.told.append(("spare",))

    @override
    def changed(self, channel: Channel, previous: str) -> None:
        self.settle(channel)
        self.told.append(("changed", channel.symbol, previous, channel.active))

    @override
    def rejected(self, channel: Channel, error: ProviderError) -> None:
        self.told.append(("rejected", channel.symbol, error.reason))

    @override
    async def room_to_read(self) -> None:
        await asyncio.sleep(0)


@dataclass
class Desk:
    """Hold sources of two vendors."""

    clock: ManualClock
    acme: Vendor
    zenith: Vendor
    news: News
    sources: Sources

    def open(
        self,
        symbol: str = "AAPL",
        names: tuple[str, ...] = BOTH,
        kind: TickKind = TickKind.TRADES,
    ) -> Channel:
        """Subscribe to a symbol."""
        partition = publisher().partition(symbol, kind)
        channel = Channel(
            instrument(symbol),
            kind,
            Route(names),
            partition,
            dict.fromkeys(names, symbol),
        )
        self.sources.open(channel)
        return channel

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, while it is looked every so often."""
        for _ in range(round(seconds / 0.25)):
            await self.clock.advance(0.25)
            self.sources.look()
        await self.clock.advance(0)

    def now(
        self, symbol: str = "AAPL", price: float = 100.0, *, ahead_ns: int = 0
    ) -> Trade:
        """Make a trade of this moment, by a vendor's clock that may be ahead."""
        now_ns = self.clock.now_ns()
        return Trade(symbol, now_ns + ahead_ns, price, received_at_ns=now_ns)

    def of(self, *kinds: str) -> list[tuple[str, ...]]:
        """Return what was told of some kinds."""
        return [each for each in self.news.told if each[0] in kinds]

    @property
    def published(self) -> list[Tick]:
        """Return what came out."""
        return self.news.ticks


@asynccontextmanager
async def desk(
    acme: dict[str, object] | None = None, zenith: dict[str, object] | None = None
) -> AsyncIterator[Desk]:
    """Have two vendors, of which acme is the first choice."""
    clock = ManualClock(TEN, runs=False)
    vendors = {
        ACME: Vendor(clock, ACME, **(acme or {})),  # type: ignore[arg-type]
        ZENITH: Vendor(clock, ZENITH, **(zenith or {})),  # type: ignore[arg-type]
    }
    tasks: list[asyncio.Task[None]] = []

    def spawn(work: Coroutine[None, None, None], name: str) -> None:
        tasks.append(asyncio.create_task(work, name=name))

    news = News()
    sources = Sources(
        {name: vendor.upstream() for name, vendor in vendors.items()},
        news,
        news,
        spawn,
        clock,
        LIMITS,
        lambda: 1.0,
    )
    try:
        yield Desk(clock, vendors[ACME], vendors[ZENITH], news, sources)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
