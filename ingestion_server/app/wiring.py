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

from ingestion_server.app import order, retired
from ingestion_server.app.caching import remembering, replies_of, report_of
from ingestion_server.app.clock import SystemClock
from ingestion_server.app.equipping import Workshop, breaker_limits, policy_limits
from ingestion_server.app.folders import user_cache_folder
from ingestion_server.app.jobs import JobParts, working
from ingestion_server.app.keeping import (
    kept,
    members,
    opened_ledger,
    overrides_of,
    plan_name,
)
from ingestion_server.app.live import Parts, living
from ingestion_server.app.mode import Mode
from ingestion_server.app.network import dialler_of, redactor_of, transport_of
from ingestion_server.app.quoting import quoting
from ingestion_server.app.reporting import reporting
from ingestion_server.app.settings import Settings
from ingestion_server.cache.bounded import BoundedCache
from ingestion_server.cache.replies import EncodedReplies
from ingestion_server.calendars import ComputedCalendars
from ingestion_server.ingest.asked import Landed
from ingestion_server.ingest.benchmarking import Benchmarking
from ingestion_server.ingest.call_meter import CallMeter
from ingestion_server.ingest.candidates import STREAM, kinds_served
from ingestion_server.ingest.coaches import Coaches
from ingestion_server.ingest.entrants import Registrar
from ingestion_server.ingest.events import Events
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.flights import Flights
from ingestion_server.ingest.hedging import Hedges
from ingestion_server.ingest.jobs.desk import JobDesk
from ingestion_server.ingest.live.hub import Hub
from ingestion_server.ingest.live.joining import LiveDesk
from ingestion_server.ingest.probing import Prober
from ingestion_server.ingest.quoting import Quoter
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ingest.reporting.desk import ReportDesk
from ingestion_server.ingest.reporting.tally import Tally
from ingestion_server.ingest.roster import Roster
from ingestion_server.ingest.shelf import ActionsCache
from ingestion_server.ingest.suggesting import MOST_KEPT, SearchCache, Suggester
from ingestion_server.ingest.walk import Walker
from ingestion_server.policies.breaker import Breakers
from ingestion_server.ports.caching import CacheReport
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import OnCall, OnLag, OnLeaving
from ingestion_server.ports.provider import Provider
from ingestion_server.ports.quota import OnAlert
from ingestion_server.ports.routing import OnBreaker
from ingestion_server.ports.tracing import Tracer
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.finnhub import Finnhub
from ingestion_server.providers.iex_cloud import IexCloud
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.quota.ledger import Ledger
from ingestion_server.registry.standing import Standings

_log: Final = logging.getLogger(__name__)


class Joined(msgspec.Struct, frozen=True):
    """Hold what the doors need."""

    fetcher: Fetcher
    quoter: Quoter
    hub: Hub
    live: LiveDesk
    jobs: JobDesk
    tally: Tally
    reports: ReportDesk
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
async def joined(  # noqa: PLR0913 - those who listen
    settings: Settings,
    mode: Mode,
    *,
    clock: Clock | None = None,
    hooks: Sequence[OnCall] = (),
    leaving: Sequence[OnLeaving] = (),
    on_lag: Sequence[OnLag] = (),
    on_alert: Sequence[OnAlert] = (),
    on_breaker: Sequence[OnBreaker] = (),
    tracer: Tracer | None = None,
    tally: Tally | None = None,
) -> AsyncIterator[Joined]:
    """
    Build the rooms below the doors, and take them down again.

    Raises:
        OSError: A folder, a port or the ledger cannot be used.
        ValueError: The folder to replay holds no recordings, or a vendor is switched
            on that is no more.

    """
    if not mode.simulated and (gone := retired.refusal(settings)):
        raise ValueError(gone)
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
        redactor = redactor_of(settings, mode, providers)
        transport = await transport_of(
            stack, settings, mode, url, providers, clock, redactor
        )
        recordings = None if mode.replay is None else transport
        actions: ActionsCache = await stack.enter_async_context(
            BoundedCache(settings.actions.cache_entries, clock)
        )
        limits, events = policy_limits(settings), Events(clock)
        breakers = Breakers(
            partial(breaker_limits, settings, limits.breaker),
            clock,
            (events, *on_breaker),
            paced={STREAM},
        )
        for provider in providers:
            for kind in kinds_served(provider):
                # So that looking at what was never called makes no difference.
                breakers.for_key(provider.name, kind)
        standings = Standings(clock)
        meter = CallMeter()
        tally = tally or Tally(clock)
        hooks = (standings, meter, tally.hear_call, *hooks)
        workshop = Workshop(
            settings,
            mode,
            transport,
            actions,
            ledger,
            clock,
            hooks,
            (standings.left, *leaving),
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
        coaches = await stack.enter_async_context(Coaches(clock))
        # Last, and so closed first: what is under way writes into the others.
        flights: Flights[Landed] = await stack.enter_async_context(Flights())
        hedges = Hedges(
            standings,
            share=settings.hedge.share,
            longest_delay_seconds=settings.hedge.longest_delay_seconds,
        )
        searches: SearchCache = await stack.enter_async_context(
            BoundedCache(MOST_KEPT, clock)
        )
        suggester = Suggester(active, ranking, searches, clock)
        fetcher = Fetcher(
            active,
            Walker(
                clock,
                flights,
                memory,
                hedges,
                ranking,
                most_calls=settings.retry.attempts,
                # Who shares a call is chance: no recording would be found again.
                coaches=None if mode.record or mode.replay else coaches,
            ),
            calendars=calendars,
            transport=recordings,
            clock=clock,
            suggester=suggester,
        )
        live: list[Quoter] = []
        hub, desk = await stack.enter_async_context(
            living(
                Parts(
                    settings,
                    mode,
                    providers,
                    active,
                    dialler_of(mode, url, providers, clock, redactor),
                    breakers,
                    hooks,
                    on_lag,
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
                suggester=suggester,
                live=hub.directory.latest,
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
        jobs = await stack.enter_async_context(
            working(
                JobParts(
                    settings,
                    mode,
                    active,
                    fetcher,
                    ledger,
                    standings,
                    calendars,
                    clock,
                    tracer,
                )
            )
        )
        reports = await stack.enter_async_context(
            reporting(settings, mode, tally, calendars, clock)
        )
        yield Joined(
            fetcher=fetcher,
            quoter=quoter,
            hub=hub,
            live=desk,
            jobs=jobs,
            tally=tally,
            reports=reports,
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
        IexCloud(base_url=_base_url(settings, mode)),
    )


def _base_url(settings: Settings, mode: Mode) -> str:
    """Return where IEX Cloud's paths begin; a simulation has them where they were."""
    return "" if mode.simulated else settings.providers.iex_cloud.base_url or ""


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


def calendar_folder(settings: Settings) -> Path:
    """Return where computed calendars are kept: the user's cache unless told."""
    if settings.calendars.cache_folder is not None:
        return settings.calendars.cache_folder
    if settings.state.folder is not None:
        return settings.state.folder / "calendars"
    return user_cache_folder() / "calendars"
