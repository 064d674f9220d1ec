"""Vendors that nobody asks are asked by the house, but never at anybody's expense."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pytest
from msgspec.structs import replace

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import ProviderUnavailableError
from ingestion_server.domain.instrument import AssetClass, Instrument, instrument
from ingestion_server.domain.interval import Interval
from ingestion_server.domain.query import BarQuery, Priority, SourceMode, SourcePolicy
from ingestion_server.domain.result import BarResult
from ingestion_server.ingest.calling import Exchange
from ingestion_server.ingest.candidates import Vendor
from ingestion_server.ingest.probing import LOOK_SECONDS, Prober
from ingestion_server.ingest.vendor import ActionsOf
from ingestion_server.ports.budget import Window
from ingestion_server.ports.policy import BreakerPosition, BreakerState
from ingestion_server.ports.quota import Lane
from ingestion_server.quota.ledger import Ledger, Setup
from ingestion_server.registry.standing import Standings
from tests.clocks import ManualClock
from tests.ingest.making import ACME, ZENITH
from tests.ingest.vendors import Shop

KIND = "bars:equity"
IDLE_SECONDS = 300.0
AAPL, MSFT = instrument("AAPL"), instrument("MSFT")
EURO = instrument("EUR/USD")
MINUTE = Window(name="minute", limit=75, seconds=60.0)
DAY = 86_400.0
CLOSED = BreakerState(BreakerPosition.CLOSED, 0)
NEVER = cast(BarResult, None)
"""What nobody looks at."""


@dataclass(frozen=True)
class Asked:
    """Hold one question, and when it was asked."""

    query: BarQuery
    at_seconds: float
    fresh: bool

    @property
    def provider(self) -> str:
        """Return whom it was meant for."""
        return self.query.policy.providers[0]


class Bureau:
    """Probe shops, and remember what was asked, in seconds since the start."""

    def __init__(self, *shops: Shop, idle_seconds: float = IDLE_SECONDS) -> None:
        """Begin with vendors that nobody has asked."""
        self.clock = ManualClock(runs=False)
        self.standings = Standings(self.clock)
        self.began = self.clock.monotonic()
        self.asked: list[Asked] = []
        self.at_once = self.most_at_once = 0
        self.failure: Exception | None = None
        self.takes_seconds = 0.0
        self.breakers: dict[str, BreakerState] = {}
        self.ledger = Ledger(
            [Setup(shop.name, "plan", shop.budget) for shop in shops], clock=self.clock
        )
        self.vendors = {shop.name: self._vendor(shop) for shop in shops}
        self.prober = Prober(
            self.vendors,
            self.standings,
            self._ask,
            self.ledger.uses,
            self.clock,
            idle_seconds=idle_seconds,
        )

    def called(
        self, name: str = ACME, kind: str = KIND, what: Instrument | None = AAPL
    ) -> None:
        """Let a caller ask a vendor, and be served."""
        self.standings.left(name, kind)()
        if what is not None:
            self.standings.served(name, kind, what)

    async def pass_seconds(self, seconds: float) -> None:
        """Let the prober run for a while."""
        running = asyncio.create_task(self.prober.run())
        await self.clock.advance(seconds)
        running.cancel()
        await asyncio.wait((running,))

    def rests(self, seconds: float, name: str = ACME) -> None:
        """Let a vendor rest, or have rested."""
        self.breakers[name] = BreakerState(
            BreakerPosition.OPEN,
            5,
            "HTTP 503",
            retry_at_seconds=self.clock.monotonic() + seconds,
            retry_after_seconds=max(seconds, 0.0),
        )

    @property
    def times(self) -> list[float]:
        """Return when questions were asked."""
        return [each.at_seconds - self.began for each in self.asked]

    @property
    def providers(self) -> list[str]:
        """Return whom they were meant for."""
        return [each.provider for each in self.asked]

    async def _ask(
        self, query: BarQuery, *, budget_seconds: float, most_bars: int, fresh: bool
    ) -> BarResult:
        assert most_bars == 5
        self.asked.append(Asked(query, self.clock.monotonic(), fresh))
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            async with self.clock.timeout(budget_seconds):
                await self.clock.sleep(self.takes_seconds)
            if self.failure is not None:
                raise self.failure
            name = query.policy.providers[0]
            self.standings.left(name, f"bars:{query.instrument.asset_class}")()
        finally:
            self.at_once -= 1
        return NEVER

    def _vendor(self, shop: Shop) -> Vendor:
        return Vendor(
            shop,
            cast(Exchange, None),
            cast(ActionsOf, None),
            self.ledger.accounts[shop.name],
            breaker=lambda _kind: self.breakers.get(shop.name, CLOSED),
        )


async def test_who_was_not_asked_for_a_while_is_asked_once_a_period() -> None:
    bureau = Bureau(Shop(ACME, windows=[MINUTE]))
    bureau.called()

    await bureau.pass_seconds(4 * IDLE_SECONDS)

    assert bureau.times == [300.0, 600.0, 900.0, 1200.0]
    assert bureau.prober.counts == {(ACME, KIND, True): 4}


async def test_the_question_is_cheap_small_patient_and_asks_the_vendor_itself() -> None:
    bureau = Bureau(Shop(ACME))
    bureau.called()

    await bureau.pass_seconds(IDLE_SECONDS)

    [asked] = bureau.asked
    assert asked.fresh
    assert asked.query == BarQuery(
        AAPL,
        Interval.DAY_1,
        limit=5,
        adjustment=Adjustment.SPLIT,
        policy=SourcePolicy(SourceMode.PINNED, (ACME,), max_cost_usd=0.0),
        priority=Priority.BATCH,
    )


async def test_bars_are_asked_for_as_the_vendor_has_them() -> None:
    bureau = Bureau(Shop(ACME, action_calls=1))
    bureau.called()

    await bureau.pass_seconds(IDLE_SECONDS)

    assert bureau.asked[0].query.adjustment is Adjustment.RAW


async def test_it_is_asked_for_what_it_gave_last_or_else_what_others_gave() -> None:
    bureau = Bureau(Shop(ACME), Shop(ZENITH))
    bureau.called(ACME, what=AAPL)
    bureau.called(ACME, what=MSFT)
    bureau.called(ZENITH, what=None)
    bureau.called(ACME, "bars:fx", what=EURO)

    await bureau.pass_seconds(IDLE_SECONDS + 4 * LOOK_SECONDS)

    asked = {(each.provider, each.query.instrument) for each in bureau.asked}
    assert asked == {(ACME, MSFT), (ZENITH, MSFT), (ACME, EURO)}
    assert {each.query.instrument.asset_class for each in bureau.asked} == {
        AssetClass.EQUITY,
        AssetClass.FX,
    }


async def test_who_was_never_asked_or_never_gave_anything_is_left_alone() -> None:
    bureau = Bureau(Shop(ACME), Shop(ZENITH))
    bureau.called(ACME, what=None)

    await bureau.pass_seconds(3 * IDLE_SECONDS)

    assert bureau.asked == []


async def test_who_is_asked_by_callers_is_not_probed() -> None:
    bureau = Bureau(Shop(ACME))
    for _ in range(10):
        bureau.called()
        await bureau.pass_seconds(IDLE_SECONDS - 1)

    assert bureau.asked == []


@pytest.mark.parametrize(
    ("windows", "probed"),
    [
        ([], True),
        ([MINUTE], True),
        ([Window(name="day", limit=25, seconds=DAY)], False),
        ([Window(name="day", limit=999, seconds=DAY)], False),
        ([Window(name="day", limit=1000, seconds=DAY)], True),
        ([Window(name="month", limit=25_000, seconds=30 * DAY)], False),
        ([MINUTE, Window(name="day", limit=500, seconds=DAY)], False),
    ],
)
async def test_only_who_allows_a_thousand_calls_a_day_is_probed(
    *, windows: Sequence[Window], probed: bool
) -> None:
    bureau = Bureau(Shop(ACME, windows=windows))
    bureau.called()

    await bureau.pass_seconds(IDLE_SECONDS)

    assert bool(bureau.asked) is probed


@pytest.mark.parametrize(("used", "probed"), [(500, True), (501, False)])
async def test_only_who_has_half_of_its_long_windows_left_is_probed(
    *, used: int, probed: bool
) -> None:
    day = Window(name="day", limit=1000, seconds=DAY)
    bureau = Bureau(Shop(ACME, windows=[day]))
    bureau.called()
    for _ in range(used):
        await bureau.ledger.accounts[ACME].reserve(
            "BARS", longest_wait_seconds=0.0, lane=Lane.INTERACTIVE
        )

    await bureau.pass_seconds(IDLE_SECONDS)

    assert bool(bureau.asked) is probed


async def test_a_full_minute_is_no_reason_not_to_probe() -> None:
    bureau = Bureau(Shop(ACME, windows=[MINUTE]), idle_seconds=10.0)
    bureau.called()
    for _ in range(60):
        await bureau.ledger.accounts[ACME].reserve(
            "BARS", longest_wait_seconds=0.0, lane=Lane.INTERACTIVE
        )

    await bureau.pass_seconds(10.0)

    assert bureau.providers == [ACME]


async def test_who_wants_to_be_left_alone_costs_money_or_lacks_a_key_is() -> None:
    bureau = Bureau(Shop(ACME), Shop(ZENITH, cents=1), Shop("omega"))
    for name in (ACME, ZENITH, "omega"):
        bureau.called(name)
    bureau.ledger.accounts[ACME].penalise(retry_after_seconds=3600.0, window="")
    bureau.vendors["omega"] = replace(bureau.vendors["omega"], no_key="set a key")

    await bureau.pass_seconds(2 * IDLE_SECONDS)

    assert bureau.asked == []


async def test_who_is_switched_off_is_not_probed_until_it_is_switched_on() -> None:
    bureau = Bureau(Shop(ACME))
    bureau.called()
    vendor = bureau.vendors.pop(ACME)
    await bureau.pass_seconds(2 * IDLE_SECONDS)
    assert bureau.asked == []

    bureau.vendors[ACME] = vendor
    await bureau.pass_seconds(LOOK_SECONDS)

    assert bureau.providers == [ACME]


async def test_who_rests_is_probed_as_soon_as_its_rest_is_over() -> None:
    bureau = Bureau(Shop(ACME))
    bureau.called()
    bureau.rests(30.0)
    await bureau.pass_seconds(29.0)
    assert bureau.asked == []

    bureau.rests(0.0)
    await bureau.pass_seconds(LOOK_SECONDS)

    assert bureau.providers == [ACME]


async def test_while_somebodys_probe_is_out_there_is_no_other() -> None:
    bureau = Bureau(Shop(ACME))
    bureau.called()
    bureau.breakers[ACME] = BreakerState(
        BreakerPosition.HALF_OPEN, 5, "HTTP 503", bureau.clock.monotonic(), 0.0
    )

    await bureau.pass_seconds(2 * IDLE_SECONDS)

    assert bureau.asked == []


async def test_a_probe_that_shows_nothing_is_not_followed_by_a_storm() -> None:
    bureau = Bureau(Shop(ACME))
    bureau.called()
    bureau.rests(0.0)
    bureau.failure = ProviderUnavailableError("acme is busy", provider=ACME)

    await bureau.pass_seconds(100.0)

    assert bureau.times == [5.0, 35.0, 65.0, 95.0]


@pytest.mark.parametrize(
    "failure",
    [ProviderUnavailableError("HTTP 503", provider=ACME), ValueError("a defect")],
)
async def test_a_probe_that_fails_is_counted_and_does_not_end_probing(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bureau = Bureau(Shop(ACME))
    bureau.called()
    bureau.failure = failure

    with caplog.at_level(logging.INFO):
        await bureau.pass_seconds(2 * IDLE_SECONDS)

    assert bureau.times == [300.0, 600.0]
    assert bureau.prober.counts == {(ACME, KIND, False): 2}
    # A vendor that fails is told of by those who listen to calls.
    assert bool(caplog.records) is isinstance(failure, ValueError)


async def test_probes_are_spread_and_never_two_at_once() -> None:
    names = [ACME, ZENITH, "omega"]
    bureau = Bureau(*map(Shop, names))
    for name in names:
        bureau.called(name)
    bureau.takes_seconds = 8.0

    await bureau.pass_seconds(IDLE_SECONDS + 60.0)

    assert sorted(bureau.providers) == sorted(names)
    assert bureau.times == [300.0, 313.0, 326.0]
    assert bureau.most_at_once == 1


async def test_with_nought_nobody_is_ever_probed() -> None:
    bureau = Bureau(Shop(ACME), idle_seconds=0.0)
    bureau.called()
    await bureau.clock.advance(10 * IDLE_SECONDS)

    async with asyncio.timeout(5):
        await bureau.prober.run()
    await bureau.prober.look()

    assert bureau.asked == []


async def test_stopping_ends_the_probe_that_is_under_way() -> None:
    bureau = Bureau(Shop(ACME))
    bureau.called()
    bureau.takes_seconds = 9.0

    await bureau.pass_seconds(IDLE_SECONDS + 1.0)

    assert bureau.providers == [ACME]
    assert bureau.at_once == 0
