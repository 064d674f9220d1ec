"""Operators look at vendors, and change them within what the settings leave."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from ingestion_server.domain.errors import InvalidQueryError, StateUnavailableError
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ingest.events import Events
from ingestion_server.ingest.roster import Member, Roster
from ingestion_server.ports.budget import Window
from ingestion_server.ports.policy import BreakerPosition, BreakerReading
from ingestion_server.ports.provider import Lifecycle
from ingestion_server.ports.routing import (
    EventKind,
    Health,
    Override,
    Overrides,
    OverridesError,
    ProviderReport,
)
from tests.ingest.making import ACME, ZENITH
from tests.ingest.test_ranking import worsen
from tests.ingest.vendors import CENT, Market, Shop

KIND = "bars:equity"
SWITCHED_OFF = "an operator switched it off"


class Drawer(Overrides):
    """Keep changes in memory; fail where told."""

    def __init__(self, **kept: Override) -> None:
        """Begin with what was kept before."""
        self.kept: Mapping[str, Override] = kept
        self.stuck = False
        self.saving = 0
        """How many saves were begun."""
        self.ready = asyncio.Event()
        self.ready.set()

    def load(self) -> Mapping[str, Override]:
        """Return what is kept."""
        if self.stuck:
            raise OverridesError("cannot read it: no such luck")
        return self.kept

    async def save(self, overrides: Mapping[str, Override]) -> None:
        """Keep it when there is time, or do not."""
        self.saving += 1
        await self.ready.wait()
        if self.stuck:
            raise OverridesError("cannot write it: no space is left")
        self.kept = dict(overrides)


class Office:
    """Put a roster over the vendors of a market."""

    def __init__(
        self, market: Market, drawer: Drawer | None = None, *, off: str = ""
    ) -> None:
        """Begin as the settings say, which may switch one vendor off."""
        self.market = market
        self.drawer = drawer or Drawer()
        self.readings: dict[str, BreakerReading] = {}
        shops = [vendor.provider for vendor in market.vendors.values()]
        if off:
            del market.vendors[off]
            listing = market.ranking.listing
            market.ranking.listing = msgspec.structs.replace(
                listing,
                enabled=tuple(name for name in listing.enabled if name != off),
                disabled=(off,),
            )
        self.events = Events(market.clock)
        self.roster = Roster(
            [
                Member(
                    provider=shop,
                    plan=f"plan of {shop.name}",
                    monthly_usd=Decimal("49.99"),
                    per_unit_usd=CENT,
                    vendor=market.vendors.get(shop.name),
                )
                for shop in shops
            ],
            market.vendors,
            ranking=market.ranking,
            standings=market.standings,
            breakers_of=lambda name: self.readings if name == ACME else {},
            events=self.events,
            overrides=self.drawer,
            clock=market.clock,
        )

    async def change(
        self, name: str, *, enabled: bool | None = None, priority: int | None = None
    ) -> ProviderReport:
        """Be an operator."""
        return await self.roster.update(name, enabled=enabled, priority=priority)

    async def refusal(
        self, name: str, *, enabled: bool | None = None, priority: int | None = None
    ) -> dict[str, str]:
        """Change what must not be changed, and return what is wrong, by field."""
        with pytest.raises(InvalidQueryError) as refused:
            await self.change(name, enabled=enabled, priority=priority)
        return {one.field: one.description for one in refused.value.violations}

    def report(self, name: str = ACME) -> ProviderReport:
        """Return what is known of a vendor."""
        return {report.name: report for report in self.roster.reports()}[name]

    def health(self, name: str = ACME) -> Health:
        """Return how a vendor does with the usual kind of data."""
        [health] = [one for one in self.report(name).health if one.kind == KIND]
        return health

    @property
    def names(self) -> list[str]:
        """Return the vendors in the order in which they are reported."""
        return [report.name for report in self.roster.reports()]

    @property
    def told(self) -> list[tuple[EventKind, str, str]]:
        """Return the events so far."""
        return [
            (event.kind, event.provider, event.detail)
            for event in self.roster.events(0)
        ]

    async def asked(self) -> str:
        """Return who serves the usual query."""
        return (await self.market.fetch()).attempts[0].provider


def two(*, ranked: bool = False) -> Market:
    """Have two vendors that cost the same."""
    return Market(Shop(ACME), Shop(ZENITH), ranked=ranked)


def test_what_vendors_declare_and_cost_is_reported() -> None:
    lifecycle = Lifecycle("deprecated", "2026-01-01")
    shop = Shop(ACME, lifecycle=lifecycle, feed_delay_seconds=900.0)

    report = Office(Market(shop)).report()

    assert (report.lifecycle, report.feed_delay_seconds) == (lifecycle, 900.0)
    assert report.capabilities == shop.capabilities
    assert report.plan == "plan of acme"
    assert (report.monthly_usd, report.per_unit_usd) == (Decimal("49.99"), CENT)
    assert (report.enabled, report.unusable_reason) == (True, "")
    assert (report.priority, report.priority_configured) == (10, False)


async def test_reports_come_in_the_order_of_priorities() -> None:
    office = Office(two())
    before = office.names

    await office.change(ZENITH, priority=5)

    assert (before, office.names) == ([ACME, ZENITH], [ZENITH, ACME])


async def test_kinds_are_listed_even_before_any_call() -> None:
    async with two() as market:
        office = Office(market)

        health = office.health()

    assert [one.kind for one in office.report().health] == [KIND]
    assert (health.samples, health.score.judged) == (0.0, False)
    assert sum(factor.weight for factor in health.score.factors) == pytest.approx(1)
    assert (health.last_success_ns, health.last_failure_ns) == (None, None)
    assert health.breaker.position is BreakerPosition.CLOSED
    assert (health.breaker.opened_at_ns, health.breaker.retry_at_ns) == (None, None)


def test_kinds_that_were_asked_for_or_have_a_breaker_are_listed_once() -> None:
    office = Office(two())
    closed = BreakerReading(
        position=BreakerPosition.CLOSED, failures=0, rest_seconds=30.0
    )
    office.market.standings.probing(ACME, "bars:fx")
    office.readings = {KIND: closed, "bars:crypto": closed}

    kinds = [one.kind for one in office.report().health]

    assert kinds == ["bars:crypto", KIND, "bars:fx"]


async def test_how_calls_ended_is_reported() -> None:
    async with two() as market:
        office = Office(market)
        await market.fetch(ACME)
        good = office.health()
        worsen(market, ACME)
        bad = office.health()

    assert (good.samples, good.last_success_ns) == (1.0, market.clock.now_ns())
    assert good.p50_seconds is not None
    assert good.p95_seconds is not None
    assert bad.last_failure == "HTTP 503"
    assert bad.score.judged
    assert bad.score.value < good.score.value


async def test_quota_that_is_left_and_price_make_the_score() -> None:
    windows = [Window(name="day", limit=10, seconds=86_400.0)]
    async with Market(Shop(ACME, 1, windows=windows)) as market:
        office = Office(market)
        await market.fetch()

        factors = {one.name: one.value for one in office.health().score.factors}

    assert factors["headroom"] == pytest.approx(0.9)
    assert factors["cost"] < 1.0


async def test_breaker_times_are_told_by_the_wall_clock() -> None:
    office = Office(two())
    clock = office.market.clock
    opened_ns, began = clock.now_ns(), clock.monotonic()
    office.readings[KIND] = BreakerReading(
        position=BreakerPosition.OPEN,
        failures=5,
        rest_seconds=60.0,
        reason="HTTP 503",
        opened_at_seconds=began,
        retry_at_seconds=began + 30.0,
    )
    await clock.advance(10.0)

    breaker = office.health().breaker

    assert breaker.position is BreakerPosition.OPEN
    assert breaker.opened_at_ns == opened_ns
    assert breaker.retry_at_ns == opened_ns + 30 * SECOND_NS
    assert (breaker.failures, breaker.rest_seconds) == (5, 60.0)
    assert breaker.reason == "HTTP 503"


async def test_who_is_switched_off_is_kept_so_told_so_and_not_asked() -> None:
    async with two() as market:
        office = Office(market)

        report = await office.change(ACME, enabled=False)
        served = await office.asked()

    assert (report.enabled, report.unusable_reason) == (False, SWITCHED_OFF)
    assert office.drawer.kept == {ACME: Override(enabled=False)}
    assert office.told == [(EventKind.UPDATED, ACME, "by an operator: switched off")]
    assert served == ZENITH
    assert market.ranking.listing.enabled == (ZENITH,)
    assert market.ranking.listing.disabled == (ACME,)


async def test_who_is_switched_on_again_is_asked_again() -> None:
    async with two() as market:
        office = Office(market)
        await office.change(ACME, enabled=False)

        report = await office.change(ACME, enabled=True)
        served = await office.asked()

    assert (report.enabled, report.unusable_reason) == (True, "")
    assert office.told[-1][2] == "by an operator: switched on"
    assert served == ACME


async def test_a_priority_is_kept_told_and_decides_who_is_asked() -> None:
    async with two() as market:
        office = Office(market)

        report = await office.change(ZENITH, priority=5)
        served = await office.asked()

    assert (report.priority, report.priority_configured) == (5, True)
    assert office.drawer.kept == {ZENITH: Override(priority=5)}
    assert office.told == [(EventKind.UPDATED, ZENITH, "by an operator: priority 5")]
    assert served == ZENITH


async def test_what_a_change_leaves_out_stays_and_is_not_told_again() -> None:
    office = Office(two())
    await office.change(ACME, priority=7)

    report = await office.change(ACME, enabled=False)

    assert office.drawer.kept == {ACME: Override(enabled=False, priority=7)}
    assert report.priority == 7
    assert office.told[-1][2] == "by an operator: switched off"


async def test_one_change_may_be_of_both() -> None:
    office = Office(two())

    await office.change(ACME, enabled=False, priority=99)

    assert [detail for *_, detail in office.told] == [
        "by an operator: switched off, priority 99"
    ]


async def test_events_are_told_only_of_what_changes() -> None:
    office = Office(two())

    await office.change(ACME, enabled=True)
    assert office.told == []
    await office.change(ACME, enabled=False, priority=10)
    await office.change(ACME, enabled=False, priority=10)

    # The place is the old one, but from now on no score moves it.
    assert [detail for *_, detail in office.told] == [
        "by an operator: switched off, priority 10"
    ]


async def test_who_waits_for_changes_is_woken_by_one() -> None:
    office = Office(two())
    await office.change(ACME, enabled=False)

    await office.roster.changed(0, within_seconds=3600.0)

    assert [event.number for event in office.roster.events(0)] == [1]
    assert office.roster.events(1) == []


async def test_a_vendor_that_is_not_there_cannot_be_changed() -> None:
    office = Office(two())

    assert await office.refusal("n" * 50, enabled=False) == {
        "name": f"{'n' * 40!r} is not known; expected one of acme, zenith"
    }
    assert (office.drawer.kept, office.told) == ({}, [])


async def test_who_the_settings_switch_off_cannot_be_switched_on() -> None:
    async with two() as market:
        office = Office(market, off=ACME)

        wrong = await office.refusal(ACME, enabled=True)
        served = await office.asked()

    assert wrong == {"enabled": "the settings switch acme off (providers.acme.enabled)"}
    assert served == ZENITH
    report = office.report()
    assert (report.enabled, report.unusable_reason) == (
        False,
        "the settings switch it off",
    )
    assert [one.kind for one in report.health] == [KIND]
    assert (office.drawer.kept, office.told) == ({}, [])


async def test_what_was_switched_on_before_the_settings_switched_it_off_stays_off() -> (
    None
):
    async with two() as market:
        office = Office(market, Drawer(acme=Override(enabled=True)), off=ACME)
        served = await office.asked()

    assert served == ZENITH
    assert not office.report().enabled


async def test_an_order_that_the_settings_fix_cannot_be_changed() -> None:
    office = Office(two(ranked=True))

    wrong = await office.refusal(ZENITH, priority=1)

    assert wrong == {
        "priority": "the settings fix the place of zenith (providers.order, "
        "providers.zenith.priority)"
    }
    assert office.names == [ACME, ZENITH]
    assert office.report().priority_configured


async def test_where_the_settings_fix_one_place_the_others_can_be_changed() -> None:
    market = two()
    market.ranking.listing = msgspec.structs.replace(
        market.ranking.listing, chosen=frozenset({ACME})
    )
    office = Office(market)

    wrong = await office.refusal(ACME, priority=50)
    await office.change(ZENITH, priority=5)

    assert set(wrong) == {"priority"}
    assert office.names == [ZENITH, ACME]


async def test_everything_that_is_wrong_is_named_at_once() -> None:
    office = Office(two(ranked=True), off=ACME)

    assert set(await office.refusal(ACME, enabled=True, priority=1)) == {
        "enabled",
        "priority",
    }


async def test_a_vendor_of_a_fixed_order_can_still_be_switched_off() -> None:
    office = Office(two(ranked=True))

    assert not (await office.change(ACME, enabled=False)).enabled


async def test_what_was_changed_is_applied_after_a_restart_and_is_no_news() -> None:
    drawer = Drawer(acme=Override(enabled=False), zenith=Override(priority=3))
    async with two() as market:
        office = Office(market, drawer)
        served = await office.asked()

    assert served == ZENITH
    assert office.report(ACME).unusable_reason == SWITCHED_OFF
    assert office.report(ZENITH).priority == 3
    assert office.told == []


def test_a_place_that_was_changed_before_the_settings_fixed_it_is_theirs() -> None:
    office = Office(two(ranked=True), Drawer(zenith=Override(priority=1)))

    assert office.names == [ACME, ZENITH]
    assert office.report(ZENITH).priority == 20


async def test_what_is_kept_of_a_vendor_that_is_gone_stays_for_it_may_come_back() -> (
    None
):
    gone = Override(enabled=False, priority=3)
    office = Office(two(), Drawer(gone=gone))

    await office.change(ACME, priority=15)

    assert office.names == [ACME, ZENITH]
    assert office.drawer.kept == {"gone": gone, ACME: Override(priority=15)}


async def test_what_cannot_be_kept_is_not_changed() -> None:
    async with two() as market:
        office = Office(market)
        await office.change(ZENITH, priority=50)
        kept, told, listing = office.drawer.kept, office.told, market.ranking.listing
        office.drawer.stuck = True

        with pytest.raises(StateUnavailableError, match="no space is left"):
            await office.change(ACME, enabled=False, priority=100)

        assert office.report().enabled
        assert office.report().priority == 10
        assert (office.drawer.kept, office.told) == (kept, told)
        assert market.ranking.listing == listing
        assert await office.asked() == ACME

        office.drawer.stuck = False
        await office.change(ZENITH, enabled=False)

    # What failed does not come back with the next change.
    assert ACME not in office.drawer.kept


def test_what_cannot_be_read_stops_the_start() -> None:
    drawer = Drawer()
    drawer.stuck = True

    with pytest.raises(OverridesError, match="cannot read it"):
        Office(two(), drawer)


async def test_a_missing_key_is_told_and_being_off_comes_first() -> None:
    market = two()
    market.vendors[ACME] = replace(market.vendors[ACME], no_key="set a key")
    office = Office(market)
    before = office.report()

    after = await office.change(ACME, enabled=False)

    assert (before.enabled, before.unusable_reason) == (True, "set a key")
    assert after.unusable_reason == SWITCHED_OFF


async def test_a_change_whose_caller_left_is_made_all_the_same() -> None:
    office = Office(two())
    office.drawer.ready.clear()
    change = asyncio.create_task(office.change(ACME, enabled=False))
    await office.market.clock.advance(0.0)
    change.cancel()
    await office.market.clock.advance(0.0)
    change.cancel()
    await office.market.clock.advance(0.0)
    assert not change.done()

    office.drawer.ready.set()
    await asyncio.wait((change,))

    assert change.cancelled()
    assert office.drawer.kept == {ACME: Override(enabled=False)}
    assert not office.report().enabled


async def test_changes_are_made_one_after_the_other() -> None:
    office = Office(two())
    office.drawer.ready.clear()
    changes = [
        asyncio.create_task(office.change(ACME, priority=priority))
        for priority in (1, 2, 3)
    ]
    changes.append(asyncio.create_task(office.change(ZENITH, enabled=False)))
    await office.market.clock.advance(0.0)
    assert office.drawer.saving == 1

    changes[1].cancel()
    office.drawer.ready.set()
    await asyncio.wait(changes)

    assert changes[1].cancelled()
    assert office.drawer.kept == {
        ACME: Override(priority=3),
        ZENITH: Override(enabled=False),
    }
    assert [detail for *_, detail in office.told] == [
        "by an operator: priority 1",
        "by an operator: priority 3",
        "by an operator: switched off",
    ]
