"""When a vendor is away the next one takes over, and gives back."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.port.house import Build, House, ordered, until
from tests.port.streaming import (
    FINNHUB,
    FIRST,
    HASTY,
    Listener,
    facts,
    listening,
    misnumbered,
    tape,
    undeclared,
)

DAWN = datetime(2024, 6, 12, 4, 1, tzinfo=UTC)


@pytest.fixture
def usual() -> dict[str, str]:
    """Let others take over soon, and give back soon."""
    return {
        **HASTY,
        **FIRST,
        "STREAM__FAILOVER_SECONDS": "0.4",
        "STREAM__RETURN_SECONDS": "0.5",
    }


async def away(home: House, vendor: str = "finnhub") -> None:
    """Let a vendor drop its connections, and refuse new ones."""
    await home.fault(vendor, "refuse", status=503)
    await home.fault(vendor, "disconnect")


async def assert_none_twice(home: House, listener: Listener, symbol: str) -> None:
    """Assert that no trade came more often than it was made, whoever told it."""
    truth = Counter((fact.time_ms, fact.price) for fact in await tape(home, symbol))
    heard = Counter((fact.time_ms, fact.price) for fact in facts(listener.of(symbol)))
    assert not heard - truth, listener


async def test_when_a_vendor_is_away_the_next_one_takes_over_and_gives_back(
    build: Build,
) -> None:
    async with build(start=DAWN) as home, listening(home, "AAPL") as listener:
        await listener.more(30)
        await away(home)
        await listener.until_told("SOURCE_CHANGED")
        await listener.more(4)
        (changed,) = listener.named("SOURCE_CHANGED")
        assert (changed.previous_provider, changed.provider) == ("finnhub", "yahoo")
        assert changed.symbol == "AAPL"
        assert changed.sampled
        assert listener.trades[-1].provider == "yahoo"
        assert listener.trades[-1].sampled

        await home.mend("finnhub")
        await listener.until_told("SOURCE_CHANGED", 2)
        back = listener.named("SOURCE_CHANGED")[1]
        assert (back.previous_provider, back.provider) == ("yahoo", "finnhub")
        assert not back.sampled
        place = listener.order.index(back)
        await listener.more(30)
        after = [
            each
            for each in listener.order[place:]
            if getattr(each, "price", 0) and not getattr(each, "backfilled", False)
        ]
        assert {trade.provider for trade in after} == {"finnhub"}

        await assert_none_twice(home, listener, "AAPL")
        assert misnumbered(listener) == []


async def test_what_nobody_told_while_vendors_changed_lies_in_a_gap(
    build: Build,
) -> None:
    async with build(start=DAWN) as home, listening(home, "AAPL") as listener:
        await listener.more(30)
        await away(home)
        await listener.until_told("SOURCE_CHANGED")
        await listener.more(4)
        await home.mend("finnhub")
        await listener.until_told("SOURCE_CHANGED", 2)
        await listener.more(80)

        # What lies between is sampled, and said to be so.
        changed, back = listener.named("SOURCE_CHANGED")
        first, last = changed.time.ToMilliseconds(), back.time.ToMilliseconds()
        heard = Counter(facts(listener.trades))
        told = [trade for trade in listener.trades if not trade.sampled]
        newest = max(fact.time_ms for fact in facts(told))
        oldest = min(fact.time_ms for fact in facts(told))
        lost = [
            fact
            for fact in Counter(await tape(home, "AAPL")) - heard
            if oldest < fact.time_ms < newest and not first <= fact.time_ms <= last
        ]
        assert not undeclared(lost, listener.named("GAP")), (changed, back, listener)


async def test_a_pinned_vendor_is_never_changed(build: Build) -> None:
    async with (
        build(start=DAWN) as home,
        listening(home, "AAPL", heartbeat_interval="0.1s", **FINNHUB) as listener,
    ):
        await listener.more(30)
        await away(home)
        # Thrice as long as others would wait.
        beats = len(listener.named("HEARTBEAT"))
        await listener.until_told("HEARTBEAT", beats + 12)
        assert not listener.named("SOURCE_CHANGED")
        await home.mend("finnhub")
        await listener.more(20)

        assert {trade.provider for trade in listener.trades} == {"finnhub"}
        assert not listener.named("SOURCE_CHANGED")
        assert len(listener.named("GAP")) == 1
        assert (await home.stats("yahoo"))["connections_opened"] == 0


async def test_a_chosen_order_is_the_order_of_those_who_take_over(
    build: Build,
) -> None:
    async with (
        build(start=DAWN) as home,
        listening(home, "AAPL", source_policy=ordered("yahoo", "finnhub")) as listener,
    ):
        await listener.more(3)
        await away(home, "yahoo")
        await listener.until_told("SOURCE_CHANGED")
        await listener.more(10)
        (changed,) = listener.named("SOURCE_CHANGED")

        assert (changed.previous_provider, changed.provider) == (
            "yahoo",
            "finnhub",
        )
        assert not changed.sampled
        assert listener.trades[-1].provider == "finnhub"
        await assert_none_twice(home, listener, "AAPL")
        assert misnumbered(listener) == []


async def test_a_vendor_that_is_away_from_the_start_is_passed_over(
    build: Build,
) -> None:
    async with build() as home:
        await home.fault("finnhub", "refuse", status=503)
        async with listening(home, "AAPL") as listener:
            await listener.more(3)

            assert listener.named("SUBSCRIBED")[-1].provider == "yahoo"
            assert {trade.provider for trade in listener.trades} == {"yahoo"}
            assert not listener.named("REJECTED")


async def test_a_vendor_that_refuses_the_key_is_passed_over(build: Build) -> None:
    settings = {"PROVIDERS__FINNHUB__API_KEY": "abc-invalid"}
    async with build(settings=settings) as home, listening(home, "AAPL") as listener:
        await listener.more(3)
        assert {trade.provider for trade in listener.trades} == {"yahoo"}


async def test_a_pinned_vendor_that_refuses_the_key_is_said_to(build: Build) -> None:
    settings = {"PROVIDERS__FINNHUB__API_KEY": "abc-invalid"}
    async with (
        build(settings=settings) as home,
        listening(home, "AAPL", **FINNHUB) as listener,
    ):
        await listener.until(lambda: listener.named("REJECTED") or listener.error)
        (rejected,) = listener.named("REJECTED")

    assert rejected.reason == "CREDENTIALS_REFUSED"


async def test_a_short_absence_changes_nobody(build: Build) -> None:
    settings = {"STREAM__FAILOVER_SECONDS": "5"}
    async with (
        build(start=DAWN, settings=settings) as home,
        listening(home, "AAPL") as listener,
    ):
        await listener.more(30)
        await home.fault("finnhub", "disconnect")
        await listener.until_told("GAP")
        await listener.more(20)

        assert not listener.named("SOURCE_CHANGED")
        assert {trade.provider for trade in listener.trades} == {"finnhub"}


async def test_when_all_are_away_the_stream_waits_and_goes_on(build: Build) -> None:
    async with (
        build(start=DAWN) as home,
        listening(home, "AAPL", heartbeat_interval="0.1s") as listener,
    ):
        await listener.more(30)
        await away(home, "yahoo")
        await away(home)
        beats = len(listener.named("HEARTBEAT"))
        await listener.until_told("HEARTBEAT", beats + 15)
        assert listener.error is None
        await home.mend("finnhub")
        await listener.until(
            lambda: listener.trades[-1].provider == "finnhub" and listener.named("GAP")
        )
        await listener.more(20)
        await assert_none_twice(home, listener, "AAPL")
        assert misnumbered(listener) == []


async def test_what_was_taken_over_is_released_when_it_is_given_back(
    build: Build,
) -> None:
    async with (
        build(settings={"STREAM__LINGER_SECONDS": "0.1"}) as home,
        listening(home, "AAPL") as listener,
    ):
        await listener.more(10)
        await away(home)
        await listener.until_told("SOURCE_CHANGED")
        await home.mend("finnhub")
        await listener.until_told("SOURCE_CHANGED", 2)

        async def released() -> bool:
            return not (await home.stats("yahoo"))["open_subscriptions"]

        await until(released)
