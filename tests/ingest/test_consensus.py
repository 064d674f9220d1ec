"""Two vendors answer, and one of them is believed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from typing_extensions import override

from ingestion_server.domain.bars import BarSeries
from ingestion_server.domain.errors import (
    AllProvidersFailedError,
    CapabilityMissingError,
    CostLimitError,
    InvalidQueryError,
    ProviderUnavailableError,
)
from ingestion_server.domain.quality import FlagKind
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.domain.result import BarResult
from tests.builders import dates
from tests.ingest.making import ACME, ZENITH, june
from tests.ingest.vendors import CENT, QUERY, TEN_DAYS, Market, Shop

OMEGA = "omega"
DAY = "BARS"


@dataclass
class Teller(Shop):
    """Sell bars at a close of its own."""

    close: float = 100.0

    @override
    def series(self) -> BarSeries:
        """Give the days that are sold."""
        return june(*self.days, close=self.close)


async def compared(market: Market, *providers: str, **more: Any) -> BarResult:
    """Ask two vendors for the ten days."""
    policy = SourcePolicy(SourceMode.CONSENSUS, providers, **more)
    query = msgspec.structs.replace(QUERY, policy=policy)
    return await market.fetcher.fetch(query, budget_seconds=30.0, most_bars=1000)


async def settled() -> None:
    """Let everybody go as far as they come."""
    for _ in range(50):
        await asyncio.sleep(0)


def down(name: str) -> ProviderUnavailableError:
    """Say that a vendor is down, so that it is not asked again."""
    return ProviderUnavailableError(f"{name} is down", provider=name)


async def test_where_two_disagree_the_first_is_the_answer_and_the_bar_is_flagged() -> (
    None
):
    async with Market(Teller(ACME), Teller(ZENITH, close=101.0)) as market:
        result = await compared(market)

    assert set(result.series.close) == {100.0}
    assert [source.provider for source in result.sources] == [ACME]
    kinds = {flag.kind for flag in result.flags}
    assert kinds == {FlagKind.DISAGREEMENT}
    assert len(result.flags) == len(TEN_DAYS)
    assert result.flags[0].detail.startswith("acme and zenith: ")
    assert "close 100 against 101" in result.flags[0].detail


@pytest.mark.parametrize(("tolerance", "count"), [(0.0101, 10), (0.0102, 0)])
async def test_the_tolerance_is_relative_to_the_larger_price(
    tolerance: float, count: int
) -> None:
    async with Market(Teller(ACME), Teller(ZENITH, close=101.0)) as market:
        result = await compared(market, tolerance=tolerance)

    assert len(result.flags) == count


async def test_of_three_the_first_two_are_compared() -> None:
    shops = Teller(ACME), Teller(ZENITH), Teller(OMEGA, close=200.0)
    async with Market(*shops) as market:
        result = await compared(market, OMEGA, ACME, ZENITH)

    assert sorted(market.wire.asked) == [f"{ACME} {DAY}", f"{OMEGA} {DAY}"]
    assert [attempt.provider for attempt in result.attempts] == [OMEGA, ACME]
    assert set(result.series.close) == {200.0}


async def test_who_cannot_answer_leaves_its_place_to_the_next() -> None:
    hourless = Teller(ACME, action_calls=1)
    async with Market(hourless, Teller(ZENITH), Teller(OMEGA)) as market:
        market.vendors.pop(ACME)
        result = await compared(market, ACME, ZENITH, OMEGA)

    assert [attempt.provider for attempt in result.attempts] == [ZENITH, OMEGA]


async def test_with_one_that_can_answer_there_is_no_consensus() -> None:
    async with Market(Teller(ACME), Teller(ZENITH)) as market:
        market.vendors.pop(ZENITH)
        with pytest.raises(CapabilityMissingError) as raised:
            await compared(market)

    assert "takes two vendors, and acme can answer" in raised.value.message
    assert "zenith cannot" in raised.value.message
    assert market.wire.asked == []


async def test_one_that_is_named_is_refused() -> None:
    async with Market(Teller(ACME), Teller(ZENITH)) as market:
        with pytest.raises(InvalidQueryError):
            await compared(market, ACME)


async def test_both_are_asked_at_the_same_time() -> None:
    async with Market(Teller(ACME), Teller(ZENITH)) as market:
        kinds = [f"{ACME} {DAY}", f"{ZENITH} {DAY}"]
        market.wire.held = {kind: asyncio.Event() for kind in kinds}
        task = asyncio.create_task(compared(market))
        await settled()
        assert sorted(market.wire.asked) == kinds
        for event in market.wire.held.values():
            event.set()
        await task


async def test_who_leaves_cancels_both() -> None:
    async with Market(Teller(ACME), Teller(ZENITH)) as market:
        kinds = [f"{ACME} {DAY}", f"{ZENITH} {DAY}"]
        market.wire.held = {kind: asyncio.Event() for kind in kinds}
        task = asyncio.create_task(compared(market))
        await settled()
        assert sorted(market.wire.asked) == kinds
        task.cancel()
        await asyncio.wait([task])
        await settled()

        assert task.cancelled()
        assert not [each for each in asyncio.all_tasks() if each.get_name() == "flight"]


@pytest.mark.parametrize(("silent", "served"), [(ACME, ZENITH), (ZENITH, ACME)])
async def test_who_is_alone_is_unconfirmed_or_not_enough(
    silent: str, served: str
) -> None:
    async with Market(Teller(ACME), Teller(ZENITH)) as market:
        kind = f"{silent} {DAY}"
        market.wire.failures[kind] = [down(silent) for _ in range(20)]
        result = await compared(market)
        with pytest.raises(AllProvidersFailedError):
            await compared(market, allow_partial=False)

    assert [source.provider for source in result.sources] == [served]
    [flag] = result.flags
    assert (flag.kind, flag.time_ns) == (FlagKind.UNCONFIRMED, None)
    assert flag.detail.startswith(f"{silent} did not confirm: ")


async def test_a_bar_that_the_second_lacks_is_unconfirmed() -> None:
    async with Market(Teller(ACME), Teller(ZENITH, days=TEN_DAYS[:-1])) as market:
        result = await compared(market)

    [flag] = result.flags
    assert flag.kind is FlagKind.UNCONFIRMED
    assert flag.time_ns is not None
    assert dates(np.array([flag.time_ns])) == ["2024-06-14"]
    assert len(result.series) == len(TEN_DAYS)


@pytest.mark.parametrize(("cents", "confirmed"), [(3, True), (2, False)])
async def test_both_together_cost_no_more_than_the_caller_allows(
    cents: int, *, confirmed: bool
) -> None:
    async with Market(Teller(ACME, 1), Teller(ZENITH, 2)) as market:
        result = await compared(market, ACME, ZENITH, max_cost_usd=cents / 100)

    spent = sum(attempt.cost_usd for attempt in result.attempts)
    assert spent == (3 * CENT if confirmed else CENT)
    assert bool(result.flags) is not confirmed


async def test_who_can_afford_neither_is_told() -> None:
    async with Market(Teller(ACME, 2), Teller(ZENITH, 2)) as market:
        with pytest.raises(CostLimitError):
            await compared(market, max_cost_usd=0.01)

    assert market.wire.asked == []


async def test_if_nobody_answers_the_calls_of_both_are_told() -> None:
    async with Market(Teller(ACME), Teller(ZENITH)) as market:
        for name in (ACME, ZENITH):
            market.wire.failures[f"{name} {DAY}"] = [down(name) for _ in range(20)]
        with pytest.raises(AllProvidersFailedError) as raised:
            await compared(market)

    assert {each.provider for each in raised.value.tried} == {ACME, ZENITH}
    assert raised.value.calls == len(market.wire.asked) > 1
