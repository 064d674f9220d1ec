"""Through the port: who mistypes a symbol is told what may have been meant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode as Code

from tests.port.house import UNMETERED, Build, House, RefusedError, budget, pinned

APPLE = {"symbol": "apple"}
MEANT = "did you mean AAPL (APPLE INC.)?"
FREE_KEY = {"SANDBOX__FINNHUB_PLAN": "free"}
"""Has no bars, so that nothing but the search is asked for."""


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Let Yahoo be asked without pauses, and Finnhub have no bars."""
    return {**UNMETERED, **FREE_KEY}


async def searches(home: House) -> int:
    """Return how often Finnhub was searched."""
    return int((await home.stats("finnhub"))["by_path"].get("/search", 0))


def plain(error: RefusedError) -> bool:
    """Tell whether a symbol is said to be unknown, and nothing is suggested."""
    assert (error.code, error.reason) == (Code.NOT_FOUND, "SYMBOL_UNKNOWN")
    assert "did you mean" not in error.message
    return "suggestions" not in error.facts


async def without_bars(home: House) -> None:
    """Let it be known that the plan with Finnhub has no bars, so none are asked for."""
    error = await home.refused(symbol="MSFT", source_policy=pinned("finnhub"))
    assert error.reason == "ENTITLEMENT_MISSING"


async def test_a_symbol_that_nobody_knows_comes_with_what_may_have_been_meant(
    home: House,
) -> None:
    error = await home.refused(**APPLE)

    assert (error.code, error.reason) == (Code.NOT_FOUND, "SYMBOL_UNKNOWN")
    assert error.message.startswith("APPLE is not known to ")
    assert error.message.endswith(MEANT)
    assert error.facts["suggestions"] == "AAPL"
    assert error.facts["symbol"] == "APPLE"
    resource = error.detail(error_details_pb2.ResourceInfo)
    assert (resource.resource_name, error.retry_seconds) == ("APPLE", None)


async def test_what_is_suggested_can_stand_in_the_place_of_the_unknown(
    home: House,
) -> None:
    error = await home.refused(symbol="GOO", limit=5)

    names = error.facts["suggestions"].split(",")
    assert names == ["GOOG", "GOOGL"]
    for name in names:
        assert len((await home.fetch(symbol=name, limit=5)).series.bars) == 5


async def test_on_another_exchange_its_own_listings_are_suggested(home: House) -> None:
    error = await home.refused(symbol="OCADO", exchange="XLON")

    assert error.facts["suggestions"] == "OCDO"
    found = await home.fetch(symbol="OCDO", exchange="XLON", limit=5)
    assert len(found.series.bars) == 5


async def test_where_nothing_is_like_it_the_error_is_plain(home: House) -> None:
    assert plain(await home.refused(symbol="NONSUCH"))
    assert await searches(home) == 1


async def test_equal_questions_are_one_search_at_once_and_later(home: House) -> None:
    errors = await asyncio.gather(*(home.refused(**APPLE) for _ in range(100)))
    errors.append(await home.refused(**APPLE))

    assert {error.facts["suggestions"] for error in errors} == {"AAPL"}
    assert await searches(home) == 1


async def test_quotes_come_with_suggestions_symbol_by_symbol(home: House) -> None:
    answer = await home.quotes("MSFT", "APPLE", "TESLA", "NONSUCH")

    known, apple, tesla, nonsuch = answer.results
    assert not known.HasField("failure")
    assert apple.failure.message.endswith(MEANT)
    assert apple.failure.metadata["suggestions"] == "AAPL"
    assert tesla.failure.metadata["suggestions"] == "TSLA"
    assert nonsuch.failure.reason == "SYMBOL_UNKNOWN"
    assert "suggestions" not in nonsuch.failure.metadata


async def test_a_batch_comes_with_suggestions_only_if_somebody_waits(
    home: House,
) -> None:
    (unsaid,) = await home.batch(symbols=["APPLE"])
    assert unsaid.failure.reason == "SYMBOL_UNKNOWN"
    assert "suggestions" not in unsaid.failure.metadata
    assert await searches(home) == 0

    (awaited,) = await home.batch(symbols=["APPLE"], priority="PRIORITY_INTERACTIVE")
    assert awaited.failure.metadata["suggestions"] == "AAPL"


async def test_who_does_not_wait_costs_no_search(home: House) -> None:
    assert plain(await home.refused(**APPLE, priority="PRIORITY_BATCH"))
    quotes = await home.quotes("APPLE", priority="PRIORITY_BATCH")
    assert "suggestions" not in quotes.results[0].failure.metadata
    assert await searches(home) == 0


async def test_a_policy_that_does_not_name_the_searcher_keeps_it_out(
    home: House,
) -> None:
    assert plain(await home.refused(**APPLE, source_policy=pinned("yahoo")))
    assert await home.calls("finnhub") == 0


async def test_with_a_quota_that_is_used_up_nothing_is_asked_and_the_error_is_plain(
    build: Build,
) -> None:
    day = [{"name": "day", "limit": 1, "seconds": 86_400}]
    async with build(settings=budget("finnhub", windows=day)) as home:
        await without_bars(home)

        assert plain(await home.refused(**APPLE))
        assert await home.calls("finnhub") == 1


async def test_a_search_that_hangs_delays_the_error_by_no_more_than_a_second(
    home: House,
) -> None:
    await without_bars(home)
    await home.refused(symbol="NONSUCH")
    await home.fault("finnhub", "hang")
    began = time.monotonic()

    assert plain(await home.refused(**APPLE))
    assert 0.9 < time.monotonic() - began < 3
    assert await home.calls("finnhub") == 3


async def test_a_search_that_hangs_does_not_take_the_time_that_the_error_needs(
    home: House,
) -> None:
    await without_bars(home)
    await home.refused(symbol="NONSUCH")
    await home.fault("finnhub", "hang")

    assert plain(await home.refused(**APPLE, timeout=0.8))


@pytest.mark.parametrize("fault", ["status_500", "malformed", "html", "error_key"])
async def test_a_search_that_fails_leaves_the_error_as_it_was(
    home: House, fault: str
) -> None:
    await without_bars(home)
    await home.fault("finnhub", fault)

    assert plain(await home.refused(**APPLE))


async def test_without_a_vendor_that_can_search_nothing_is_suggested(
    build: Build,
) -> None:
    async with build(settings={"PROVIDERS__FINNHUB__ENABLED": "false"}) as home:
        assert plain(await home.refused(**APPLE))
