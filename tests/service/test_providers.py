"""ProviderService on a real port, before vendors that are what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import msgspec
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import (
    bar_pb2,
    cache_pb2,
    ingestion_service_pb2,
    provider_pb2,
    provider_service_pb2,
    provider_service_pb2_grpc,
)

from ingestion_server.domain.errors import InvalidQueryError, Violation
from ingestion_server.ports.caching import CacheCounts, CacheUse
from ingestion_server.service.admission import Door
from tests.clocks import NOW_NS, SECOND_NS, ManualClock
from tests.service.directories import FakeDirectory, FakeRouter, event
from tests.service.refusals import fields, reason, refused

NOW = NOW_NS // SECOND_NS
Stub = provider_service_pb2_grpc.ProviderServiceStub
Messages = AsyncIterator[provider_service_pb2.WatchProvidersResponse]
List = provider_service_pb2.ListProvidersRequest
Get = provider_service_pb2.GetProviderRequest
Watch = provider_service_pb2.WatchProvidersRequest
Update = provider_service_pb2.UpdateProviderRequest
Explain = provider_service_pb2.ExplainRouteRequest
Fetch = ingestion_service_pb2.FetchRequest

UNKNOWN = "'nobody' is not known; there are: alpha_vantage, yahoo"
FACTORS = [
    provider_pb2.ScoreFactor(
        name="success", value=0.9, weight=0.5, detail="9.0 of 10.0 calls"
    ),
    provider_pb2.ScoreFactor(
        name="latency", value=0.6, weight=0.5, detail="half within 0.2 s"
    ),
]


async def test_everything_that_is_known_of_a_vendor_reaches_the_wire(
    vendors: Stub,
) -> None:
    answer = await vendors.GetProvider(Get(name="alpha_vantage"))

    assert answer.provider == provider_pb2.Provider(
        name="alpha_vantage",
        lifecycle=provider_pb2.ProviderLifecycle(
            stage=provider_pb2.ProviderLifecycle.STAGE_ACTIVE
        ),
        enabled=True,
        priority=10,
        priority_configured=True,
        capabilities=[
            provider_pb2.ProviderCapability(
                asset_classes=[
                    ingestion_service_pb2.ASSET_CLASS_EQUITY,
                    ingestion_service_pb2.ASSET_CLASS_FX,
                ],
                intervals=[bar_pb2.INTERVAL_1_MINUTE, bar_pb2.INTERVAL_1_DAY],
                adjustments=[bar_pb2.ADJUSTMENT_RAW, bar_pb2.ADJUSTMENT_SPLIT],
                extended_hours=True,
                reach=Duration(seconds=86_400),
                earliest=Timestamp(seconds=1),
            )
        ],
        feed_delay=Duration(seconds=900),
        price=provider_pb2.ProviderPrice(
            plan="premium", monthly_usd=49.99, per_unit_usd=0.002
        ),
        health=[
            provider_pb2.ProviderHealth(
                kind="bars:equity",
                samples=10,
                judged=True,
                score=0.75,
                factors=FACTORS,
                latency_p50=Duration(nanos=200_000_000),
                latency_p95=Duration(seconds=1, nanos=500_000_000),
                last_success_at=Timestamp(seconds=NOW - 9),
                last_failure_at=Timestamp(seconds=NOW - 1),
                last_failure="HTTP 503",
                breaker=provider_pb2.Breaker(
                    state=provider_pb2.Breaker.STATE_OPEN,
                    opened_at=Timestamp(seconds=NOW - 1),
                    reason="HTTP 503",
                    retry_at=Timestamp(seconds=NOW + 29),
                    consecutive_failures=5,
                    rest=Duration(seconds=30),
                ),
            )
        ],
    )
    assert answer.as_of == Timestamp(seconds=NOW)


async def test_all_vendors_are_listed_in_order(vendors: Stub) -> None:
    answer = await vendors.ListProviders(List())

    assert [one.name for one in answer.providers] == ["alpha_vantage", "yahoo"]
    assert answer.as_of == Timestamp(seconds=NOW)


async def test_what_is_kept_of_answers_reaches_the_wire(vendors: Stub) -> None:
    cache = (await vendors.ListProviders(List())).cache

    assert cache == cache_pb2.CacheUse(
        enabled=True,
        bytes=1_000,
        limit_bytes=64_000,
        file_bytes=4_096,
        limit_file_bytes=256_000,
        series=10,
        bars=11,
        hits=6,
        partial_hits=1,
        misses=1,
        hit_ratio=0.75,
        encoded_hits=4,
        shared=2,
        negative_hits=3,
        stale=5,
        evictions=7,
        rebased=8,
        revised=9,
        oldest_forming=Duration(seconds=1, nanos=500_000_000),
        file_problem="the disk is full",
    )


async def test_a_cache_that_was_never_asked_has_no_ratio_and_no_age(
    vendors: Stub, directory: FakeDirectory
) -> None:
    directory.cache = CacheUse(enabled=True, counts=CacheCounts())

    assert (await vendors.ListProviders(List())).cache == cache_pb2.CacheUse(
        enabled=True
    )


async def test_a_cache_that_is_switched_off_counts_nothing(
    vendors: Stub, directory: FakeDirectory
) -> None:
    directory.cache = CacheUse(enabled=False, counts=CacheCounts(shared=3))

    answer = await vendors.ListProviders(List())

    assert answer.HasField("cache")
    assert answer.cache == cache_pb2.CacheUse()


async def test_nothing_is_invented_where_nothing_is_known(vendors: Stub) -> None:
    provider = (await vendors.GetProvider(Get(name="yahoo"))).provider

    assert provider.lifecycle == provider_pb2.ProviderLifecycle(
        stage=provider_pb2.ProviderLifecycle.STAGE_RETIRED, since="2025-01-01"
    )
    assert provider.unusable_reason == "it has ended"
    assert not provider.HasField("feed_delay")
    assert not provider.capabilities[0].HasField("reach")
    assert not provider.capabilities[0].HasField("earliest")
    (health,) = provider.health
    assert (health.judged, health.score) == (False, 0.5)
    for field in ("latency_p50", "latency_p95", "last_success_at", "last_failure_at"):
        assert not health.HasField(field)
    assert health.breaker.state == provider_pb2.Breaker.STATE_CLOSED
    assert not health.breaker.HasField("opened_at")
    assert not health.breaker.HasField("retry_at")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "names no vendor"),
        ("nobody", UNKNOWN),
        ("x" * 99, UNKNOWN.replace("nobody", "x" * 64)),
    ],
)
async def test_a_vendor_that_is_not_there_is_refused(
    vendors: Stub, name: str, complaint: str
) -> None:
    error = await refused(vendors.GetProvider(Get(name=name)))

    assert reason(error) == "INVALID_QUERY"
    assert fields(error) == [("name", complaint)]


@pytest.mark.parametrize(
    ("request_", "update"),
    [
        (Update(name="yahoo", enabled=True), ("yahoo", True, None)),
        (Update(name="yahoo", enabled=False), ("yahoo", False, None)),
        (Update(name="yahoo", priority=0), ("yahoo", None, 0)),
        (
            Update(name="alpha_vantage", enabled=True, priority=1_000),
            ("alpha_vantage", True, 1_000),
        ),
    ],
)
async def test_a_vendor_is_changed_and_told_as_it_is_then(
    vendors: Stub,
    directory: FakeDirectory,
    request_: provider_service_pb2.UpdateProviderRequest,
    update: tuple[str, bool | None, int | None],
) -> None:
    answer = await vendors.UpdateProvider(request_)

    assert directory.updates == [update]
    report = directory.vendors[answer.provider.name]
    assert (answer.provider.enabled, answer.provider.priority) == (
        report.enabled,
        report.priority,
    )


@pytest.mark.parametrize(
    ("request_", "complaints"),
    [
        (
            Update(name="nobody", priority=-1),
            [("name", UNKNOWN), ("priority", "-1 is not from 0 to 1000")],
        ),
        (
            Update(name="yahoo", enabled=True, priority=1_001),
            [("priority", "1001 is not from 0 to 1000")],
        ),
        (
            Update(),
            [
                ("name", "names no vendor"),
                ("enabled", "changes nothing: neither enabled nor priority is set"),
                ("priority", "changes nothing: neither enabled nor priority is set"),
            ],
        ),
    ],
)
async def test_a_change_that_is_none_is_refused(
    vendors: Stub,
    directory: FakeDirectory,
    request_: provider_service_pb2.UpdateProviderRequest,
    complaints: list[tuple[str, str]],
) -> None:
    error = await refused(vendors.UpdateProvider(request_))

    assert reason(error) == "INVALID_QUERY"
    assert fields(error) == complaints
    assert directory.updates == []


async def test_a_change_that_the_settings_forbid_is_refused(
    vendors: Stub, directory: FakeDirectory
) -> None:
    directory.bound = True

    error = await refused(vendors.UpdateProvider(Update(name="yahoo", enabled=True)))

    assert fields(error) == [("enabled", "the settings forbid it")]


async def test_a_route_is_explained(vendors: Stub, router: FakeRouter) -> None:
    answer = await vendors.ExplainRoute(
        Explain(request=Fetch(symbol="EUR/USD", limit=3))
    )

    (query,) = router.asked
    assert (query.instrument.symbol, query.limit) == ("EUR/USD", 3)
    assert list(answer.candidates) == [
        provider_pb2.RouteCandidate(
            provider="yahoo",
            derivation="30m from 15m",
            score=0.75,
            factors=FACTORS,
            price_usd=0.01,
            why="the better score",
        ),
        provider_pb2.RouteCandidate(
            provider="alpha_vantage",
            excluded_reason="QUOTA_EXHAUSTED: 25 a day",
            excluded_until=Timestamp(seconds=NOW + 1),
        ),
    ]
    assert answer.as_of == Timestamp(seconds=NOW)


async def test_every_wrong_field_of_a_question_is_named_where_it_stands(
    vendors: Stub, router: FakeRouter
) -> None:
    error = await refused(
        vendors.ExplainRoute(Explain(request=Fetch(limit=-1, interval=99)))
    )

    assert reason(error) == "INVALID_QUERY"
    assert [field for field, _ in fields(error)] == [
        "request.symbol",
        "request.limit",
        "request.interval",
    ]
    assert router.asked == []


async def test_a_question_is_required(vendors: Stub) -> None:
    error = await refused(vendors.ExplainRoute(Explain()))

    assert [field for field, _ in fields(error)] == ["request.symbol"]


async def test_what_the_router_finds_wrong_is_named_where_it_stands_too(
    vendors: Stub, router: FakeRouter
) -> None:
    router.refusal = InvalidQueryError([Violation("start", "is after the end")])

    error = await refused(vendors.ExplainRoute(Explain(request=Fetch(symbol="AAPL"))))

    assert fields(error) == [("request.start", "is after the end")]


async def watched(vendors: Stub, directory: FakeDirectory, **request) -> Messages:
    """Watch, until the first message is there and the watcher waits for more."""
    messages = aiter(vendors.WatchProviders(Watch(**request), timeout=20))
    await anext(messages)
    await directory.waits.get()
    return messages


async def test_the_first_message_has_everything(
    vendors: Stub, directory: FakeDirectory
) -> None:
    await directory.happen(*map(event, range(1, 151)))
    call = vendors.WatchProviders(Watch())

    first = await anext(aiter(call))

    assert [one.name for one in first.providers] == ["alpha_vantage", "yahoo"]
    assert [one.number for one in first.events] == list(range(51, 151))
    assert first.events[0] == provider_pb2.ProviderEvent(
        number=51,
        kind=provider_pb2.ProviderEvent.KIND_BREAKER_OPENED,
        provider="alpha_vantage",
        data_kind="bars:equity",
        at=Timestamp(seconds=NOW),
        detail="HTTP 503",
    )
    assert first.as_of == Timestamp(seconds=NOW)
    call.cancel()


async def test_the_first_message_is_told_even_if_it_is_empty(
    vendors: Stub, directory: FakeDirectory, clock: ManualClock
) -> None:
    directory.vendors.clear()
    messages = await watched(vendors, directory)

    await clock.advance(1)
    assert await directory.waits.get() == 1.0
    await directory.happen(event(1))
    await clock.advance(1)

    # Nobody asked for a vendor that was not there, so nothing is told of it.
    assert await directory.waits.get() == 1.0
    del messages


async def test_only_what_has_changed_is_told_and_not_before_its_time(
    vendors: Stub, directory: FakeDirectory, clock: ManualClock
) -> None:
    messages = await watched(vendors, directory, min_interval=Duration(seconds=5))
    directory.change("yahoo", priority=1)

    await clock.advance(5)
    second = await anext(messages)

    assert [(one.name, one.priority) for one in second.providers] == [("yahoo", 1)]
    assert not second.events
    assert second.as_of == Timestamp(seconds=NOW + 5)


async def test_a_cache_that_was_used_is_told_while_vendors_stay_as_they_are(
    vendors: Stub, directory: FakeDirectory, clock: ManualClock
) -> None:
    messages = await watched(vendors, directory)
    counts = msgspec.structs.replace(directory.cache.counts, hits=8)
    directory.cache = msgspec.structs.replace(directory.cache, counts=counts)

    await clock.advance(1)
    second = await anext(messages)

    assert (second.cache.hits, second.cache.hit_ratio) == (8, 0.8)
    assert not second.providers


async def test_an_event_is_told_at_once_with_what_has_changed(
    vendors: Stub, directory: FakeDirectory
) -> None:
    messages = await watched(vendors, directory)
    directory.change("alpha_vantage", enabled=False)

    await directory.happen(event(1))
    second = await anext(messages)

    assert [one.number for one in second.events] == [1]
    assert [one.enabled for one in second.providers] == [False]
    assert second.as_of == Timestamp(seconds=NOW)


async def test_who_watches_one_vendor_hears_nothing_of_others(
    vendors: Stub, directory: FakeDirectory
) -> None:
    messages = await watched(vendors, directory, providers=["yahoo"])
    directory.change("alpha_vantage", enabled=False)
    await directory.happen(event(1))
    assert await directory.waits.get() == 1.0
    directory.change("yahoo", enabled=True)
    await directory.happen(event(2, "yahoo"))

    second = await anext(messages)

    assert [one.number for one in second.events] == [2]
    assert [one.name for one in second.providers] == ["yahoo"]


async def test_what_is_watched_must_exist(vendors: Stub) -> None:
    call = vendors.WatchProviders(
        Watch(providers=["nobody"], min_interval=Duration(seconds=-1))
    )

    error = await refused(anext(aiter(call)))

    assert fields(error) == [
        ("providers", UNKNOWN),
        ("min_interval", "must not be negative"),
    ]


async def test_a_server_that_stops_sends_watchers_away(
    vendors: Stub, directory: FakeDirectory, door: Door
) -> None:
    messages = await watched(vendors, directory)

    door.close()
    async with asyncio.timeout(5):
        error = await refused(anext(messages))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert reason(error) == "SERVER_STOPPING"


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ListProviders", List()),
        ("GetProvider", Get(name="yahoo")),
        ("UpdateProvider", Update(name="yahoo", enabled=True)),
        ("ExplainRoute", Explain(request=Fetch(symbol="AAPL"))),
    ],
)
async def test_a_server_that_stops_lets_nobody_in(
    vendors: Stub, door: Door, method: str, request_: object
) -> None:
    door.close()

    error = await refused(getattr(vendors, method)(request_))

    assert reason(error) == "SERVER_STOPPING"
