"""Who is asked, in which order, and what it costs."""

from __future__ import annotations

import asyncio

import pytest

from ingestion_server.domain.errors import (
    AllProvidersFailedError,
    CapabilityMissingError,
    CostLimitError,
    ProviderUnavailableError,
)
from ingestion_server.domain.query import Priority, SourceMode
from ingestion_server.domain.result import BarResult, Completeness, Outcome
from ingestion_server.ports.budget import Window
from ingestion_server.ports.quota import Lane
from tests.ingest.making import ACME, ZENITH
from tests.ingest.vendors import CENT, TEN_DAYS, Market, Shop

ANY, ORDERED, PINNED = SourceMode.ANY, SourceMode.ORDERED, SourceMode.PINNED
FIRST_DAYS = TEN_DAYS[:6]


def told(result: BarResult) -> list[tuple[str, Outcome, int]]:
    """Sum up the attempts: vendor, outcome and cost in cents."""
    return [(a.provider, a.outcome, int(a.cost_usd / CENT)) for a in result.attempts]


def broken(name: str) -> ProviderUnavailableError:
    """Make a failure of a vendor."""
    return ProviderUnavailableError(f"{name} answered HTTP 503", provider=name)


@pytest.mark.parametrize(
    ("acme", "zenith", "asked"),
    [(2, 1, ZENITH), (1, 2, ACME), (1, 0, ZENITH), (1, 1, ACME), (0, 0, ACME)],
)
async def test_the_cheapest_is_asked_and_ties_keep_their_order(
    acme: int, zenith: int, asked: str
) -> None:
    async with Market(Shop(ACME, acme), Shop(ZENITH, zenith)) as market:
        result = await market.fetch()

    assert market.wire.asked == [f"{asked} BARS"]
    assert result.completeness is Completeness.COMPLETE
    assert [attempt.provider for attempt in result.attempts] == [asked]


async def test_cheap_is_what_all_the_calls_cost_together() -> None:
    async with Market(Shop(ACME, 1, calls=3), Shop(ZENITH, 2)) as market:
        await market.fetch()

    assert market.wire.asked == [f"{ZENITH} BARS"]


async def test_the_dearer_one_is_asked_for_what_the_cheaper_one_lacks() -> None:
    async with Market(Shop(ACME, 2), Shop(ZENITH, 1, days=FIRST_DAYS)) as market:
        result = await market.fetch()

    assert told(result) == [(ZENITH, Outcome.SERVED, 1), (ACME, Outcome.SERVED, 2)]


async def test_an_order_that_an_operator_chose_is_obeyed() -> None:
    async with Market(Shop(ACME, 2), Shop(ZENITH, 1), ranked=True) as market:
        await market.fetch()

    assert market.wire.asked == [f"{ACME} BARS"]


@pytest.mark.parametrize(
    ("mode", "named"), [(ORDERED, (ACME, ZENITH)), (PINNED, (ACME,))]
)
async def test_an_order_that_the_caller_chose_is_obeyed(
    mode: SourceMode, named: tuple[str, ...]
) -> None:
    async with Market(Shop(ZENITH, 1), Shop(ACME, 2)) as market:
        await market.fetch(*named, mode=mode)

    assert market.wire.asked == [f"{ACME} BARS"]


@pytest.mark.parametrize(
    ("mode", "named"), [(ANY, ()), (ORDERED, (ACME, ZENITH)), (PINNED, (ACME,))]
)
async def test_who_is_too_dear_is_not_called_at_all(
    mode: SourceMode, named: tuple[str, ...]
) -> None:
    async with Market(Shop(ACME, 1, calls=3), Shop(ZENITH, 5)) as market:
        with pytest.raises(CostLimitError, match=r"would cost 0\.0") as refused:
            await market.fetch(*named, mode=mode, most_cents=2)

    assert market.wire.asked == []
    assert refused.value.facts() == {"provider": ACME, "price_usd": "0.03"}


async def test_who_is_too_dear_is_skipped_with_the_reason() -> None:
    async with Market(Shop(ACME, 2), Shop(ZENITH, days=FIRST_DAYS)) as market:
        result = await market.fetch(most_cents=0)

    assert told(result) == [(ZENITH, Outcome.SERVED, 0), (ACME, Outcome.SKIPPED, 0)]
    assert result.attempts[1].reason.startswith("COST_LIMIT_EXCEEDED: ")
    assert market.wire.asked == [f"{ZENITH} BARS"]


async def test_what_one_vendor_cost_is_not_there_for_the_next() -> None:
    async with Market(Shop(ACME, 1, days=FIRST_DAYS), Shop(ZENITH, 2)) as market:
        partial = await market.fetch(most_cents=2)
        whole = await market.fetch(most_cents=3)

    assert told(partial) == [(ACME, Outcome.SERVED, 1), (ZENITH, Outcome.SKIPPED, 0)]
    assert told(whole) == [(ACME, Outcome.SERVED, 1), (ZENITH, Outcome.SERVED, 2)]


@pytest.mark.parametrize(
    ("most_cents", "last"),
    [(2, (ACME, Outcome.SKIPPED, 0)), (3, (ACME, Outcome.SERVED, 1))],
)
async def test_who_is_asked_again_for_want_of_quota_may_have_become_too_dear(
    most_cents: int, last: tuple[str, Outcome, int]
) -> None:
    slow = Shop(ACME, 1, windows=[Window(name="single", limit=1, seconds=2.0)])
    async with Market(slow, Shop(ZENITH, 2, days=FIRST_DAYS)) as market:
        await market.fetch()
        result = await market.fetch(most_cents=most_cents)

    assert told(result) == [
        (ACME, Outcome.SKIPPED, 0),
        (ZENITH, Outcome.SERVED, 2),
        last,
    ]


async def test_an_attempt_tells_what_all_its_calls_cost_retries_included() -> None:
    async with Market(Shop(ACME, 1, calls=3)) as market:
        market.wire.failures[f"{ACME} BARS"] = [broken(ACME)]
        result = await market.fetch()

    [attempt] = result.attempts
    assert (attempt.calls, attempt.cost_usd) == (4, 4 * CENT)


async def test_a_retry_that_would_cost_too_much_is_not_made() -> None:
    async with Market(Shop(ACME, 1)) as market:
        market.wire.failures[f"{ACME} BARS"] = [broken(ACME)]
        # Not that it costs too much: with as much again, it may succeed.
        with pytest.raises(AllProvidersFailedError, match="HTTP 503"):
            await market.fetch(most_cents=1)

    assert market.wire.asked == [f"{ACME} BARS"]


async def test_calls_that_never_left_cost_nothing() -> None:
    async with Market(Shop(ACME, 1), Shop(ZENITH, 2)) as market:
        market.wire.left = False
        market.wire.failures[f"{ACME} BARS"] = [broken(ACME) for _ in range(3)]
        result = await market.fetch(most_cents=2)

    assert told(result) == [(ACME, Outcome.FAILED, 0), (ZENITH, Outcome.SERVED, 2)]


async def test_a_vendor_that_is_given_up_is_paid_for_all_the_same() -> None:
    async with Market(Shop(ACME, 1, days=FIRST_DAYS), Shop(ZENITH, 2)) as market:
        market.wire.held[f"{ZENITH} BARS"] = asyncio.Event()
        result = await market.fetch(seconds=0.1)

    assert told(result) == [(ACME, Outcome.SERVED, 1), (ZENITH, Outcome.FAILED, 2)]
    assert result.attempts[1].calls == 1
    assert result.attempts[1].reason.startswith("DEADLINE_EXCEEDED")


async def test_a_vendor_that_is_given_up_before_the_call_left_costs_nothing() -> None:
    async with Market(Shop(ACME, 1, days=FIRST_DAYS), Shop(ZENITH, 2)) as market:
        market.wire.left = False
        market.wire.held[f"{ZENITH} BARS"] = asyncio.Event()
        result = await market.fetch(seconds=0.1)

    assert told(result) == [(ACME, Outcome.SERVED, 1), (ZENITH, Outcome.FAILED, 0)]


async def test_a_call_that_cannot_be_signed_costs_nothing() -> None:
    async with Market(Shop(ACME, 1, needs_key=True), Shop(ZENITH, 2)) as market:
        result = await market.fetch()

    assert told(result) == [(ACME, Outcome.FAILED, 0), (ZENITH, Outcome.SERVED, 2)]
    assert market.wire.asked == [f"{ZENITH} BARS"]


async def test_too_many_calls_are_told_as_such_and_not_as_too_dear() -> None:
    async with Market(Shop(ACME, 1, calls=65)) as market:
        with pytest.raises(CapabilityMissingError, match="would take 65 calls"):
            await market.fetch(most_cents=1)

    assert market.wire.asked == []


@pytest.mark.parametrize(
    ("priority", "lane"),
    [(Priority.INTERACTIVE, Lane.INTERACTIVE), (Priority.BATCH, Lane.BATCH)],
)
async def test_the_priority_is_the_lane_of_its_calls(
    priority: Priority, lane: Lane
) -> None:
    async with Market(Shop(ACME, action_calls=1)) as market:
        await market.fetch(priority=priority)

    assert [call.lane for call in market.calls] == [lane, lane]


async def test_what_a_call_may_cost_is_what_is_left() -> None:
    async with Market(Shop(ACME, 1, days=FIRST_DAYS), Shop(ZENITH, 2)) as market:
        await market.fetch(most_cents=5)
        await market.fetch()

    assert [call.most_cost_usd for call in market.calls] == [
        5 * CENT,
        4 * CENT,
        None,
        None,
    ]


async def test_a_failure_tells_what_was_tried_and_when_each_may_do_better() -> None:
    spent = Shop(ACME, 1, windows=[Window(name="day", limit=1, seconds=3600.0)])
    async with Market(spent, Shop(ZENITH, 2)) as market:
        await market.fetch()
        market.wire.failures[f"{ZENITH} BARS"] = [broken(ZENITH) for _ in range(20)]
        with pytest.raises(AllProvidersFailedError) as raised:
            await market.fetch()

    last = {each.provider: each for each in raised.value.tried}
    assert last[ACME].reason.startswith("QUOTA_EXHAUSTED: ")
    assert last[ACME].retry_after_seconds == pytest.approx(3600, abs=60)
    assert last[ZENITH].reason.startswith("ALL_PROVIDERS_FAILED: ")
    asked = market.wire.asked.count(f"{ZENITH} BARS")
    assert raised.value.calls == asked > 0
    assert raised.value.cost_usd == sum(each.cost_usd for each in raised.value.tried)
