"""What is kept of vendors: their ledger, and what operators changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from ingestion_server.app import order
from ingestion_server.app.budgets import budget_of
from ingestion_server.app.clock import boot_id
from ingestion_server.app.mode import Mode, key_of
from ingestion_server.app.settings import Settings
from ingestion_server.ingest.candidates import Vendor
from ingestion_server.ingest.roster import Member
from ingestion_server.ports.budget import Budget, Counts, Window
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.provider import Provider
from ingestion_server.ports.quota import OnAlert
from ingestion_server.ports.routing import Overrides, OverridesError
from ingestion_server.providers.iex_cloud import declarations as iex_cloud
from ingestion_server.quota.journal import JournalError
from ingestion_server.quota.ledger import Ledger, Place, Setup, Terms
from ingestion_server.store.overrides import FileOverrides, NoOverrides


def opened_ledger(
    settings: Settings,
    mode: Mode,
    providers: Sequence[Provider],
    clock: Clock,
    on_alert: Sequence[OnAlert],
) -> Ledger:
    """
    Open the ledger of the vendors that are switched on; that may block for a moment.

    Raises:
        OSError: It cannot be used.

    """
    place = None
    if keeps(settings, mode):
        place = Place(settings.state.place(), realm_of(mode), boot_id())
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


@asynccontextmanager
async def kept(ledger: Ledger) -> AsyncIterator[None]:
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


def members(
    settings: Settings,
    mode: Mode,
    providers: Sequence[Provider],
    vendors: Mapping[str, Vendor],
) -> list[Member]:
    """Return all vendors, those that are switched off included."""
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


def overrides_of(settings: Settings, mode: Mode) -> Overrides:
    """
    Return where operators' changes are kept: nowhere, if no ledger is.

    Raises:
        OSError: What they changed cannot be read.

    """
    if not keeps(settings, mode):
        return NoOverrides()
    overrides = FileOverrides(settings.state.place())
    try:
        overrides.load()
    except OverridesError as error:
        raise OSError(str(error)) from error
    return overrides


def realm_of(mode: Mode) -> str:
    """Return whose vendors are asked: simulated ones never mix with real ones."""
    return "sandbox" if mode.sandbox else mode.sandbox_url


def keeps(settings: Settings, mode: Mode) -> bool:
    """Return whether anything is kept: not for vendors that end with the process."""
    if mode.replay is not None:
        return False
    return not mode.sandbox or settings.state.folder is not None


def plan_name(settings: Settings, mode: Mode, name: str) -> str | None:
    """Return the plan of a vendor's key; None = the one that is usual for it."""
    plan: str | None = settings.providers.of(name).plan
    if plan is not None or not mode.simulated:
        return plan
    # Simulated keys have the plan that the simulation gives them.
    match name:
        case "alpha_vantage":
            return settings.sandbox.alpha_vantage_plan
        case "finnhub":
            return settings.sandbox.finnhub_plan
        case _:
            return None


def _setup(settings: Settings, mode: Mode, provider: Provider) -> Setup:
    name = provider.name
    key = key_of(settings, name, mode)
    # Tells keys apart, and cannot be turned back into one.
    identity = hashlib.sha256(f"ledger:{key}".encode()).hexdigest()[:16] if key else ""
    plan, budget = _plan(settings, mode, provider)
    return Setup(name, plan, budget, identity)


def _plan(settings: Settings, mode: Mode, provider: Provider) -> tuple[str, Budget]:
    """Return the plan in force; a recording is not metered by anybody."""
    if mode.replay is not None:
        return "recorded", Budget()
    plan = plan_name(settings, mode, provider.name) or provider.default_plan
    per = re.fullmatch(r"([0-9]+)per([0-9]+)s", plan)
    if per is None:
        budget = budget_of(settings, provider, plan)
        return plan, _within(budget, _messages(settings, mode, provider))
    window = Window(name="pace", limit=int(per[1]), seconds=float(per[2]))
    budget = budget_of(settings, provider, provider.default_plan)
    if not budget.configured:
        budget = msgspec.structs.replace(budget, windows=(window,))
    return plan, budget


def _messages(settings: Settings, mode: Mode, provider: Provider) -> int | None:
    """Return how many messages a month an operator allows; None = as the plan says."""
    if provider.name != iex_cloud.NAME:
        return None
    chosen = settings.providers.iex_cloud
    if chosen.messages_per_month is None and chosen.plan is None and mode.simulated:
        return settings.sandbox.iex_cloud_messages
    return chosen.messages_per_month


def _within(budget: Budget, messages: int | None) -> Budget:
    if messages is None or budget.configured:
        return budget
    windows = (
        msgspec.structs.replace(each, limit=messages)
        if each.counts is Counts.UNITS
        else each
        for each in budget.windows
    )
    return msgspec.structs.replace(budget, windows=tuple(windows))


def _most_under_way(settings: Settings, providers: Sequence[Provider]) -> int:
    """Return for how many calls of one vendor there is always a connection."""
    limits = settings.transport
    enabled = [each for each in providers if settings.providers.of(each.name).enabled]
    # At least one: with fewer connections than vendors, some calls wait after all.
    share = max(1, limits.connections // max(1, len(enabled)))
    return min(limits.connections_per_host, share)
