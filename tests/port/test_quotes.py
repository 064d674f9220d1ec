"""GetQuotes: the latest of many instruments, in as few calls as can be."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import ingestion_service_pb2
from marketdata.ingestion.v1 import provenance_pb2 as truth

from tests.port.house import (
    FREE,
    UNMETERED,
    Build,
    House,
    RefusedError,
    budget,
    new_symbol,
    ordered,
    pinned,
)

QUOTE = "/v7/finance/quote"
OPEN = datetime(2024, 6, 12, 15, 0, 20, tzinfo=UTC)
"""An hour and a half after New York opened."""
Result = ingestion_service_pb2.QuoteResult


async def paths(home: House) -> dict[str, int]:
    """Return how often each page of Yahoo was called."""
    return dict((await home.stats("yahoo"))["by_path"])


async def results(home: House, *symbols: str, **request: object) -> dict[str, Result]:
    """Return what is told of each symbol."""
    answer = await home.quotes(*symbols, **request)
    assert [result.symbol for result in answer.results] == list(symbols)
    assert answer.request_id
    return {result.symbol: result for result in answer.results}


def tried(result: Result) -> list[tuple[str, str]]:
    """Return each attempt's vendor and outcome, without those that cannot at all."""
    names = truth.AttemptOutcome.Name
    return [
        (each.provider, names(each.outcome).removeprefix("ATTEMPT_OUTCOME_"))
        for each in result.attempts
        if not each.reason.startswith("CAPABILITY_MISSING")
    ]


async def test_many_symbols_of_all_kinds_take_one_call_of_each_kind(
    build: Build,
) -> None:
    settings = {**UNMETERED, "PROVIDERS__ORDER": "yahoo"}
    async with build(settings=settings, start=OPEN) as home:
        found = await results(home, "AAPL", "MSFT", "BRK.B", "EUR/USD", "BTC/USD")

        assert (await paths(home))[QUOTE] == 3
        assert await home.calls("alpha_vantage") == 0
        for symbol, result in found.items():
            assert not result.HasField("failure"), result
            assert result.provider == result.trade.provider == "yahoo"
            assert result.trade.symbol == symbol
            assert result.trade.price > 0
            assert not result.trade.time_doubtful
            assert result.currency == "USD"
            assert result.HasField("feed_delay")
            assert result.received_at.ToDatetime(UTC) >= OPEN
            assert not result.live
            assert tried(result) == [("yahoo", "SERVED")]
        apple = found["AAPL"]
        assert apple.quote.bid <= apple.quote.ask
        assert apple.HasField("previous_close")
        assert not found["BTC/USD"].HasField("quote")


async def test_the_age_is_that_of_the_last_price(build: Build) -> None:
    async with build(settings=UNMETERED, start=OPEN) as home:
        found = await results(home, "AAPL")

        price_at = found["AAPL"].trade.time.ToDatetime(UTC)
        age = found["AAPL"].age.ToTimedelta()
        assert abs((home.clock.now() - price_at - age).total_seconds()) < 5


async def test_fifty_symbols_are_one_call_and_one_more_are_two(quick: House) -> None:
    symbols = [new_symbol() for _ in range(51)]

    found = await results(quick, *symbols[:50])
    assert (await paths(quick))[QUOTE] == 1
    assert all(result.trade.price > 0 for result in found.values())

    quick.clock.advance(5)
    await results(quick, *symbols)
    assert (await paths(quick))[QUOTE] == 3


async def test_yahoo_is_greeted_before_it_is_asked_so_that_no_call_is_lost(
    quick: House,
) -> None:
    await results(quick, "AAPL")

    assert await paths(quick) == {"/": 1, "/v1/test/getcrumb": 1, QUOTE: 1}


async def test_a_pinned_vendor_that_knows_only_the_day_says_so(home: House) -> None:
    found = await results(home, "AAPL", source_policy=pinned("alpha_vantage"))

    result = found["AAPL"]
    assert result.provider == "alpha_vantage"
    assert result.trade.time_doubtful
    assert result.trade.time.ToJsonString() == "2024-06-11T00:00:00Z"
    assert not result.HasField("quote")
    assert not result.HasField("feed_delay")
    assert await home.calls("yahoo") == 0


async def test_a_rate_has_its_time_with_alpha_vantage(home: House) -> None:
    found = await results(home, "EUR/USD", source_policy=pinned("alpha_vantage"))

    result = found["EUR/USD"]
    assert not result.trade.time_doubtful
    assert result.age.ToTimedelta().total_seconds() < 10
    assert result.quote.bid == result.quote.ask == result.trade.price


async def test_an_unknown_symbol_fails_beside_a_good_one(quick: House) -> None:
    symbols = ("AAPL", "NOSUCH", "bad symbol", "aapl")
    found = await results(quick, *symbols, source_policy=pinned("yahoo"))

    assert found["AAPL"].trade.price == found["aapl"].trade.price > 0
    unknown = found["NOSUCH"].failure
    assert (unknown.code, unknown.reason) == (
        Code.NOT_FOUND.value[0],
        "SYMBOL_UNKNOWN",
    )
    assert not found["NOSUCH"].HasField("trade")
    assert tried(found["NOSUCH"]) == [("yahoo", "NO_DATA")]
    assert found["bad symbol"].failure.reason == "INVALID_QUERY"
    assert (await paths(quick))[QUOTE] == 1


async def test_what_one_vendor_cannot_tell_another_is_asked_for(quick: House) -> None:
    policy = ordered("alpha_vantage", "yahoo")
    found = await results(quick, "^GSPC", "AAPL", source_policy=policy)

    assert found["AAPL"].provider == "alpha_vantage"
    assert found["^GSPC"].provider == "yahoo"
    assert tried(found["^GSPC"]) == [("yahoo", "SERVED")]
    assert found["^GSPC"].attempts[0].reason == (
        "CAPABILITY_MISSING: tells no quotes of index"
    )


async def test_a_vendor_that_fails_is_followed_by_the_next(quick: House) -> None:
    await quick.fault("yahoo", "status_500")

    found = await results(quick, "AAPL")

    assert found["AAPL"].provider == "finnhub"
    assert tried(found["AAPL"]) == [("yahoo", "FAILED"), ("finnhub", "SERVED")]


async def test_a_hundred_symbols_leave_half_of_a_free_days_quota(build: Build) -> None:
    settings = {**UNMETERED, **FREE, "PROVIDERS__ALPHA_VANTAGE__PLAN": "free"}
    settings |= budget(
        "alpha_vantage",
        windows=[{"name": "day", "limit": 20, "seconds": 86_400}],
    )
    settings |= {
        "SANDBOX__ALPHA_VANTAGE_PLAN": "75",
        "PROVIDERS__FINNHUB__ENABLED": "0",
    }
    async with build(settings=settings) as home:
        await home.fault("yahoo", "status_500")
        symbols = [new_symbol() for _ in range(100)]

        found = await results(home, *symbols)

        served = [one for one in found.values() if one.provider == "alpha_vantage"]
        assert 5 <= len(served) == await home.calls("alpha_vantage") <= 18
        failed = [one for one in found.values() if one.HasField("failure")]
        assert len(failed) == 100 - len(served)
        assert {one.failure.reason for one in failed} == {"ALL_PROVIDERS_FAILED"}


async def test_quota_is_waited_for_where_others_would_take_many_calls(
    build: Build,
) -> None:
    settings = budget("yahoo", windows=[{"name": "second", "limit": 4, "seconds": 1.0}])
    settings["SANDBOX__YAHOO_PER_SECOND"] = "1000"
    async with build(settings=settings) as home:
        symbols = [new_symbol() for _ in range(200)]

        found = await results(home, *symbols)

        assert {result.provider for result in found.values()} == {"yahoo"}
        assert await home.calls("alpha_vantage") == 0


async def test_a_resting_vendor_is_not_called_for_quotes(quick: House) -> None:
    await quick.fault("yahoo", "status_500", times=None)
    for _ in range(5):
        await results(quick, "EUR/USD", source_policy=pinned("yahoo"))
        quick.clock.advance(2)
    calls = await quick.calls("yahoo")

    found = await results(quick, "GBP/USD", source_policy=pinned("yahoo"))

    assert await quick.calls("yahoo") == calls
    failure = found["GBP/USD"].failure
    assert failure.reason == "PINNED_PROVIDER_FAILED"
    assert failure.retry_delay.ToTimedelta().total_seconds() > 10
    # Bars are judged apart.
    await quick.mend("yahoo")
    await quick.fetch(symbol="AAPL", limit=5, source_policy=pinned("yahoo"))


async def test_when_time_is_over_each_symbol_says_so(quick: House) -> None:
    await quick.fault("yahoo", "hang")

    found = await results(
        quick, "AAPL", "MSFT", source_policy=pinned("yahoo"), timeout=1
    )

    for result in found.values():
        assert result.failure.reason == "DEADLINE_EXCEEDED"
        assert result.failure.code == Code.DEADLINE_EXCEEDED.value[0]


async def test_one_that_hangs_takes_no_more_than_its_share(quick: House) -> None:
    await quick.fault("yahoo", "hang")

    found = await results(quick, "AAPL", timeout=4)

    assert found["AAPL"].provider == "finnhub"


async def test_equal_questions_at_once_are_one_call(quick: House) -> None:
    answers = await asyncio.gather(*(results(quick, "AAPL", "MSFT") for _ in range(50)))

    assert (await paths(quick))[QUOTE] == 1
    assert len({answer["AAPL"].trade.price for answer in answers}) == 1


async def test_an_answer_of_a_moment_ago_serves_again_and_then_no_more(
    quick: House,
) -> None:
    first = (await results(quick, "AAPL"))["AAPL"]
    again = (await results(quick, "AAPL"))["AAPL"]
    assert (await paths(quick))[QUOTE] == 1
    assert again.received_at == first.received_at
    (attempt,) = again.attempts
    assert attempt.shared
    assert attempt.calls == 0

    quick.clock.advance(1.1)
    later = (await results(quick, "AAPL"))["AAPL"]
    assert (await paths(quick))[QUOTE] == 2
    assert later.received_at.ToNanoseconds() > first.received_at.ToNanoseconds()


async def test_nothing_is_kept_if_that_is_switched_off(build: Build) -> None:
    async with build(settings={**UNMETERED, "CACHE__QUOTE_SECONDS": "0"}) as home:
        await results(home, "AAPL")
        await results(home, "AAPL")

        assert (await paths(home))[QUOTE] == 2


@pytest.mark.parametrize(
    ("symbols", "request_", "fields"),
    [
        ((), {}, {"symbols"}),
        (tuple(f"S{n}" for n in range(501)), {}, {"symbols"}),
        (
            ("AAPL",),
            {"source_policy": {"mode": "MODE_CONSENSUS"}},
            {"source_policy.mode"},
        ),
        (("AAPL",), {"source_policy": pinned("acme")}, {"source_policy.providers[0]"}),
        (("AAPL",), {"asset_class": 99}, {"asset_class"}),
    ],
)
async def test_wrong_fields_are_named(
    home: House, symbols: tuple[str, ...], request_: dict[str, object], fields: set[str]
) -> None:
    with pytest.raises(RefusedError) as refused:
        await home.quotes(*symbols, **request_)

    assert refused.value.code is Code.INVALID_ARGUMENT
    assert refused.value.fields == fields
