"""Vendors over both clients, and as users hold them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import cache_pb2, provider_pb2, provider_service_pb2

from ingestion_server.client import (
    Breaker,
    CacheUse,
    Client,
    InvalidOptionError,
    InvalidQueryError,
    Provider,
    ProviderCapability,
    ProviderEvent,
    ProviderHealth,
    RouteCandidate,
    ScoreFactor,
    ServerStoppingError,
    SyncClient,
)
from ingestion_server.client.provider_request import (
    explain_request,
    update_request,
    watch_providers_request,
)
from ingestion_server.client.providers import (
    provider_changes_from,
    provider_from,
    providers_from,
)
from ingestion_server.client.request import fetch_request
from tests.client.fakes import FakeServer
from tests.client.telling import DAY, FIRST, Refusal
from tests.client.vendors import (
    breaker,
    cache,
    event,
    health,
    provider,
    provider_changes,
    providers,
    retired,
    route,
)

STOPPING = Refusal(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
WRONG = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY")
FACTORS = (
    ScoreFactor("success", 0.9, 0.5, "9 of 10 calls"),
    ScoreFactor("latency", 0.6, 0.5, "half within 0.2 s"),
)


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    """Connect to the server."""
    async with Client(server.target) as connected:
        yield connected


@pytest.fixture
def blocking(server: FakeServer) -> Iterator[SyncClient]:
    """Connect to the server without asyncio."""
    with SyncClient(server.target) as connected:
        yield connected


async def test_both_clients_tell_the_same(
    client: Client, blocking: SyncClient, server: FakeServer
) -> None:
    server.providers.streams = [[provider_changes()], [provider_changes()]]

    told = (
        await client.providers(),
        await client.provider("alpha_vantage"),
        await client.update_provider("alpha_vantage", enabled=True, priority=5),
        await client.explain_route("AAPL", interval="1h"),
        [each async for each in client.watch_providers("yahoo")],
    )
    told_without_asyncio = await asyncio.to_thread(
        lambda: (
            blocking.providers(),
            blocking.provider("alpha_vantage"),
            blocking.update_provider("alpha_vantage", enabled=True, priority=5),
            blocking.explain_route("AAPL", interval="1h"),
            list(blocking.watch_providers("yahoo")),
        )
    )

    assert told == told_without_asyncio
    assert server.providers.requests[:5] == server.providers.requests[5:]
    assert server.providers.requests[1:] == [
        provider_service_pb2.GetProviderRequest(name="alpha_vantage"),
        update_request("alpha_vantage", enabled=True, priority=5),
        explain_request("AAPL", {"interval": "1h"}),
        watch_providers_request(["yahoo"], 1.0),
        *server.providers.requests[5:],
    ]


async def test_a_vendor_is_told_with_everything(client: Client) -> None:
    assert await client.provider("alpha_vantage") == Provider(
        name="alpha_vantage",
        stage="ACTIVE",
        stage_since="",
        enabled=True,
        priority=10,
        priority_configured=False,
        unusable_reason="",
        capabilities=(
            ProviderCapability(
                asset_classes=("equity",),
                intervals=("1m", "1d"),
                adjustments=("raw",),
                extended_hours=True,
                reach=30 * DAY,
                earliest=FIRST - 9_000 * DAY,
            ),
        ),
        feed_delay=timedelta(minutes=15),
        plan="premium",
        monthly_usd=49.99,
        per_unit_usd=0.002,
        health=(
            ProviderHealth(
                kind="bars:equity",
                samples=10,
                judged=True,
                score=0.75,
                factors=FACTORS,
                latency_p50=timedelta(milliseconds=200),
                latency_p95=timedelta(seconds=1.5),
                last_success_at=FIRST - timedelta(seconds=9),
                last_failure_at=FIRST - timedelta(seconds=90),
                last_failure="timed out",
                breaker=Breaker("CLOSED", None, "", None, 0, timedelta()),
            ),
        ),
    )


async def test_what_is_unknown_is_none(client: Client) -> None:
    told = (await client.providers()).providers[1]

    assert (told.stage, told.stage_since) == ("RETIRED", "2024-08-31")
    assert told.feed_delay is None
    assert told.capabilities[0].reach is None
    assert told.capabilities[0].earliest is None
    untried = provider_from(
        provider(health=[provider_pb2.ProviderHealth(kind="bars:fx")])
    ).health[0]
    assert (untried.latency_p50, untried.latency_p95) == (None, None)
    assert (untried.last_success_at, untried.last_failure_at) == (None, None)


def test_a_breaker_is_told_with_everything() -> None:
    (told,) = provider_from(provider(health=[health(breaker=breaker())])).health

    assert told.breaker == Breaker(
        state="OPEN",
        opened_at=FIRST - timedelta(seconds=1),
        reason="HTTP 503",
        retry_at=FIRST + timedelta(seconds=29),
        consecutive_failures=5,
        rest=timedelta(seconds=30),
    )


async def test_a_route_is_told_with_everything(client: Client) -> None:
    told = await client.explain_route("AAPL")

    assert told.as_of == FIRST
    assert told.candidates == (
        RouteCandidate(
            provider="yahoo",
            excluded_reason="",
            excluded_until=None,
            derivation="30m from 15m",
            score=0.75,
            factors=FACTORS,
            price_usd=0.01,
            why="the better score",
        ),
        RouteCandidate(
            provider="alpha_vantage",
            excluded_reason="QUOTA_EXHAUSTED: 25 a day",
            excluded_until=FIRST + timedelta(hours=5),
            derivation="",
            score=0.5,
            factors=(),
            price_usd=0,
            why="",
        ),
        RouteCandidate(
            provider="iex",
            excluded_reason="CAPABILITY_MISSING: it has ended",
            excluded_until=None,
            derivation="",
            score=None,
            factors=(),
            price_usd=0,
            why="",
        ),
    )
    assert (
        json_format.Parse(told.to_json(), provider_service_pb2.ExplainRouteResponse())
        == route()
    )


def test_a_question_is_that_of_fetch() -> None:
    query = {"interval": "1h", "providers": ["yahoo"], "limit": 5}

    assert explain_request("AAPL", query).request == fetch_request("AAPL", query)


@pytest.mark.parametrize(
    ("enabled", "priority"), [(None, None), (False, None), (None, 0), (True, 5)]
)
def test_only_what_is_to_change_reaches_the_wire(
    *, enabled: bool | None, priority: int | None
) -> None:
    request = update_request("yahoo", enabled=enabled, priority=priority)

    assert request.HasField("enabled") is (enabled is not None)
    assert request.HasField("priority") is (priority is not None)


def test_a_priority_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="priority 2147483648 is no number"):
        update_request("yahoo", enabled=None, priority=2**31)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 1e20])
def test_a_length_of_time_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidOptionError, match="is no length of time"):
        watch_providers_request((), seconds)


async def test_changes_are_told_as_they_come(
    client: Client, server: FakeServer
) -> None:
    server.providers.streams = [[provider_changes(events=[event()]), STOPPING]]
    told = client.watch_providers(min_interval_seconds=2)

    first = await anext(told)

    assert [each.priority for each in first.providers] == [20]
    assert first.as_of == FIRST + timedelta(seconds=1)
    assert first.events == (
        ProviderEvent(
            number=1,
            kind="BREAKER_OPENED",
            provider="alpha_vantage",
            data_kind="bars:equity",
            at=FIRST,
            detail="HTTP 503",
        ),
    )
    with pytest.raises(ServerStoppingError):
        await anext(told)


def test_changes_without_asyncio_end_with_the_server_s_reason(
    blocking: SyncClient, server: FakeServer
) -> None:
    server.providers.streams = [[provider_changes(), STOPPING]]
    told = blocking.watch_providers()

    assert not next(told).events
    with pytest.raises(ServerStoppingError):
        next(told)


async def test_who_stops_watching_ends_the_call(
    client: Client, server: FakeServer
) -> None:
    server.providers.streams = [itertools.repeat(provider_changes())]

    async with contextlib.aclosing(client.watch_providers()) as told:
        await anext(told)

    # Another call has room, and the stream is over.
    assert await client.providers()


async def test_wrong_questions_are_refused_with_the_usual_errors(
    client: Client, server: FakeServer
) -> None:
    server.providers.refusal = WRONG

    for call in (
        client.providers(),
        client.provider("x"),
        client.update_provider("x", enabled=True),
        client.explain_route("AAPL"),
    ):
        with pytest.raises(InvalidQueryError):
            await call


def test_wrong_questions_are_refused_without_asyncio(
    blocking: SyncClient, server: FakeServer
) -> None:
    server.providers.refusal = WRONG

    for call in (
        blocking.providers,
        lambda: blocking.provider("x"),
        lambda: blocking.update_provider("x", enabled=True),
        lambda: blocking.explain_route("AAPL"),
    ):
        with pytest.raises(InvalidQueryError):
            call()


async def test_passing_failures_are_retried(client: Client, server: FakeServer) -> None:
    server.providers.refusal = STOPPING

    for call in (
        client.providers(),
        client.provider("x"),
        client.update_provider("x", enabled=True),
        client.explain_route("AAPL"),
    ):
        server.providers.requests.clear()
        with pytest.raises(ServerStoppingError):
            await call
        assert len(server.providers.requests) == 3


def test_changes_update_what_was_known() -> None:
    known = providers_from(providers())
    news = provider_changes_from(
        provider_changes(providers=[provider("iex", priority=7), provider("polygon")])
    )

    updated = known.updated(news)

    assert [(one.name, one.priority) for one in updated.providers] == [
        ("alpha_vantage", 10),
        ("iex", 7),
        ("polygon", 10),
    ]
    assert updated.as_of == news.as_of
    assert known == providers_from(providers())


def test_what_is_kept_of_answers_is_told_with_everything() -> None:
    told = cache(file_problem="the disk is full")

    (listed, changed) = (
        providers_from(provider_service_pb2.ListProvidersResponse(cache=told)),
        provider_changes_from(provider_service_pb2.WatchProvidersResponse(cache=told)),
    )

    assert listed.cache == changed.cache
    assert listed.cache == CacheUse(
        enabled=True,
        bytes=12_900_000,
        limit_bytes=67_108_864,
        file_bytes=4_096,
        limit_file_bytes=268_435_456,
        series=42,
        bars=4_200,
        hits=1_500,
        partial_hits=200,
        misses=300,
        hit_ratio=0.75,
        encoded_hits=1_000,
        shared=5,
        negative_hits=6,
        stale=7,
        evictions=8,
        rebased=9,
        revised=10,
        oldest_forming=timedelta(seconds=1.5),
        file_problem="the disk is full",
    )


def test_a_cache_that_was_never_asked_has_no_ratio_and_no_age() -> None:
    fresh = cache_pb2.CacheUse(enabled=True)

    told = providers_from(provider_service_pb2.ListProvidersResponse(cache=fresh)).cache

    assert told is not None
    assert (told.hit_ratio, told.oldest_forming) == (None, None)


def test_a_server_that_tells_of_no_cache_is_none_that_has_it_switched_off() -> None:
    silent = providers_from(provider_service_pb2.ListProvidersResponse())
    off = providers_from(
        provider_service_pb2.ListProvidersResponse(cache=cache_pb2.CacheUse())
    )

    assert silent.cache is None
    assert silent.updated(provider_changes_from(provider_changes())).cache is None
    assert off.cache is not None
    assert not off.cache.enabled


def test_the_cache_is_as_it_was_told_last() -> None:
    known = providers_from(providers())

    silent = known.updated(provider_changes_from(provider_changes()))
    news = provider_changes_from(provider_changes(cache=cache(hits=1_501)))

    assert silent.cache == known.cache
    assert silent.updated(news).cache == news.cache
    assert '"hits": "1501"' in silent.updated(news).to_json()


def test_some_of_the_vendors_can_be_kept() -> None:
    known = providers_from(providers())

    kept = known.only(["iex"])

    assert kept == providers_from(
        provider_service_pb2.ListProvidersResponse(
            providers=[retired()], as_of=providers().as_of, cache=cache()
        )
    )
    assert "alpha_vantage" not in kept.to_json()
    assert known.only(()) == known


def test_vendors_that_are_not_there_cannot_be_kept() -> None:
    known = providers_from(providers())
    nobody = providers_from(provider_service_pb2.ListProvidersResponse())

    with pytest.raises(InvalidOptionError, match="there are: alpha_vantage, iex"):
        known.only(["iex", "x"])
    with pytest.raises(InvalidOptionError, match="'x' is no vendor; there are: none"):
        nobody.only(["x"])


def test_json_is_that_of_the_contract_and_says_what_is_zero() -> None:
    told = providers_from(providers())
    news = provider_changes_from(provider_changes(priority=0))

    read = json_format.Parse(
        told.to_json(), provider_service_pb2.ListProvidersResponse()
    )

    assert read == providers()
    assert json.loads(news.to_json())["providers"][0]["priority"] == 0
    assert "\n" not in news.to_json(indent=None)
