"""
How the rooms are joined.

Building order is reading order, and teardown its reverse.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from ingestion_server.app import order, secrets
from ingestion_server.app.budgets import budget_of
from ingestion_server.app.clock import SystemClock, boot_id
from ingestion_server.app.folders import user_cache_folder
from ingestion_server.app.sections import AlphaVantageSettings
from ingestion_server.app.settings import Settings
from ingestion_server.cache.bounded import BoundedCache
from ingestion_server.calendars import ComputedCalendars
from ingestion_server.ingest.calling import Exchange
from ingestion_server.ingest.candidates import Vendor, kinds_served
from ingestion_server.ingest.events import Events
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ingest.roster import Member, Roster
from ingestion_server.ingest.shelf import ActionsCache, ActionsShelf
from ingestion_server.policies.breaker import Breakers
from ingestion_server.policies.limits import (
    BreakerLimits,
    DeadlineLimits,
    PolicyLimits,
    RetryLimits,
)
from ingestion_server.policies.pipeline import pipeline, standard_policies
from ingestion_server.ports.budget import Budget, Window
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import OnCall
from ingestion_server.ports.http import Transport
from ingestion_server.ports.policy import Send
from ingestion_server.ports.provider import Provider
from ingestion_server.ports.quota import OnAlert
from ingestion_server.ports.routing import OnBreaker, Overrides, OverridesError
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.quota.journal import JournalError
from ingestion_server.quota.ledger import Ledger, Place, Setup, Terms
from ingestion_server.registry.standing import Standings
from ingestion_server.store.overrides import FileOverrides, NoOverrides

SANDBOX_KEY: Final = "sandbox-key"
"""What is shown to simulated vendors and recordings, which want some key."""


class Mode(msgspec.Struct, frozen=True):
    """Say what stands at the other end of the wire."""

    sandbox: bool = False
    """Simulated vendors within this process."""
    sandbox_url: str = ""
    """Simulated vendors elsewhere."""
    record: Path | None = None
    """Folder that receives what the vendors answer."""
    replay: Path | None = None
    """Folder that answers instead of the vendors."""

    @property
    def simulated(self) -> bool:
        """Return whether no real vendor is asked."""
        return self.sandbox or bool(self.sandbox_url) or self.replay is not None


class Joined(msgspec.Struct, frozen=True):
    """Hold what the doors need."""

    fetcher: Fetcher
    calendars: ComputedCalendars
    ledger: Ledger
    breakers: Breakers
    standings: Standings
    ranking: Ranking
    roster: Roster
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
    providers = _providers(settings)
    async with AsyncExitStack() as stack:
        # First, and so closed last: whatever still calls a vendor writes into it.
        ledger = await asyncio.to_thread(
            _ledger, settings, mode, providers, clock, on_alert
        )
        await stack.enter_async_context(_kept(ledger))
        calendars = await stack.enter_async_context(
            ComputedCalendars(calendar_folder(settings))
        )
        url = mode.sandbox_url
        if mode.sandbox:
            url = await stack.enter_async_context(_sandbox(settings, calendars, clock))
        transport = await _transport(stack, settings, mode, url, providers, clock)
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
        hooks = (standings, *hooks)
        workshop = _Workshop(
            settings, mode, transport, actions, ledger, clock, hooks, limits, breakers
        )
        vendors = workshop.vendors(providers)
        ranking = Ranking(
            order.listing(settings, providers, vendors),
            standings,
            clock,
            random=Random(settings.registry.seed).random,  # noqa: S311 - no secret
        )
        active = dict(vendors)
        roster = Roster(
            _members(settings, mode, providers, vendors),
            active,
            ranking=ranking,
            standings=standings,
            breakers_of=breakers.views,
            events=events,
            overrides=_overrides(settings, mode),
            clock=clock,
        )
        fetcher = Fetcher(
            active, ranking, calendars=calendars, transport=transport, clock=clock
        )
        yield Joined(
            fetcher=fetcher,
            calendars=calendars,
            ledger=ledger,
            breakers=breakers,
            standings=standings,
            ranking=ranking,
            roster=roster,
            clock=clock,
            sandbox_url=url if mode.sandbox else "",
        )


def _providers(settings: Settings) -> Sequence[Provider]:
    chosen = settings.providers.alpha_vantage
    return (
        AlphaVantage(intraday_label=chosen.intraday_label, datatype=chosen.datatype),
        Yahoo(),
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


async def _transport(
    stack: AsyncExitStack,
    settings: Settings,
    mode: Mode,
    sandbox_url: str,
    providers: Sequence[Provider],
    clock: Clock,
) -> Transport:
    if mode.replay is not None:
        from ingestion_server.transport.replay import ReplayTransport  # noqa: PLC0415

        return await ReplayTransport.open(mode.replay, providers)
    from ingestion_server.transport.aiohttp_transport import (  # noqa: PLC0415 - recordings need no network
        AiohttpTransport,
        TransportLimits,
    )
    from ingestion_server.transport.redaction import Redactor  # noqa: PLC0415

    key = _key(settings, "alpha_vantage", mode)
    redactor = Redactor(
        lambda: (key,) if key else (),
        frozenset().union(*(provider.secret_parameters for provider in providers)),
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
        key = _key(self.settings, provider.name, self.mode)

        def steps(kind: str, send: Send) -> Send:
            policies = standard_policies(
                self.limits,
                self.clock,
                breaker=self.breakers.for_key(provider.name, kind),
                quota=quota,
                kind=kind,
                hooks=self.hooks,
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


def _ledger(
    settings: Settings,
    mode: Mode,
    providers: Sequence[Provider],
    clock: Clock,
    on_alert: Sequence[OnAlert],
) -> Ledger:
    place = None
    if _keeps(settings, mode):
        realm = "sandbox" if mode.sandbox else mode.sandbox_url
        place = Place(settings.state.place(), realm, boot_id())
    try:
        return Ledger(
            [
                _setup(settings, mode, provider)
                for provider in order.in_order(settings, providers)
                if settings.providers.of(provider.name).enabled
            ],
            clock=clock,
            terms=Terms(
                interactive_share=settings.quota.interactive_share,
                call_seconds=settings.transport.call_seconds,
                most_under_way=_most_under_way(settings, providers),
            ),
            place=place,
            listeners=on_alert,
        )
    except JournalError as error:
        raise OSError(str(error)) from error


def _most_under_way(settings: Settings, providers: Sequence[Provider]) -> int:
    """Return for how many calls of one vendor there is always a connection."""
    limits = settings.transport
    enabled = [each for each in providers if settings.providers.of(each.name).enabled]
    # At least one: with fewer connections than vendors, some calls wait after all.
    share = max(1, limits.connections // max(1, len(enabled)))
    return min(limits.connections_per_host, share)


@asynccontextmanager
async def _kept(ledger: Ledger) -> AsyncIterator[None]:
    """Keep a ledger, and let failures of the house be told as they are."""
    failure: Exception | None = None
    async with ledger.keeping():
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised below
            # A task group would wrap it, and nobody who listens expects a group.
            failure = error
    if failure is not None:
        raise failure


def _members(
    settings: Settings,
    mode: Mode,
    providers: Sequence[Provider],
    vendors: Mapping[str, Vendor],
) -> list[Member]:
    found = []
    for provider in providers:
        plan, budget = _plan(settings, mode, provider)
        found.append(
            Member(
                provider=provider,
                plan=plan,
                monthly_usd=budget.monthly_price_usd,
                per_unit_usd=budget.price_per_unit_usd,
                vendor=vendors.get(provider.name),
            )
        )
    return found


def _overrides(settings: Settings, mode: Mode) -> Overrides:
    """Return where operators' changes are kept: nowhere, if no ledger is."""
    if not _keeps(settings, mode):
        return NoOverrides()
    overrides = FileOverrides(settings.state.place())
    try:
        overrides.load()
    except OverridesError as error:
        raise OSError(str(error)) from error
    return overrides


def _keeps(settings: Settings, mode: Mode) -> bool:
    """Return whether anything is kept: not for vendors that end with the process."""
    if mode.replay is not None:
        return False
    return not mode.sandbox or settings.state.folder is not None


def _setup(settings: Settings, mode: Mode, provider: Provider) -> Setup:
    name = provider.name
    key = _key(settings, name, mode)
    # Tells keys apart, and cannot be turned back into one.
    identity = hashlib.sha256(f"ledger:{key}".encode()).hexdigest()[:16] if key else ""
    plan, budget = _plan(settings, mode, provider)
    return Setup(name, plan, budget, identity)


def _plan(settings: Settings, mode: Mode, provider: Provider) -> tuple[str, Budget]:
    """Return the plan in force; a recording is not metered by anybody."""
    if mode.replay is not None:
        return "recorded", Budget()
    plan: str | None = settings.providers.of(provider.name).plan
    if plan is None and mode.simulated and provider.needs_key:
        # Simulated keys have the plan that the simulation gives them.
        plan = settings.sandbox.alpha_vantage_plan
        per = re.fullmatch(r"([0-9]+)per([0-9]+)s", plan)
        if per is not None:
            window = Window(name="pace", limit=int(per[1]), seconds=float(per[2]))
            budget = budget_of(settings, provider, provider.default_plan)
            if not budget.configured:
                budget = msgspec.structs.replace(budget, windows=(window,))
            return plan, budget
    plan = plan or provider.default_plan
    return plan, budget_of(settings, provider, plan)


def _key(settings: Settings, name: str, mode: Mode) -> str:
    chosen = getattr(settings.providers, name)
    key = (
        chosen.api_key.get_secret_value()
        if isinstance(chosen, AlphaVantageSettings)
        else ""
    )
    return SANDBOX_KEY if mode.simulated and not key else key


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
