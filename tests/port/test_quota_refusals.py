"""Out of quota names the window, and the moment at which it is worth coming back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode as Code

from tests.port.house import FREE, TWO_VENDORS, Build, House, RefusedError, one_call

AV = "alpha_vantage"
MIDNIGHTS = [
    datetime(2024, 6, 13, 4, tzinfo=UTC),
    # The ends of the days with 23 and with 25 hours.
    datetime(2024, 3, 11, 4, tzinfo=UTC),
    datetime(2024, 11, 4, 5, tzinfo=UTC),
]
# Around midnight nothing leaves for half a second, in case the vendor's clock differs
# from ours.
MIDNIGHT_SECONDS = 1.0


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Have the two vendors of which these tests are."""
    return TWO_VENDORS


async def refused_until(
    home: House, **request: object
) -> tuple[RefusedError, datetime, datetime]:
    """Fetch what must fail; return between what times it may be asked again."""
    before = home.clock.now()
    failed = await home.refused(**request)
    after = home.clock.now()
    assert failed.retry_seconds is not None
    delay = timedelta(seconds=failed.retry_seconds)
    return failed, before + delay, after + delay


def is_then(moment: datetime, earliest: datetime, latest: datetime) -> bool:
    """Return whether a caller who comes back as told comes just after a moment."""
    return latest >= moment and earliest <= moment + timedelta(seconds=MIDNIGHT_SECONDS)


@pytest.mark.parametrize("midnight", MIDNIGHTS, ids=["24", "23", "25"])
async def test_a_full_day_is_refused_until_midnight_in_new_york(
    build: Build, midnight: datetime
) -> None:
    async with build(settings=FREE, start=midnight - timedelta(hours=22)) as home:
        await home.spend(AV, 25)
        home.clock.advance(2)

        failed, earliest, latest = await refused_until(home, **one_call(AV))

        assert (failed.code, failed.reason) == (
            Code.RESOURCE_EXHAUSTED,
            "QUOTA_EXHAUSTED",
        )
        quota = failed.detail(error_details_pb2.QuotaFailure)
        (violation,) = quota.violations
        assert violation.subject == f"provider:{AV}"
        assert violation.quota_id == "day"
        assert "window day" in violation.description
        assert failed.facts == {"provider": AV, "window": "day"}
        assert is_then(midnight, earliest, latest)
        assert await home.calls(AV) == 25


async def test_who_comes_back_as_told_is_answered(build: Build) -> None:
    start = datetime(2024, 11, 3, 22, tzinfo=UTC)
    async with build(settings=FREE, start=start) as home:
        await home.spend(AV, 25)
        failed = await home.refused(**one_call(AV))

        home.clock.advance(failed.retry_seconds or 0)
        await home.fetch(**one_call(AV))

        stats = await home.stats(AV)
        assert (stats["calls"], stats["violations"]) == (26, 0)


async def test_each_symbol_of_a_batch_is_told_when_to_come_back(build: Build) -> None:
    midnight = MIDNIGHTS[0]
    async with build(settings=FREE, start=midnight - timedelta(hours=22)) as home:
        await home.spend(AV, 25)
        request = one_call(AV)
        del request["symbol"]

        before = home.clock.now()
        results = await home.batch(symbols=["MSFT", "AAPL"], **request)
        after = home.clock.now()

    assert {result.symbol for result in results} == {"MSFT", "AAPL"}
    for result in results:
        assert result.failure.code == Code.RESOURCE_EXHAUSTED.value[0]
        assert result.failure.reason == "QUOTA_EXHAUSTED"
        assert result.failure.metadata["window"] == "day"
        delay = result.failure.retry_delay.ToTimedelta()
        assert is_then(midnight, before + delay, after + delay)


@pytest.mark.parametrize(
    ("minutes_left", "yahoo_seconds"), [(10, 7200), (600, 200)], ids=[AV, "yahoo"]
)
async def test_if_all_vendors_are_out_the_first_to_come_back_is_told(
    build: Build, minutes_left: int, yahoo_seconds: int
) -> None:
    midnight = MIDNIGHTS[0]
    start = midnight - timedelta(minutes=minutes_left)
    async with build(settings=FREE, start=start) as home:
        await home.spend(AV, 25)
        await home.fault("yahoo", "status_429", retry_after=yahoo_seconds)
        anybody = {**one_call(AV), "source_policy": {}}
        closed = home.clock.now() + timedelta(seconds=yahoo_seconds)

        failed, earliest, latest = await refused_until(home, **anybody)

    quota = failed.detail(error_details_pb2.QuotaFailure)
    assert {violation.subject for violation in quota.violations} == {
        f"provider:{AV}",
        "provider:yahoo",
    }
    first = min(midnight, closed)
    assert latest >= first
    # The refusal came a moment after the test looked at the clock.
    assert earliest <= first + timedelta(seconds=5)


async def test_a_short_window_is_named_as_well(build: Build) -> None:
    async with build(settings={"SANDBOX__ALPHA_VANTAGE_PLAN": "2per90s"}) as home:
        await home.spend(AV, 2)

        failed = await home.refused(**one_call(AV))

    assert failed.facts == {"provider": AV, "window": "pace"}
    # The older of the two calls left 1.1 seconds before the younger.
    assert failed.retry_seconds == pytest.approx(89, abs=3)
