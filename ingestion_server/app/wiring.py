"""
How the rooms are joined.

Building order is reading order, and teardown its reverse.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

import msgspec

from ingestion_server.app import order, secrets
from ingestion_server.app.caching import remembering, replies_of, report_of
from ingestion_server.app.clock import SystemClock
from ingestion_server.app.folders import user_cache_folder
from ingestion_server.app.keeping import (
    kept,
    members,
    opened_ledger,
    overrides_of,
    plan_name,
)
from ingestion_server.app.live import Parts, living
from ingestion_server.app.mode import Mode, key_of
from ingestion_server.app.quoting import quoting
from ingestion_server.app.settings import Settings
from ingestion_server.cache.bounded import BoundedCache
from ingestion_server.cache.replies import EncodedReplies
from ingestion_server.calendars import ComputedCalendars
from ingestion_server.ingest.asked import Landed
from ingestion_server.ingest.benchmarking import Benchmarking
from ingestion_server.ingest.call_meter import CallMeter
from ingestion_server.ingest.calling import Exchange
from ingestion_server.ingest.candidates import Vendor, kinds_served
from ingestion_server.ingest.entrants import Registrar
from ingestion_server.ingest.events import Events
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.flights import Flights
from ingestion_server.ingest.hedging import Hedges
from ingestion_server.ingest.live.hub import Hub
from ingestion_server.ingest.live.joining import LiveDesk
from ingestion_server.ingest.probing import Prober
from ingestion_server.ingest.quoting import Quoter
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ingest.roster import Roster
from ingestion_server.ingest.shelf import ActionsCache, ActionsShelf
from ingestion_server.ingest.walk import Walker
from ingestion_server.policies.breaker import Breakers
from ingestion_server.policies.limits import (
    BreakerLimits,
    DeadlineLimits,
    PolicyLimits,
    RetryLimits,
)
from ingestion_server.policies.pipeline import pipeline, standard_policies
from ingestion_server.ports.caching import CacheReport
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import OnCall, OnLeaving
from ingestion_server.ports.http import Transport
from ingestion_server.ports.policy import Send
from ingestion_server.ports.provider import Provider
from ingestion_server.ports.quota import OnAlert
from ingestion_server.ports.routing import OnBreaker
from ingestion_server.ports.stream import Dialler
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.finnhub import Finnhub
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.quota.ledger import Ledger
from ingestion_server.registry.standing import Standings
from ingestion_server.transport.redaction import Redactor

_log: Final = logging.getLogger(__name__)


class Joined(msgspec.Struct, frozen=True):
    """Hold what the doors need."""

    fetcher: Fetcher
    quoter: Quoter
    hub: Hub
    live: LiveDesk
    calendars: ComputedCalendars
    ledger: Ledger
    breakers: Breakers
    standings: Standings
    ranking: Ranking
    roster: Roster
    benchmarking: Benchmarking
    prober: Prober
    cache_use: CacheReport
    replies: EncodedReplies | None
    clock: Clock
    sandbox_url: str


@asynccontextmanager
async def joined(
    settings: Settings,
    mode: Mode,
    *,
    clock: Clock | None = None,
    hooks: Sequence[OnCall] = (),
    on_alert: Sequence[OnAlert] = (),
    on_breaker: Sequence[OnBreaker] = (),
) -> AsyncIterator[Joined]:
    """
    Build the rooms below the doors, and take them down again.

    Raises:
        OSError: A folder, a port or the ledger cannot be used.
        ValueError: The folder to replay holds no recordings.

    """
    clock = clock or SystemClock()
    providers = _providers(settings, mode)
    async with AsyncExitStack() as stack:
        # First, and so closed last: whatever still calls a vendor writes into it.
        ledger = await asyncio.to_thread(
            opened_ledger, settings, mode, providers, clock, on_alert
        )
        await stack.enter_async_context(kept(ledger))
        calendars = await stack.enter_async_context(
            ComputedCalendars(calendar_folder(settings))
        )
        url = mode.sandbox_url
        if mode.sandbox:
            url = await stack.enter_async_context(_sandbox(settings, calendars, clock))
        redactor = _redactor(settings, mode, providers)
        transport = await _transport(
            stack, settings, mode, url, providers, clock, redactor
        )
        recordings = None if mode.replay is None else transport
        actions: ActionsCache = await stack.enter_async_context(
            BoundedCache(settings.actions.cache_entries, clock)
        )
        limits, events = _policy_limits(settings), Events(clock)
        breakers = Breakers(
            partial(_breaker_limits, settings, limits.breaker),
            clock,
            (events, *on_breaker),
        )
        for provider in providers:
            for kind in kinds_served(provider):
                # So that looking at what was never called makes no difference.
                breakers.for_key(provider.name, kind)
        standings = Standings(clock)
        meter = CallMeter()
        hooks = (standings, meter, *hooks)
        workshop = _Workshop(
            settings,
            mode,
            transport,
            actions,
            ledger,
            clock,
            hooks,
            (standings.left,),
            limits,
            breakers,
        )
        vendors = workshop.vendors(providers)
        draw = _draws(settings)
        ranking = Ranking(
            order.listing(settings, providers, vendors),
            standings,
            clock,
            random=draw,
        )
        active = dict(vendors)
        roster = Roster(
            members(settings, mode, providers, vendors),
            active,
            ranking=ranking,
            standings=standings,
            breakers_of=breakers.views,
            events=events,
            overrides=overrides_of(settings, mode),
            clock=clock,
        )
        memory = await stack.enter_async_context(remembering(settings, mode, clock))
        # Last, and so closed first: what is under way writes into the others.
        flights: Flights[Landed] = await stack.enter_async_context(Flights())
        hedges = Hedges(
            standings,
            share=settings.hedge.share,
            longest_delay_seconds=settings.hedge.longest_delay_seconds,
        )
        fetcher = Fetcher(
            active,
            Walker(
                clock,
                flights,
                memory,
                hedges,
                ranking,
                most_calls=settings.retry.attempts,
            ),
            calendars=calendars,
            transport=recordings,
            clock=clock,
        )
        live: list[Quoter] = []
        hub, desk = await stack.enter_async_context(
            living(
                Parts(
                    settings,
                    mode,
                    providers,
                    active,
                    _dialler(mode, url, providers, clock, redactor),
                    breakers,
                    hooks,
                    ledger.uses,
                    ranking,
                    fetcher,
                    calendars,
                    clock,
                ),
                lambda: live[0],
            )
        )
        quoter = await stack.enter_async_context(
            quoting(
                settings,
                mode,
                vendors=active,
                ranking=ranking,
                standings=standings,
                clock=clock,
                random=draw,
                live=hub.latest,
            )
        )
        live.append(quoter)
        prober = Prober(
            active,
            standings,
            fetcher.fetch,
            ledger.uses,
            clock,
            # A recording tells nothing of how a vendor does now.
            idle_seconds=0 if mode.replay else settings.registry.probe_seconds,
        )
        replies = replies_of(settings, memory, fetcher, clock)
        yield Joined(
            fetcher=fetcher,
            quoter=quoter,
            hub=hub,
            live=desk,
            calendars=calendars,
            ledger=ledger,
            breakers=breakers,
            standings=standings,
            ranking=ranking,
            roster=roster,
            benchmarking=Benchmarking(
                fetcher,
                Registrar(active, ledger, recordings, clock),
                calendars,
                meter,
                clock,
            ),
            prober=prober,
            cache_use=report_of(memory, replies, clock),
            replies=replies,
            clock=clock,
            sandbox_url=url if mode.sandbox else "",
        )


def _providers(settings: Settings, mode: Mode) -> Sequence[Provider]:
    chosen = settings.providers.alpha_vantage
    return (
        AlphaVantage(intraday_label=chosen.intraday_label, datatype=chosen.datatype),
        Yahoo(),
        Finnhub(plan=plan_name(settings, mode, "finnhub")),
    )


@asynccontextmanager
async def _sandbox(
    settings: Settings, calendars: ComputedCalendars, clock: Clock
) -> AsyncIterator[str]:
    # Not on the way of a server that asks real vendors.
    from ingestion_server import sandbox  # noqa: PLC0415

    options = sandbox.SandboxOptions(**settings.sandbox.model_dump())
    async with sandbox.running(
        options, sessions=calendars, now_ns=clock.now_ns
    ) as running:
        yield running.url


def _redactor(
    settings: Settings, mode: Mode, providers: Sequence[Provider]
) -> Redactor:
    """Return what blanks every key that is shown to a vendor."""
    keyed = [provider.name for provider in providers if provider.needs_key]
    keys = {key_of(settings, name, mode) for name in keyed} - {""}
    return Redactor(
        lambda: keys,
        frozenset().union(*(provider.secret_parameters for provider in providers)),
    )


def _dialler(
    mode: Mode,
    sandbox_url: str,
    providers: Sequence[Provider],
    clock: Clock,
    redactor: Redactor,
) -> Dialler | None:
    """Return what opens streams; recordings hold none."""
    if mode.replay is not None:
        return None
    from ingestion_server.transport.websocket import (  # noqa: PLC0415 - recordings need no network
        WebSocketDialler,
    )

    return WebSocketDialler(
        clock=clock,
        hosts={provider.name: provider.hosts for provider in providers},
        rebase=sandbox_url or None,
        redactor=redactor,
    )


async def _transport(  # noqa: PLR0913, PLR0917 - everything it is made from
    stack: AsyncExitStack,
    settings: Settings,
    mode: Mode,
    sandbox_url: str,
    providers: Sequence[Provider],
    clock: Clock,
    redactor: Redactor,
) -> Transport:
    if mode.replay is not None:
        from ingestion_server.transport.replay import ReplayTransport  # noqa: PLC0415

        return await ReplayTransport.open(mode.replay, providers)
    from ingestion_server.transport.aiohttp_transport import (  # noqa: PLC0415 - recordings need no network
        AiohttpTransport,
        TransportLimits,
    )

    limits = settings.transport
    transport: Transport = await stack.enter_async_context(
        AiohttpTransport(
            clock=clock,
            hosts={provider.name: provider.hosts for provider in providers},
            limits=TransportLimits(
                body_bytes=limits.body_bytes,
                connections=limits.connections,
                # A simulator is one host that stands for those of all vendors.
                connections_per_host=limits.connections_per_host
                * (len(providers) if sandbox_url else 1),
            ),
            rebase=sandbox_url or None,
            redactor=redactor,
        )
    )
    if mode.record is not None:
        from ingestion_server.transport.recording import (  # noqa: PLC0415
            RecordingTransport,
        )

        transport = await RecordingTransport.open(
            transport, mode.record, providers, clock=clock, redactor=redactor
        )
    return transport


class _Workshop(msgspec.Struct, frozen=True):
    """Hold what every vendor is equipped from."""

    settings: Settings
    mode: Mode
    transport: Transport
    actions: ActionsCache
    ledger: Ledger
    clock: Clock
    hooks: Sequence[OnCall]
    leaving: Sequence[OnLeaving]
    limits: PolicyLimits
    breakers: Breakers

    def vendors(self, providers: Sequence[Provider]) -> dict[str, Vendor]:
        """Return the vendors that are switched on."""
        return {
            provider.name: self._vendor(provider)
            for provider in providers
            if provider.name in self.ledger.accounts
        }

    def _vendor(self, provider: Provider) -> Vendor:
        quota = self.ledger.accounts[provider.name]
        key = key_of(self.settings, provider.name, self.mode)

        def steps(kind: str, send: Send) -> Send:
            policies = standard_policies(
                self.limits,
                self.clock,
                breaker=self.breakers.for_key(provider.name, kind),
                quota=quota,
                kind=kind,
                hooks=self.hooks,
                leaving=self.leaving,
            )
            return pipeline(policies, send)

        return Vendor(
            provider,
            Exchange(provider, self.transport, steps, key=key),
            ActionsShelf(
                provider.name,
                self.actions,
                self.clock,
                keep_seconds=self.settings.actions.cache_seconds,
            ),
            quota,
            no_key=_no_key(provider) if provider.needs_key and not key else "",
            breaker=lambda kind: self.breakers.for_key(provider.name, kind).state(),
        )


def _draws(settings: Settings) -> Callable[[], float]:
    """Return what draws among equals, and says with which seed when it first does."""
    seed = settings.registry.seed
    if seed is None:
        seed = SystemRandom().getrandbits(32)
    draw = Random(seed).random  # noqa: S311 - no secret
    unsaid = [seed]

    def drawn() -> float:
        if unsaid:
            # With it, and the questions in the log, the same routes are drawn again.
            _log.info("routes are drawn with registry.seed=%d", unsaid.pop())
        return draw()

    return drawn


def _policy_limits(settings: Settings) -> PolicyLimits:
    retry, breaker = settings.retry, settings.breaker
    return PolicyLimits(
        RetryLimits(
            attempts=retry.attempts,
            first_seconds=retry.first_seconds,
            longest_seconds=retry.longest_seconds,
        ),
        BreakerLimits(**breaker.model_dump()),
        DeadlineLimits(call_seconds=settings.transport.call_seconds),
    )


def _breaker_limits(
    settings: Settings, for_all: BreakerLimits, name: str
) -> BreakerLimits:
    own = settings.providers.of(name).breaker.model_dump(exclude_none=True)
    return msgspec.structs.replace(for_all, **own)


def calendar_folder(settings: Settings) -> Path:
    """Return where computed calendars are kept: the user's cache unless told."""
    if settings.calendars.cache_folder is not None:
        return settings.calendars.cache_folder
    if settings.state.folder is not None:
        return settings.state.folder / "calendars"
    return user_cache_folder() / "calendars"


def _no_key(provider: Provider) -> str:
    variables = " or ".join(secrets.names(f"providers.{provider.name}.api_key"))
    return f"{provider.name} needs a key and has none; set {variables}"
