"""The server asks vendors that nobody asks, if that costs nobody anything."""

from __future__ import annotations

import pytest

from tests.port.house import FREE, UNMETERED, Build, House, anew, pinned
from tests.port.roster import AV, RAW, SPLIT, YAHOO, breaker, broken, health

NATIVE = {AV: RAW, YAHOO: SPLIT}
PERIOD = 300.0
HALF_OPEN_SECONDS = 30.0


async def used(home: House, vendor: str) -> int:
    """Let a caller ask a vendor once; return how often it was called so far."""
    await home.fetch(**anew(NATIVE[vendor]), source_policy=pinned(vendor))
    return await home.calls(vendor)


@pytest.mark.parametrize("vendor", [AV, YAHOO])
async def test_an_idle_vendor_gets_one_call_a_period(build: Build, vendor: str) -> None:
    async with build(settings=UNMETERED) as home:
        before = await used(home, vendor)
        home.clock.advance(PERIOD - 2)
        await home.prober.look()
        assert await home.calls(vendor) == before

        called = []
        for _ in range(3):
            home.clock.advance(PERIOD)
            for _ in range(4):
                await home.prober.look()
            called.append(await home.calls(vendor) - before)

        assert called == [1, 2, 3]
        assert (await health(home, vendor)).samples > 1


async def test_who_was_never_asked_is_not_asked_now(build: Build) -> None:
    async with build(settings=UNMETERED) as home:
        await used(home, AV)
        home.clock.advance(PERIOD)
        await home.prober.look()
        await home.prober.look()

        assert await home.calls(YAHOO) == 0


async def test_a_free_plan_is_never_spent_on_probes(build: Build) -> None:
    async with build(settings={**UNMETERED, **FREE}) as home:
        before = await used(home, AV)

        for _ in range(5):
            home.clock.advance(PERIOD)
            await home.prober.look()

        assert await home.calls(AV) == before


async def test_who_was_down_recovers_without_a_caller_to_pay_for_it(
    build: Build,
) -> None:
    settings = {**UNMETERED, "RETRY__ATTEMPTS": "1"}
    async with build(settings=settings) as home:
        await used(home, AV)
        await broken(home, AV)
        await home.mend(AV)
        await home.prober.look()
        assert (await breaker(home, AV)).state != (await breaker(home, YAHOO)).state
        before = await home.calls(AV)

        home.clock.advance(HALF_OPEN_SECONDS)
        await home.prober.look()

        assert await home.calls(AV) == before + 1
        assert (await breaker(home, AV)).state == (await breaker(home, YAHOO)).state


async def test_with_nought_nobody_is_probed(build: Build) -> None:
    settings = {**UNMETERED, "REGISTRY__PROBE_SECONDS": "0"}
    async with build(settings=settings) as home:
        before = await used(home, AV)

        home.clock.advance(10 * PERIOD)
        await home.prober.look()

        assert await home.calls(AV) == before
