"""
How the rooms are joined.

Building order is reading order, and teardown its reverse.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from ingestion_server.app import secrets
from ingestion_server.app.clock import SystemClock
from ingestion_server.app.folders import user_cache_folder
from ingestion_server.app.sections import AlphaVantageSettings
from ingestion_server.app.settings import Settings
from ingestion_server.cache.bounded import BoundedCache
from ingestion_server.calendars import ComputedCalendars
from ingestion_server.ingest.calling import Exchange
from ingestion_server.ingest.candidates import Vendor
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ingest.shelf import ActionsCache, ActionsShelf
from ingestion_server.policies.breaker import Breakers
from ingestion_server.policies.limits import (
    BreakerLimits,
    DeadlineLimits,
    PolicyLimits,
    RetryLimits,
)
from ingestion_server.policies.pipeline import pipeline, standard_policies
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import OnCall
from ingestion_server.ports.http import Transport
from ingestion_server.ports.policy import Send
from ingestion_server.ports.provider import Plan, Provider
from ingestion_server.providers.alpha_vantage import AlphaVantage
from ingestion_server.providers.yahoo import Yahoo
from ingestion_server.quota.rolling import RollingQuota
from ingestion_server.registry.selection import Listing

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
    sandbox_url: str


@asynccontextmanager
async def joined(
    settings: Settings,
    mode: Mode,
    *,
    clock: Clock | None = None,
    hooks: Sequence[OnCall] = (),
) -> AsyncIterator[Joined]:
    """
    Build the rooms below the doors, and take them down again.

    Raises:
        OSError: A folder or a port cannot be used.
        ValueError: The folder to replay holds no recordings.

    """
    clock = clock or SystemClock()
    providers = _providers(settings)
    async with AsyncExitStack() as stack:
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
        workshop = _Workshop(settings, mode, transport, actions, clock, hooks)
        vendors = workshop.vendors(providers)
        listing = _listing(settings, vendors, providers)
        fetcher = Fetcher(
            vendors, listing, calendars=calendars, transport=transport, clock=clock
        )
        yield Joined(fetcher, calendars, url if mode.sandbox else "")


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
                connections_per_host=limits.connections_per_host,
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
    clock: Clock
    hooks: Sequence[OnCall]

    def vendors(self, providers: Sequence[Provider]) -> dict[str, Vendor]:
        """Return the vendors that are switched on."""
        limits = _policy_limits(self.settings)
        breakers = Breakers(limits.breaker, self.clock)
        return {
            provider.name: self._vendor(provider, limits, breakers)
            for provider in providers
            if getattr(self.settings.providers, provider.name).enabled
        }

    def _vendor(
        self, provider: Provider, limits: PolicyLimits, breakers: Breakers
    ) -> Vendor:
        plan = _plan(self.settings, self.mode, provider)
        quota = RollingQuota(provider.name, plan.windows, self.clock)
        key = _key(self.settings, provider.name, self.mode)

        def steps(kind: str, send: Send) -> Send:
            policies = standard_policies(
                limits,
                self.clock,
                breaker=breakers.for_key(provider.name, kind),
                quota=quota,
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
            price_per_call_usd=plan.price_per_call_usd,
            no_key=_no_key(provider) if provider.needs_key and not key else "",
        )


def _policy_limits(settings: Settings) -> PolicyLimits:
    retry, breaker = settings.retry, settings.breaker
    return PolicyLimits(
        RetryLimits(
            attempts=retry.attempts,
            first_seconds=retry.first_seconds,
            longest_seconds=retry.longest_seconds,
        ),
        BreakerLimits(failures=breaker.failures, rest_seconds=breaker.rest_seconds),
        DeadlineLimits(call_seconds=settings.transport.call_seconds),
    )


def _plan(settings: Settings, mode: Mode, provider: Provider) -> Plan:
    """Return the plan in force; a recording is not metered by anybody."""
    if mode.replay is not None:
        return Plan(())
    chosen = getattr(settings.providers, provider.name).plan
    if chosen is None and mode.simulated and provider.needs_key:
        # Simulated keys have the plan that the simulation gives them.
        chosen = settings.sandbox.alpha_vantage_plan
    return provider.plans[chosen or provider.default_plan]


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


def _listing(
    settings: Settings, vendors: dict[str, Vendor], providers: Sequence[Provider]
) -> Listing:
    known = [provider.name for provider in providers]
    ranked = [*settings.providers.order, *known]
    ranked = [name for name in dict.fromkeys(ranked) if name in known]
    return Listing(
        enabled=tuple(name for name in ranked if name in vendors),
        disabled=tuple(name for name in ranked if name not in vendors),
    )
