"""How live data are joined: vendors' streams, the hub, and the desk before it."""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, final

import msgspec

from ingestion_server.app.mode import Mode, key_of
from ingestion_server.app.settings import Settings
from ingestion_server.domain.errors import (
    CapabilityMissingError,
    CredentialsRefusedError,
    ProviderError,
    SymbolUnknownError,
)
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.query import Priority, SourcePolicy
from ingestion_server.domain.ticks import TickKind
from ingestion_server.ingest.candidates import STREAM, Vendor
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.live.confirming import BarConfirmer
from ingestion_server.ingest.live.connection import (
    Connection,
    PolledConnection,
    Upstream,
    WireConnection,
)
from ingestion_server.ingest.live.filling import Filler
from ingestion_server.ingest.live.hub import Hub
from ingestion_server.ingest.live.joining import LiveDesk
from ingestion_server.ingest.live.limits import StreamLimits
from ingestion_server.ingest.live.publishing import Publisher
from ingestion_server.ingest.quoting import Quoter
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.policies.breaker import Breakers
from ingestion_server.policies.pipeline import Step, pipeline
from ingestion_server.policies.tell import Tell
from ingestion_server.ports.calendars import Calendars
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import OnCall, OnLag
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.live import Asked, QuotesQuery
from ingestion_server.ports.policy import Call
from ingestion_server.ports.provider import Credentials, Provider
from ingestion_server.ports.quota import AccountUse
from ingestion_server.ports.stream import (
    Dialler,
    Quoting,
    Socket,
    StreamDeclaration,
    Streaming,
)
from ingestion_server.registry.selection import order
from ingestion_server.service.stream_encoding import WireEncoder

_SWITCHING: Final = 101
_POLLED_SHARE: Final = 0.5
"""Polls leave the other half of each window to those who ask."""
_SHORT_SECONDS: Final = 60.0
"""A window so short is free again before the next poll."""
_UNKNOWN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Parts:
    """Hold what live data are made from."""

    settings: Settings
    mode: Mode
    providers: Sequence[Provider]
    vendors: Mapping[str, Vendor]
    """Those that may be asked; may change at any time."""
    dialler: Dialler | None
    """None = there is no network."""
    breakers: Breakers
    hooks: Sequence[OnCall]
    on_lag: Sequence[OnLag]
    uses: Callable[[], Sequence[AccountUse]]
    ranking: Ranking
    fetcher: Fetcher
    calendars: Calendars
    clock: Clock


@asynccontextmanager
async def living(
    parts: Parts, quoter: Callable[[], Quoter]
) -> AsyncIterator[tuple[Hub, LiveDesk]]:
    """Have live data while the block lasts."""
    clock = parts.clock
    limits = msgspec.convert(parts.settings.stream.model_dump(), StreamLimits)
    encoder = WireEncoder()
    ups = [_upstream(parts, lambda: hub, each) for each in parts.providers]
    hub = Hub(
        {up.provider: up for up in ups if up},
        Publisher(
            encoder,
            clock,
            epoch=secrets.randbits(63),
            replay_items=limits.replay_items,
        ),
        Filler(parts.vendors, clock),
        BarConfirmer(parts.fetcher, clock),
        partial(_unknown, parts.vendors, quoter),
        clock,
        limits,
        parts.on_lag,
    )
    desk = LiveDesk(
        hub,
        lambda policy: order(policy, parts.ranking.listing),
        lambda: parts.ranking.listing.ranked,
        parts.fetcher,
        parts.calendars,
        clock,
        encoder,
    )
    async with hub.running():
        yield hub, desk


async def _unknown(
    vendors: Mapping[str, Vendor],
    quoter: Callable[[], Quoter],
    instruments: Sequence[Instrument],
) -> Mapping[Instrument, ProviderError]:
    """Return which instruments no vendor knows, at no cost."""
    names = tuple(
        name
        for name, vendor in vendors.items()
        # Who does not stream has few calls, and half of them are for those who ask.
        if vendor.provider.streaming is not None
        or vendor.quota.headroom() >= _POLLED_SHARE
    )
    if not names:
        return {}
    query = QuotesQuery(
        asked=tuple(Asked(each.symbol, each) for each in instruments),
        policy=SourcePolicy(providers=names, max_cost_usd=0.0),
        priority=Priority.BATCH,
    )
    answers = await quoter().quotes(query, budget_seconds=_UNKNOWN_SECONDS)
    return {
        instrument: answer.snapshot
        for instrument, answer in zip(instruments, answers, strict=True)
        if isinstance(answer.snapshot, SymbolUnknownError)
    }


def _upstream(
    parts: Parts, hub: Callable[[], Hub], provider: Provider
) -> Upstream | None:
    """Return where a vendor's live data come from; None if nowhere."""
    if parts.dialler is None:
        return None
    if provider.streaming is not None:
        return _streamed(parts, provider, provider.streaming, parts.dialler)
    if provider.quoting is not None:

        def wanted(symbol: str) -> Instrument | None:
            return hub().sources.instrument_of(provider.name, symbol)

        return _Polls(parts, provider, provider.quoting, wanted).upstream()
    return None


def _streamed(
    parts: Parts, provider: Provider, streaming: Streaming, dialler: Dialler
) -> Upstream:
    clock = parts.clock
    breaker = parts.breakers.for_key(provider.name, STREAM)
    steps: list[Step] = [
        breaker,
        breaker.watch,
        Tell(parts.hooks, clock, kind=STREAM),
    ]
    credentials = Credentials(
        key=key_of(parts.settings, provider.name, parts.mode)
        if provider.needs_key
        else ""
    )

    @asynccontextmanager
    async def connect() -> AsyncIterator[Connection]:
        async with AsyncExitStack() as stack:
            opened: list[Socket] = []

            async def wire(call: Call) -> HttpResponse:
                signed = provider.sign(call.request, credentials)
                opened.append(await stack.enter_async_context(dialler.connect(signed)))
                return HttpResponse(_SWITCHING, b"")

            await pipeline(steps, wire)(Call(streaming.handshake(), deadline=math.inf))
            yield WireConnection(opened[0], streaming.feed(), clock.now_ns)

    return Upstream(
        provider.name,
        streaming.declaration,
        connect,
        provider.spelling,
        partial(_available, parts.vendors, provider.name),
    )


def _available(vendors: Mapping[str, Vendor], name: str) -> ProviderError | None:
    vendor = vendors.get(name)
    if vendor is None:
        return CapabilityMissingError(f"{name} is switched off", provider=name)
    if vendor.no_key:
        return CredentialsRefusedError(vendor.no_key, provider=name)
    return None


@final
class _Polls:
    """Make a stream of a vendor that has none, by asking it."""

    def __init__(
        self,
        parts: Parts,
        provider: Provider,
        quoting: Quoting,
        instrument_of: Callable[[str], Instrument | None],
    ) -> None:
        """``instrument_of`` tells what is wanted by the vendor's own symbol."""
        self._parts = parts
        self._provider = provider
        self._quoting = quoting
        self._instrument_of = instrument_of

    def upstream(self) -> Upstream:
        """Return it."""
        return Upstream(
            self._provider.name,
            StreamDeclaration(
                asset_classes=self._quoting.asset_classes,
                kinds=frozenset({TickKind.TRADES, TickKind.QUOTES}),
                sampled=True,
                feed_delay_seconds=self._provider.feed_delay_seconds,
            ),
            self._connect,
            self._provider.spelling,
            partial(_available, self._parts.vendors, self._provider.name),
            polled=True,
        )

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Connection]:
        vendor = self._parts.vendors.get(self._provider.name)
        if vendor is None:
            raise CapabilityMissingError(
                "is switched off", provider=self._provider.name
            )
        yield PolledConnection(
            vendor,
            self._quoting,
            self._parts.clock,
            instrument_of=self._instrument_of,
            pause_seconds=self._pause_seconds,
        )

    def _pause_seconds(self, calls: int) -> float:
        """Return how long to wait so that half of each quota window is left."""
        pause = self._parts.settings.stream.poll_seconds
        for use in self._parts.uses():
            if use.provider != self._provider.name:
                continue
            for window in use.windows:
                if window.seconds > _SHORT_SECONDS:
                    share = max(window.limit * _POLLED_SHARE, 1.0)
                    pause = max(pause, calls * window.seconds / share)
        return pause
