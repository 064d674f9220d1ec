"""One vendor at work; splits are loaded once for all who ask."""

from __future__ import annotations

import asyncio

import pytest

from ingestion_server.domain.errors import (
    AllProvidersFailedError,
    CostLimitError,
    ProviderUnavailableError,
)
from ingestion_server.domain.result import BarResult
from tests.ingest.making import ACME, ZENITH
from tests.ingest.vendors import CENT, Market, Shop

SPLITS = f"{ACME} SPLITS"


def costs(results: list[BarResult]) -> list[int]:
    """Tell what each answer cost, in cents."""
    return [int(sum(a.cost_usd for a in each.attempts) / CENT) for each in results]


async def settle() -> None:
    """Let everybody come as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_splits_are_paid_for_by_who_asks_first() -> None:
    async with Market(Shop(ACME, 1, action_calls=1)) as market:
        market.wire.held[SPLITS] = held = asyncio.Event()
        asking = [asyncio.create_task(market.fetch()) for _ in range(3)]
        await settle()
        held.set()
        results = [await task for task in asking]

    assert market.wire.asked.count(SPLITS) == 1
    # They want the same bars too, so those are asked for once as well.
    assert costs(results) == [2, 0, 0]


async def test_splits_that_are_known_cost_nothing() -> None:
    async with Market(Shop(ACME, 1, action_calls=2)) as market:
        await market.fetch()
        result = await market.fetch(most_cents=1)

    assert costs([result]) == [1]


async def test_who_may_not_pay_for_splits_gets_no_bars() -> None:
    async with Market(Shop(ACME, 1, action_calls=2)) as market:
        with pytest.raises(CostLimitError):
            await market.fetch(most_cents=1)

    assert market.wire.asked == [SPLITS]


async def test_whose_limit_ends_a_load_ends_it_only_for_himself() -> None:
    async with Market(Shop(ACME, 1, action_calls=2)) as market:
        market.wire.held[SPLITS] = held = asyncio.Event()
        limited = asyncio.create_task(market.fetch(most_cents=1))
        await settle()
        free = asyncio.create_task(market.fetch())
        await settle()
        held.set()
        await asyncio.wait([limited, free])

    assert isinstance(limited.exception(), CostLimitError)
    assert costs([free.result()]) == [3]
    assert market.wire.asked.count(SPLITS) == 1 + 2


async def test_neither_does_the_limit_of_the_next_who_begins() -> None:
    async with Market(Shop(ACME, 1, action_calls=2)) as market:
        market.wire.held[SPLITS] = held = asyncio.Event()
        limited = []
        for _ in range(3):
            limited.append(asyncio.create_task(market.fetch(most_cents=1)))
            await settle()
        free = asyncio.create_task(market.fetch())
        await settle()
        held.set()
        await asyncio.wait([*limited, free])

    assert {type(task.exception()) for task in limited} == {CostLimitError}
    assert costs([free.result()]) == [3]
    # Each of them paid for one call before its limit ended the load.
    assert market.wire.asked.count(SPLITS) == 3 + 2


async def test_nor_does_the_limit_that_keeps_another_from_trying_again() -> None:
    broken = ProviderUnavailableError("acme answered HTTP 503", provider=ACME)
    async with Market(Shop(ACME, 1, action_calls=1)) as market:
        market.wire.held[SPLITS] = held = asyncio.Event()
        market.wire.failures[SPLITS] = [broken]
        limited = asyncio.create_task(market.fetch(most_cents=1))
        await settle()
        free = asyncio.create_task(market.fetch())
        await settle()
        held.set()
        await asyncio.wait([limited, free])

    assert isinstance(limited.exception(), AllProvidersFailedError)
    assert costs([free.result()]) == [2]


async def test_splits_of_a_vendor_that_is_not_waited_for_are_paid_for() -> None:
    async with Market(Shop(ACME, 1, action_calls=1), Shop(ZENITH, 2)) as market:
        market.wire.held[SPLITS] = asyncio.Event()

        with pytest.raises(AllProvidersFailedError, match=r"cost_usd leaves 0\.01"):
            await market.fetch(most_cents=2, seconds=0.2)

    assert market.wire.asked == [SPLITS]
