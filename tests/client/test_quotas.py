"""Quotas over both clients, and as users hold them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import math
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, timedelta

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    quota_pb2,
    quota_service_pb2,
)

from ingestion_server.client import (
    Client,
    InvalidOptionError,
    InvalidQueryError,
    PlanForecast,
    PlannedCalls,
    QuotaAlert,
    QuotaProvider,
    QuotaSpend,
    QuotaWindow,
    ServerStoppingError,
    ServerUnreachableError,
    SyncClient,
    WindowForecast,
)
from ingestion_server.client.quota_request import forecast_request, watch_request
from ingestion_server.client.quotas import changes_from, quotas_from
from tests.client.fakes import (
    DAY,
    FIRST,
    FakeServer,
    Refusal,
    changes,
    forecast,
    quota_alert,
    quota_provider,
    quota_window,
    quotas,
    stamp,
)

STOPPING = Refusal(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
WRONG = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY")
DAY_WINDOW = QuotaWindow(
    provider="alpha_vantage",
    plan="free",
    name="day",
    scope="KEY",
    kind="FIXED",
    counts="CALLS",
    source="HEADER",
    limit=25,
    own_limit=None,
    used=20,
    reserved=2,
    remaining=3,
    kept_for_interactive=3,
    length=DAY,
    reset_zone="America/New_York",
    resets_at=FIRST + timedelta(hours=9, minutes=30),
    free_at=None,
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
    server.quotas.streams = [[changes()], [changes()]]

    told = (
        await client.quotas("yahoo"),
        await client.forecast_quota(providers=["yahoo"]),
        [each async for each in client.watch_quotas(["yahoo"])],
    )
    told_without_asyncio = await asyncio.to_thread(
        lambda: (
            blocking.quotas("yahoo"),
            blocking.forecast_quota(providers=["yahoo"]),
            list(blocking.watch_quotas(["yahoo"])),
        )
    )

    assert told == told_without_asyncio
    assert server.quotas.requests[:3] == server.quotas.requests[3:]
    assert [list(each.providers) for each in server.quotas.requests] == [["yahoo"]] * 6


async def test_a_window_is_told_with_everything(client: Client) -> None:
    told = await client.quotas()

    day, pace = told.windows
    assert day == DAY_WINDOW
    assert day.tracked
    assert told.as_of == FIRST
    assert told.as_of.tzinfo is UTC
    assert (pace.limit, pace.own_limit, pace.remaining) == (None, 2, None)
    assert (pace.resets_at, pace.free_at) == (None, FIRST)
    assert not pace.tracked
    # A word that is newer than this client.
    assert pace.kind == "99"


async def test_a_vendor_is_told_with_what_it_costs(client: Client) -> None:
    told = await client.quotas()

    assert told.providers[0] == QuotaProvider(
        provider="alpha_vantage",
        plan="free",
        closed_until=FIRST + timedelta(seconds=28),
        closed_reason="429",
        waiting_interactive=3,
        waiting_batch=12,
        spend=QuotaSpend(
            month="2025-01",
            units=1_234,
            allowance_units=1_000,
            price_per_unit_usd=0.002,
            flat_usd=29,
            metered_usd=0.468,
            total_usd=29.468,
            projected_usd=31.2,
        ),
    )
    assert told.providers[1].closed_until is None


async def test_a_forecast_is_told_with_everything(client: Client) -> None:
    told = await client.forecast_quota()

    assert told.windows == (
        WindowForecast(
            window=DAY_WINDOW,
            rate_per_second=0.2,
            by_time_of_day=True,
            expected_until_reset=7,
            exhausts_at=FIRST + timedelta(minutes=40),
        ),
    )
    assert told.planned == (
        PlanForecast(
            provider="alpha_vantage",
            fits=3,
            will_not_finish=97,
            finishes_at=FIRST + 4 * DAY,
            held_by="day",
            cost_usd=0.5,
        ),
    )
    assert told.as_of == FIRST
    assert json_format.Parse(
        told.to_json(), quota_service_pb2.ForecastQuotaResponse()
    ) == (forecast())


def test_a_plan_reaches_the_wire() -> None:
    request = forecast_request(
        [
            PlannedCalls(provider="yahoo", calls=5),
            PlannedCalls(
                provider="alpha_vantage",
                calls=100,
                endpoint="TIME_SERIES_DAILY",
                priority="interactive",
                finish_by="2025-01-06T00:00:00Z",
            ),
        ],
        ["yahoo", "alpha_vantage"],
    )

    assert request == quota_service_pb2.ForecastQuotaRequest(
        providers=["yahoo", "alpha_vantage"],
        planned=[
            quota_service_pb2.PlannedCalls(
                provider="yahoo",
                calls=5,
                priority=ingestion_service_pb2.PRIORITY_BATCH,
            ),
            quota_service_pb2.PlannedCalls(
                provider="alpha_vantage",
                calls=100,
                endpoint="TIME_SERIES_DAILY",
                priority=ingestion_service_pb2.PRIORITY_INTERACTIVE,
                finish_by=stamp(FIRST),
            ),
        ],
    )


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        ({"calls": 2**31}, "calls 2147483648 is no number from 1 to 100,000"),
        ({"calls": 1, "priority": "high"}, "priority 'high' is none of"),
        ({"calls": 1, "finish_by": "soon"}, "finish_by 'soon' is no ISO date"),
    ],
)
def test_a_plan_that_is_none_is_refused(
    plan: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InvalidOptionError, match=complaint):
        forecast_request([PlannedCalls(provider="yahoo", **plan)], ())


def test_the_time_between_changes_reaches_the_wire() -> None:
    request = watch_request((), 0.25)

    assert request.min_interval.ToTimedelta() == timedelta(seconds=0.25)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 1e20])
def test_a_length_of_time_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidOptionError, match="is no length of time"):
        watch_request((), seconds)


async def test_changes_are_told_as_they_come(
    client: Client, server: FakeServer
) -> None:
    server.quotas.streams = [[changes(alerts=[quota_alert()]), STOPPING]]
    told = client.watch_quotas(min_interval_seconds=2)

    first = await anext(told)

    assert first.windows == (dataclasses.replace(DAY_WINDOW, used=21),)
    assert first.as_of == FIRST + timedelta(seconds=1)
    assert first.alerts == (
        QuotaAlert(
            number=1,
            kind="USED_80_PERCENT",
            provider="alpha_vantage",
            window="day",
            used=20,
            limit=25,
            at=FIRST,
            detail="careful",
        ),
    )
    with pytest.raises(ServerStoppingError):
        await anext(told)


def test_changes_without_asyncio_end_with_the_server_s_reason(
    blocking: SyncClient, server: FakeServer
) -> None:
    server.quotas.streams = [[changes(), STOPPING]]
    told = blocking.watch_quotas()

    first = next(told)

    assert not first.alerts
    with pytest.raises(ServerStoppingError):
        next(told)


async def test_who_stops_watching_ends_the_call(
    client: Client, server: FakeServer
) -> None:
    server.quotas.streams = [itertools.repeat(changes())]

    async with contextlib.aclosing(client.watch_quotas()) as told:
        await anext(told)

    assert await asyncio.to_thread(server.quotas.ended.wait, 5)


async def test_wrong_questions_are_refused_with_the_usual_errors(
    client: Client, server: FakeServer
) -> None:
    server.quotas.listed = server.quotas.foreseen = WRONG

    with pytest.raises(InvalidQueryError):
        await client.quotas("nobody")
    with pytest.raises(InvalidQueryError):
        await client.forecast_quota(providers="nobody")


def test_wrong_questions_are_refused_without_asyncio(
    blocking: SyncClient, server: FakeServer
) -> None:
    server.quotas.listed = server.quotas.foreseen = WRONG

    with pytest.raises(InvalidQueryError):
        blocking.quotas("nobody")
    with pytest.raises(InvalidQueryError):
        blocking.forecast_quota(providers="nobody")


async def test_nobody_at_the_target(nowhere: str) -> None:
    async with Client(nowhere) as client:
        with pytest.raises(ServerUnreachableError, match=nowhere):
            await client.quotas()


async def test_a_passing_failure_is_retried(client: Client, server: FakeServer) -> None:
    server.quotas.listed = STOPPING

    with pytest.raises(ServerStoppingError):
        await client.quotas()

    assert len(server.quotas.requests) == 3


def test_changes_update_what_was_known() -> None:
    known = quotas_from(quotas())
    news = changes_from(
        changes(
            windows=[quota_window(used=22), quota_window("polygon")],
            providers=[
                quota_pb2.QuotaProvider(provider="yahoo", waiting_batch=1),
                quota_provider(provider="polygon"),
            ],
        )
    )

    updated = known.updated(news)

    assert [(one.provider, one.used) for one in updated.windows] == [
        ("alpha_vantage", 22),
        ("yahoo", 1),
        ("polygon", 20),
    ]
    assert [(one.provider, one.waiting_batch) for one in updated.providers] == [
        ("alpha_vantage", 12),
        ("yahoo", 1),
        ("polygon", 12),
    ]
    assert updated.as_of == news.as_of
    assert known == quotas_from(quotas())


def test_json_is_that_of_the_contract_and_says_what_is_zero() -> None:
    told = quotas_from(quotas())
    news = changes_from(changes(used=0))

    read = json_format.Parse(told.to_json(), quota_service_pb2.ListQuotasResponse())

    assert read == quotas()
    assert json.loads(news.to_json())["windows"][0]["used"] == "0"
    assert "\n" not in news.to_json(indent=None)
    assert "limit" not in json.loads(told.to_json())["windows"][1]
