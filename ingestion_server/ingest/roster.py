"""All vendors: what they declare, how they do, and what operators make of them."""

from __future__ import annotations

import asyncio
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import suppress
from decimal import Decimal
from typing import Final, final

import msgspec
from typing_extensions import override

from ingestion_server.domain.errors import (
    InvalidQueryError,
    StateUnavailableError,
    Violation,
)
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ingest.candidates import Vendor, kinds_served
from ingestion_server.ingest.events import Events
from ingestion_server.ingest.ranking import Ranking
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.policy import BreakerPosition, BreakerReading
from ingestion_server.ports.provider import Provider
from ingestion_server.ports.quota import Quota
from ingestion_server.ports.routing import (
    BreakerView,
    Directory,
    Event,
    EventKind,
    Health,
    Override,
    Overrides,
    OverridesError,
    ProviderReport,
)
from ingestion_server.registry.score import score
from ingestion_server.registry.selection import Listing
from ingestion_server.registry.standing import Standings

_LONGEST_NAME: Final = 40


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a vendor as the settings have it."""

    provider: Provider
    plan: str
    monthly_usd: Decimal
    per_unit_usd: Decimal
    vendor: Vendor | None
    """None if the settings switch it off."""


BreakersOf = Callable[[str], Mapping[str, BreakerReading]]
"""Tell the breakers of a vendor, by kind of data."""


@final
class Roster(Directory):
    """
    Know all vendors, and let operators change them within the settings.

    What the settings switch off stays off, and where they fix an order it stays: they
    are the bounds. What an operator changes while the server runs is kept, and takes
    effect with the next question.
    """

    def __init__(  # noqa: PLR0913 - the parts of what is known of vendors
        self,
        members: Sequence[Member],
        active: MutableMapping[str, Vendor],
        *,
        ranking: Ranking,
        standings: Standings,
        breakers_of: BreakersOf,
        events: Events,
        overrides: Overrides,
        clock: Clock,
    ) -> None:
        """
        Set up, with what operators changed before.

        Args:
            members: all vendors.
            active: those that may be asked; kept up to date here.
            ranking: puts them in order; its listing is kept up to date here.
            standings: how they have done.
            breakers_of: where their breakers stand.
            events: are told of changes.
            overrides: keeps changes.
            clock: tells the time.

        Raises:
            OverridesError: What operators changed cannot be read.

        """
        self._members = {member.provider.name: member for member in members}
        self._active = active
        self._ranking = ranking
        self._standings = standings
        self._breakers_of = breakers_of
        self._events = events
        self._store = overrides
        self._clock = clock
        self._by_settings = ranking.listing
        # What is said of a vendor that is gone stays, for it may come back.
        self._overrides = dict(overrides.load())
        self._changing = asyncio.Lock()
        self._apply()

    @override
    def reports(self) -> Sequence[ProviderReport]:
        """Return what is known of each, in the order in which they are asked."""
        return list(self.in_turn())

    def in_turn(self) -> Iterator[ProviderReport]:
        """Tell of one after the other: who listens may have heard enough early."""
        listing = self._ranking.listing
        for name in sorted(self._members, key=listing.priority):
            yield self._report(self._members[name])

    @override
    def events(self, after: int) -> Sequence[Event]:
        """Return the latest events with higher numbers, oldest first."""
        return self._events.after(after)

    @override
    async def changed(self, after_event: int, *, within_seconds: float) -> None:
        """Wait until there is a newer event, but not longer."""
        await self._events.changed(after_event, within_seconds=within_seconds)

    @override
    async def update(
        self, name: str, *, enabled: bool | None, priority: int | None
    ) -> ProviderReport:
        """
        Change a vendor for good: it survives a restart.

        A change that was begun is made, though the caller may be gone.

        Raises:
            InvalidQueryError: There is no such vendor, or the settings forbid it.
            StateUnavailableError: It cannot be kept, so nothing was changed.

        """
        member = self._members.get(name)
        if member is None:
            known = ", ".join(self._members)
            raise InvalidQueryError(
                [
                    Violation(
                        "name",
                        f"{name[:_LONGEST_NAME]!r} is not known; expected one of "
                        f"{known}",
                    )
                ]
            )
        self._check(member, enabled=enabled, priority=priority)
        async with self._changing:
            changing = asyncio.create_task(
                self._change(member, enabled=enabled, priority=priority),
                name=f"change:{name}",
            )
            try:
                return await asyncio.shield(changing)
            finally:
                # Left half-way, what is kept and what is so could differ, and the
                # next change could be written over by this one.
                await _ended(changing)

    async def _change(
        self, member: Member, *, enabled: bool | None, priority: int | None
    ) -> ProviderReport:
        name = member.provider.name
        old = self._overrides.get(name, Override())
        new = Override(
            enabled=old.enabled if enabled is None else enabled,
            priority=old.priority if priority is None else priority,
        )
        changed = {**self._overrides, name: new}
        try:
            await self._store.save(changed)
        except OverridesError as error:
            raise StateUnavailableError(
                f"{name} was not changed, because a restart would forget it: {error}"
            ) from error
        self._overrides = changed
        before = self._report(member)
        self._apply()
        after = self._report(member)
        told = _told(before, after)
        if told:
            self._events.add(EventKind.UPDATED, name, told)
        return after

    def _check(
        self, member: Member, *, enabled: bool | None, priority: int | None
    ) -> None:
        name, wrong = member.provider.name, list[Violation]()
        if enabled and member.vendor is None:
            wrong.append(
                Violation(
                    "enabled",
                    f"the settings switch {name} off (providers.{name}.enabled)"
                    f"{_retired(member.provider)}",
                )
            )
        if priority is not None and self._by_settings.hard(name):
            wrong.append(
                Violation(
                    "priority",
                    f"the settings fix the place of {name} (providers.order, "
                    f"providers.{name}.priority)",
                )
            )
        if wrong:
            raise InvalidQueryError(wrong)

    def _apply(self) -> None:
        settings, kept = self._by_settings, self._overrides
        off = {name for name, each in kept.items() if each.enabled is False}
        chosen = {
            name: each.priority
            for name, each in kept.items()
            if each.priority is not None and not settings.hard(name)
        }
        # All of them, since the listing is about to change places.
        priorities = {name: settings.priority(name) for name in self._members} | chosen
        enabled = sorted(settings.enabled, key=priorities.__getitem__)
        self._ranking.listing = Listing(
            enabled=tuple(name for name in enabled if name not in off),
            disabled=(*settings.disabled, *(name for name in enabled if name in off)),
            retired=settings.retired,
            ranked=settings.ranked,
            priorities=priorities,
            chosen=settings.chosen | chosen.keys(),
        )
        for name, member in self._members.items():
            if member.vendor is not None and name not in off:
                self._active[name] = member.vendor
            else:
                self._active.pop(name, None)

    def _report(self, member: Member) -> ProviderReport:
        provider, listing = member.provider, self._ranking.listing
        vendor = member.vendor
        enabled = provider.name in self._active
        if vendor is None:
            unusable = f"the settings switch it off{_retired(provider)}"
        elif not enabled:
            unusable = "an operator switched it off"
        else:
            unusable = vendor.no_key
        return ProviderReport(
            name=provider.name,
            lifecycle=provider.lifecycle,
            enabled=enabled,
            priority=listing.priority(provider.name),
            priority_configured=listing.hard(provider.name),
            unusable_reason=unusable,
            capabilities=provider.capabilities,
            feed_delay_seconds=provider.feed_delay_seconds,
            plan=member.plan,
            monthly_usd=member.monthly_usd,
            per_unit_usd=member.per_unit_usd,
            health=[
                self._health(provider, kind, vendor.quota if vendor else None)
                for kind in self._kinds(provider)
            ],
        )

    def _kinds(self, provider: Provider) -> Iterable[str]:
        asked = self._standings.kinds(provider.name)
        known = self._breakers_of(provider.name)
        return sorted({*kinds_served(provider), *asked, *known})

    def _health(self, provider: Provider, kind: str, quota: Quota | None) -> Health:
        view = self._standings.view(provider.name, kind)
        return Health(
            kind=kind,
            samples=view.samples,
            score=score(
                view,
                headroom=1.0 if quota is None else quota.headroom(),
                feed_delay_seconds=provider.feed_delay_seconds,
                price_usd=Decimal(0) if quota is None else quota.price_usd(""),
            ),
            p50_seconds=view.p50_seconds,
            p95_seconds=view.p95_seconds,
            last_success_ns=view.last_success_ns,
            last_failure_ns=view.last_failure_ns,
            last_failure=view.last_failure,
            breaker=self._breaker(self._breakers_of(provider.name).get(kind)),
        )

    def _breaker(self, reading: BreakerReading | None) -> BreakerView:
        if reading is None:
            return BreakerView(position=BreakerPosition.CLOSED)
        return BreakerView(
            position=reading.position,
            opened_at_ns=self._wall_ns(reading.opened_at_seconds),
            reason=reading.reason,
            retry_at_ns=self._wall_ns(reading.retry_at_seconds),
            failures=reading.failures,
            rest_seconds=reading.rest_seconds,
        )

    def _wall_ns(self, seconds: float | None) -> int | None:
        if seconds is None:
            return None
        ahead = seconds - self._clock.monotonic()
        return self._clock.now_ns() + round(ahead * SECOND_NS)


async def _ended(task: asyncio.Task[ProviderReport]) -> None:
    """Wait until a task has ended, however often that is to be cancelled."""
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait((task,))


def _retired(provider: Provider) -> str:
    """Say since when a vendor is no more; empty if it still serves."""
    lifecycle = provider.lifecycle
    return f"; retired on {lifecycle.since}" if lifecycle.stage == "retired" else ""


def _told(before: ProviderReport, after: ProviderReport) -> str:
    """Say what an operator changed; empty if all is as it was."""
    said = []
    if before.enabled is not after.enabled:
        said.append("switched on" if after.enabled else "switched off")
    if (before.priority, before.priority_configured) != (
        after.priority,
        after.priority_configured,
    ):
        said.append(f"priority {after.priority}")
    return f"by an operator: {', '.join(said)}" if said else ""
