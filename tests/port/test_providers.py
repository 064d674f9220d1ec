"""Who the vendors are, how they do, and which rest: through the port."""

from __future__ import annotations

import grpc.aio
import pytest
from grpc import StatusCode as Code
from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    provider_pb2,
    provider_service_pb2,
)

from tests.port.house import (
    FREE,
    Build,
    House,
    RefusedError,
    anew,
    pinned,
    seconds_between,
    served_by,
)
from tests.port.roster import (
    AV,
    FAILURES,
    KIND,
    QUICK,
    RAW,
    SPLIT,
    YAHOO,
    breaker,
    broken,
    changed,
    health,
    refusal,
    vendor,
    vendors,
    watching,
)

Stage = provider_pb2.ProviderLifecycle
Breaker = provider_pb2.Breaker
REST_SECONDS = 30


async def test_all_vendors_are_listed_in_order_with_all_they_declare(
    build: Build,
) -> None:
    async with build(settings=FREE) as home:
        listed = await vendors(home)

    assert list(listed) == [AV, YAHOO, "finnhub", "iex_cloud"]
    assert [one.priority for one in listed.values()] == [10, 20, 30, 40]
    # The one that is no more has tests of its own.
    serving = [one for one in listed.values() if one.name != "iex_cloud"]
    for one in serving:
        assert one.enabled
        assert not one.priority_configured
        assert not one.unusable_reason
        assert one.lifecycle.stage == Stage.STAGE_ACTIVE
    assert [one.price.plan for one in serving] == [*("free", "unofficial", "premium")]
    assert listed[YAHOO].feed_delay.seconds == 900
    assert not listed[AV].HasField("feed_delay")


async def test_capabilities_say_what_a_vendor_serves_as_it_is(home: House) -> None:
    listed = await vendors(home)

    def classes(name: str) -> set[int]:
        return {
            asset_class
            for capability in listed[name].capabilities
            for asset_class in capability.asset_classes
        }

    assert ingestion_service_pb2.ASSET_CLASS_INDEX in classes(YAHOO) - classes(AV)
    minutes = [
        capability.reach.seconds
        for capability in listed[YAHOO].capabilities
        if bar_pb2.INTERVAL_1_MINUTE in capability.intervals
    ]
    assert minutes
    assert set(minutes) == {30 * 86_400}
    for one in listed.values():
        assert all(each.intervals for each in one.capabilities)
        assert all(each.adjustments for each in one.capabilities)


async def test_kinds_are_told_before_any_call_with_factors_that_add_up(
    home: House,
) -> None:
    listed = await vendors(home)

    assert KIND in [one.kind for one in listed[AV].health]
    assert "bars:index" in [one.kind for one in listed[YAHOO].health]
    for one in [each for provider in listed.values() for each in provider.health]:
        assert sum(factor.weight for factor in one.factors) == pytest.approx(1)
        weighted = sum(factor.weight * factor.value for factor in one.factors)
        assert one.score == pytest.approx(weighted)
        assert (one.samples, one.judged) == (0, False)
        assert not one.HasField("latency_p50")
        assert not one.HasField("last_success_at")
        assert one.breaker.state == Breaker.STATE_CLOSED
    assert sum(await calls(home)) == 0


async def calls(home: House) -> list[int]:
    """Return how often each vendor was called."""
    return [await home.calls(name) for name in (AV, YAHOO)]


async def test_one_vendor_is_told_as_in_the_list(home: House) -> None:
    listed = await vendors(home)

    assert await vendor(home, YAHOO) == listed[YAHOO]


@pytest.mark.parametrize("name", ["iex", ""])
async def test_an_unknown_vendor_is_an_invalid_query(home: House, name: str) -> None:
    wrong = await refusal(vendor(home, name))

    assert (wrong.code, wrong.reason) == (Code.INVALID_ARGUMENT, "INVALID_QUERY")
    assert wrong.fields == {"name"}


async def test_what_calls_told_shows_in_the_health(build: Build) -> None:
    async with build(settings=QUICK) as home:
        for _ in range(FAILURES):
            await home.fetch(**anew(RAW))
        told = await health(home, AV)
        other = await health(home, YAHOO)

        assert told.samples == pytest.approx(await home.calls(AV), rel=0.35)
        assert told.judged
        assert told.latency_p50.nanos > 0
        assert told.latency_p95.ToTimedelta() >= told.latency_p50.ToTimedelta()
        assert seconds_between(home.clock.now(), told.last_success_at) <= 0
        assert not told.HasField("last_failure_at")
        assert (other.samples, other.HasField("last_success_at")) == (0, False)


async def test_five_failures_in_a_row_open_the_breaker_for_the_rest(
    build: Build,
) -> None:
    async with build(settings=QUICK) as home:
        await broken(home, AV)
        told = await health(home, AV)
        now = home.clock.now()

    rests = told.breaker
    assert rests.state == Breaker.STATE_OPEN
    assert rests.consecutive_failures == FAILURES
    assert "500" in rests.reason
    assert seconds_between(now, rests.opened_at) == pytest.approx(0, abs=5)
    assert between(rests) == pytest.approx(REST_SECONDS, abs=0.01)
    assert rests.rest.seconds == 2 * REST_SECONDS
    assert "500" in told.last_failure
    assert told.HasField("last_failure_at")
    assert told.score < 0.7


def between(rests: provider_pb2.Breaker) -> float:
    """Return how long a breaker rests, from its opening to the next probe."""
    rest = rests.retry_at.ToDatetime() - rests.opened_at.ToDatetime()
    return rest.total_seconds()


async def test_a_probe_that_fails_doubles_the_rest_and_recovery_forgives_it(
    build: Build,
) -> None:
    async with build(settings=QUICK) as home:
        await broken(home, AV)
        rests = []
        for _ in range(2):
            home.clock.advance(between(await breaker(home, AV)) + 1)
            await home.refused(**anew(RAW), source_policy=pinned(AV))
            rests.append(between(await breaker(home, AV)))

        assert rests == pytest.approx([2 * REST_SECONDS, 4 * REST_SECONDS], abs=0.01)
        assert await home.calls(AV) == FAILURES + 2

        await home.mend(AV)
        home.clock.advance(rests[-1] + 1)
        await home.fetch(**anew(RAW), source_policy=pinned(AV))
        closed = await breaker(home, AV)

    assert closed.state == Breaker.STATE_CLOSED
    assert (closed.consecutive_failures, closed.reason) == (0, "")
    assert not closed.HasField("opened_at")
    assert not closed.HasField("retry_at")
    assert closed.rest.seconds == REST_SECONDS


async def test_a_watcher_is_told_everything_first(home: House) -> None:
    listed = await vendors(home)
    async with watching(home) as watch:
        first = await watch.begun()

    assert list(first.providers) == list(listed.values())
    assert not first.events


async def test_a_watcher_hears_of_every_move_of_a_breaker_in_order(
    build: Build,
) -> None:
    async with build(settings=QUICK) as home, watching(home) as watch:
        await broken(home, AV)
        await watch.heard(1)
        home.clock.advance(REST_SECONDS + 1)
        await home.refused(**anew(RAW), source_policy=pinned(AV))
        await watch.heard(3)
        await home.mend(AV)
        home.clock.advance(2 * REST_SECONDS + 1)
        await home.fetch(**anew(RAW), source_policy=pinned(AV))
        await watch.heard(5)

    assert watch.kinds == [
        (AV, "BREAKER_OPENED"),
        (AV, "BREAKER_HALF_OPEN"),
        (AV, "BREAKER_OPENED"),
        (AV, "BREAKER_HALF_OPEN"),
        (AV, "BREAKER_CLOSED"),
    ]
    assert [event.number for event in watch.events] == [1, 2, 3, 4, 5]
    assert {event.data_kind for event in watch.events} == {KIND}
    assert "500" in watch.events[0].detail
    assert "rests for 30 s" in watch.events[0].detail
    assert "rests for 60 s" in watch.events[2].detail
    times = [event.at.ToDatetime() for event in watch.events]
    assert times == sorted(times)


async def test_a_watcher_hears_of_changes_and_sees_the_vendor_as_it_is_then(
    home: House,
) -> None:
    async with watching(home) as watch:
        await changed(home, YAHOO, enabled=False)
        await watch.heard(1)
        told = [one for one in watch.messages if one.events]

    assert watch.kinds == [(YAHOO, "UPDATED")]
    assert watch.events[0].data_kind == ""
    assert watch.events[0].detail == "by an operator: switched off"
    assert [(one.name, one.enabled) for one in told[0].providers] == [(YAHOO, False)]


async def test_who_comes_late_hears_of_earlier_events(home: House) -> None:
    await changed(home, YAHOO, priority=5)

    async with watching(home, YAHOO) as watch, watching(home, AV) as other:
        first = await watch.begun()

    assert [event.detail for event in first.events] == ["by an operator: priority 5"]
    assert other.kinds == []
    assert {one.name for one in other.messages[0].providers} == {AV}


async def test_an_unknown_vendor_cannot_be_watched(home: House) -> None:
    call = home.providers.WatchProviders(
        provider_service_pb2.WatchProvidersRequest(providers=["iex"]), timeout=5
    )

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()

    assert RefusedError(refused.value).fields == {"providers"}


async def test_one_vendor_at_rest_does_not_show_in_another(build: Build) -> None:
    async with build(settings=QUICK) as home:
        await broken(home, AV)

        assert served_by(await home.fetch(**SPLIT)) == [YAHOO]
        assert (await breaker(home, YAHOO)).state == Breaker.STATE_CLOSED
