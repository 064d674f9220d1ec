"""Whoever listens hears of each move once, in order, and can look at the rest."""

from __future__ import annotations

import asyncio
import logging

import pytest

from ingestion_server.domain.errors import (
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.policies.breaker import Breaker, Breakers
from ingestion_server.policies.limits import BreakerLimits
from ingestion_server.ports.policy import BreakerPosition, BreakerReading
from ingestion_server.ports.routing import BreakerChange
from tests.clocks import ManualClock
from tests.policies.fakes import (
    RESPONSE,
    Hanging,
    Vendor,
    asked,
    busy,
    unavailable,
)

CLOSED, OPEN, HALF_OPEN = BreakerPosition
SAID = "acme answered HTTP 503"


class House:
    """Hold the breakers of vendors, and one who listens."""

    def __init__(self, clock: ManualClock) -> None:
        self.heard: list[BreakerChange] = []
        self.breakers = Breakers(lambda _: BreakerLimits(), clock, [self.heard.append])
        self.breaker = self.breakers.for_key("acme", "bars:fx")

    async def fail(self, times: int = 1, breaker: Breaker | None = None) -> None:
        """Make calls that the vendor fails."""
        for _ in range(times):
            with pytest.raises(ProviderUnavailableError):
                await asked(breaker or self.breaker, Vendor(unavailable()))

    @property
    def moves(self) -> list[tuple[BreakerPosition, float]]:
        """Return where it moved, and for how long."""
        return [(change.position, change.rest_seconds) for change in self.heard]


@pytest.fixture
def house(clock: ManualClock) -> House:
    """Listen to breakers that are closed."""
    return House(clock)


async def test_who_listens_hears_which_breaker_moved_and_why(house: House) -> None:
    await house.fail(4)
    assert house.heard == []

    await house.fail()

    assert house.heard == [BreakerChange("acme", "bars:fx", OPEN, SAID, 30.0)]


async def test_a_probe_that_fails_is_told_with_the_longer_rest(
    house: House, clock: ManualClock
) -> None:
    await house.fail(5)
    for seconds in (30.0, 60.0, 120.0):
        clock.pass_by(seconds)
        await house.fail()
    clock.pass_by(240.0)
    await asked(house.breaker, Vendor())

    assert house.moves == [
        (OPEN, 30.0),
        (HALF_OPEN, 0.0),
        (OPEN, 60.0),
        (HALF_OPEN, 0.0),
        (OPEN, 120.0),
        (HALF_OPEN, 0.0),
        (OPEN, 240.0),
        (HALF_OPEN, 0.0),
        (CLOSED, 0.0),
    ]
    assert [change.reason for change in house.heard] == [SAID] * 8 + [""]


async def test_a_probe_that_shows_nothing_is_told_as_open_for_no_time(
    house: House, clock: ManualClock
) -> None:
    await house.fail(5)
    clock.pass_by(30.0)
    with pytest.raises(QuotaExhaustedError):
        await asked(house.breaker, Vendor(busy()))
    cancelled = asyncio.ensure_future(asked(house.breaker, Hanging()))
    await clock.advance(0.0)
    cancelled.cancel()
    await clock.advance(0.0)

    assert house.moves[1:] == [(HALF_OPEN, 0.0), (OPEN, 0.0)] * 2
    assert house.breaker.view().rest_seconds == 60.0


async def test_calls_from_before_the_last_move_are_not_told(
    house: House, clock: ManualClock
) -> None:
    slow = Hanging()
    stragglers = [asyncio.ensure_future(asked(house.breaker, slow)) for _ in range(9)]
    await clock.advance(0.0)
    await house.fail(5)

    slow.ends.set_result(RESPONSE)
    await asyncio.gather(*stragglers)

    assert house.moves == [(OPEN, 30.0)]


async def test_who_hears_of_a_move_sees_it_done(clock: ManualClock) -> None:
    seen: list[tuple[BreakerPosition, BreakerPosition]] = []

    def look(change: BreakerChange) -> None:
        view = breakers.views(change.provider)[change.kind]
        seen.append((change.position, view.position))

    breakers = Breakers(lambda _: BreakerLimits(failures=1), clock, [look])
    breaker = breakers.for_key("acme", "bars:fx")
    for act in (unavailable(), unavailable(), busy(), None):
        await asyncio.gather(asked(breaker, Vendor(act)), return_exceptions=True)
        clock.pass_by(60.0)

    assert [told for told, _ in seen] == [
        OPEN,
        *[HALF_OPEN, OPEN] * 2,
        HALF_OPEN,
        CLOSED,
    ]
    assert all(told is found for told, found in seen)


async def test_a_listener_that_fails_harms_neither_calls_nor_other_listeners(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[BreakerChange] = []

    def broken(change: BreakerChange) -> None:
        raise LookupError(change.kind)

    breakers = Breakers(
        lambda _: BreakerLimits(failures=1), clock, [broken, heard.append]
    )
    breaker = breakers.for_key("acme", "bars:fx")
    with pytest.raises(ProviderUnavailableError):
        await asked(breaker, Vendor(unavailable()))
    clock.pass_by(30.0)

    assert await asked(breaker, Vendor()) is RESPONSE

    assert [change.position for change in heard] == [OPEN, HALF_OPEN, CLOSED]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3


async def test_a_view_of_a_closed_breaker_has_neither_times_nor_a_reason(
    house: House,
) -> None:
    await house.fail(2)

    assert house.breaker.view() == BreakerReading(
        position=CLOSED, failures=2, rest_seconds=30.0
    )


async def test_a_view_tells_when_it_opened_why_and_when_to_come_back(
    house: House, clock: ManualClock
) -> None:
    await house.fail(5)
    since = clock.monotonic()
    clock.pass_by(31.0)
    probe = asyncio.ensure_future(asked(house.breaker, Hanging()))
    await clock.advance(0.0)

    assert house.breaker.view() == BreakerReading(
        position=HALF_OPEN,
        failures=5,
        rest_seconds=60.0,
        reason=SAID,
        opened_at_seconds=since,
        retry_at_seconds=since + 30.0,
    )
    probe.cancel()


async def test_a_probe_that_fails_begins_the_time_anew(
    house: House, clock: ManualClock
) -> None:
    await house.fail(5)
    clock.pass_by(40.0)
    await house.fail()

    view = house.breaker.view()

    assert (view.position, view.rest_seconds) == (OPEN, 120.0)
    assert view.opened_at_seconds == clock.monotonic()
    assert view.retry_at_seconds == clock.monotonic() + 60.0


async def test_the_views_of_a_vendor_are_those_of_its_kinds(house: House) -> None:
    house.breakers.for_key("kind", "bars:equity")
    await house.fail(5, house.breakers.for_key("acme", "bars:equity"))

    views = house.breakers.views("acme")

    assert {kind: view.position for kind, view in views.items()} == {
        "bars:fx": CLOSED,
        "bars:equity": OPEN,
    }
    assert house.breakers.views("nobody") == {}
