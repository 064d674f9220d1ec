"""Who could not answer at once is asked again, if that may help in time."""

from __future__ import annotations

import asyncio

import pytest

from ingestion_server.domain.errors import (
    NoDataUnexplainedError,
    ProviderError,
    QuotaExhaustedError,
)
from ingestion_server.domain.result import BarResult, Outcome
from ingestion_server.ports.hooks import CallDetails
from tests.ingest.making import ACME, ZENITH
from tests.ingest.vendors import TEN_DAYS, Market, Shop


def busy(name: str, seconds: float) -> QuotaExhaustedError:
    """Be told "not now" by a vendor."""
    return QuotaExhaustedError(
        f"{name} answered 429",
        provider=name,
        window="unpublished",
        retry_after_seconds=seconds,
    )


def nothing(name: str) -> NoDataUnexplainedError:
    """Be given nothing by a vendor, without a word."""
    return NoDataUnexplainedError(f"{name} sent an empty object", provider=name)


def befall(market: Market, name: str, *failures: ProviderError) -> None:
    """Have the vendor's next calls for bars end so."""
    market.wire.failures[f"{name} BARS"] = list(failures)


def calls(market: Market, name: str) -> int:
    """Return how often a vendor was called for bars."""
    return market.wire.asked.count(f"{name} BARS")


def told(answer: BarResult) -> list[str]:
    """Return who was asked, in order."""
    return [attempt.provider for attempt in answer.attempts if attempt.calls]


async def test_who_has_quota_first_is_asked_first_again() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        befall(market, ACME, busy(ACME, 9.0))
        befall(market, ZENITH, busy(ZENITH, 2.0))

        answer = await market.fetch()

        assert told(answer) == [ACME, ZENITH, ZENITH]
        assert len(answer.series) == len(TEN_DAYS)
        assert sum(market.clock.slept) == pytest.approx(2.0, abs=0.1)


async def test_who_says_not_now_again_is_waited_for_again() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        befall(market, ACME, busy(ACME, 1.0), busy(ACME, 1.0))
        befall(market, ZENITH, busy(ZENITH, 1.5), busy(ZENITH, 1.0))

        answer = await market.fetch()

        assert len(answer.series) == len(TEN_DAYS)
        assert calls(market, ACME) + calls(market, ZENITH) == 5


async def test_who_says_not_now_for_ever_is_asked_a_few_times_only() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        befall(market, ACME, *[busy(ACME, 0.5)] * 99)
        befall(market, ZENITH, *[busy(ZENITH, 0.5)] * 99)

        with pytest.raises(QuotaExhaustedError) as caught:
            await market.fetch()

        assert (calls(market, ACME), calls(market, ZENITH)) == (3, 3)
        assert caught.value.retry_after_seconds is not None


async def test_who_would_have_quota_too_late_is_not_waited_for() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        befall(market, ACME, busy(ACME, 60.0))
        befall(market, ZENITH, busy(ZENITH, 90.0))

        with pytest.raises(QuotaExhaustedError):
            await market.fetch()

        assert market.clock.slept == []
        assert (calls(market, ACME), calls(market, ZENITH)) == (1, 1)


async def test_the_only_vendor_there_is_says_at_once_when_to_come_back() -> None:
    async with Market(Shop(ACME)) as market:
        befall(market, ACME, busy(ACME, 2.0))

        with pytest.raises(QuotaExhaustedError) as caught:
            await market.fetch()

        assert caught.value.retry_after_seconds == pytest.approx(2.0, abs=0.1)
        assert calls(market, ACME) == 1


async def test_that_nobody_has_anything_is_believed_of_vendors_that_are_well() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        befall(market, ACME, nothing(ACME))
        befall(market, ZENITH, nothing(ZENITH))

        with pytest.raises(NoDataUnexplainedError):
            await market.fetch()

        assert (calls(market, ACME), calls(market, ZENITH)) == (1, 1)


async def test_that_nobody_has_anything_is_not_believed_of_one_that_often_fails() -> (
    None
):
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        befall(market, ACME, nothing(ACME))
        befall(market, ZENITH, nothing(ZENITH))
        for number in range(8):
            market.standings(
                CallDetails(
                    provider=ZENITH,
                    feature="BARS",
                    seconds=0.1,
                    outcome="ok" if number % 2 else "MALFORMED_PAYLOAD",
                    detail="",
                    kind="bars:equity",
                    vendor_failed=not number % 2,
                )
            )

        answer = await market.fetch()

        assert len(answer.series) == len(TEN_DAYS)


async def test_who_is_silent_is_left_for_one_that_had_no_quota_at_once() -> None:
    async with Market(Shop(ACME), Shop(ZENITH)) as market:
        befall(market, ACME, busy(ACME, 1.0))
        held = market.wire.held[f"{ZENITH} BARS"] = asyncio.Event()

        answer = await market.fetch()
        held.set()

        assert told(answer) == [ACME, ACME, ZENITH]
        assert [attempt.outcome for attempt in answer.attempts] == [
            Outcome.FAILED,
            Outcome.SERVED,
            Outcome.OVERTAKEN,
        ]
