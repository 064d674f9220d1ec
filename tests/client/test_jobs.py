"""Jobs over both clients, and as users hold them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import job_pb2, job_service_pb2

from ingestion_server.client import (
    Client,
    InvalidOptionError,
    InvalidQueryError,
    JobPlan,
    JobStateConflictError,
    JobUnknownError,
    MissingInterval,
    PlanFailure,
    ProviderPlan,
    ServerStoppingError,
    ServerUnreachableError,
    SyncClient,
)
from ingestion_server.client.job_request import job_spec
from ingestion_server.client.job_values import changes_from, job_from, unit_from
from tests.client.fakes import FakeServer
from tests.client.jobs import JOB, failed, job, news, partial, plan, unit
from tests.client.telling import DAY, FIRST, Refusal, stamp

STOPPING = Refusal(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
WRONG = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY")


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
    server.jobs.watches = [[news(), news("COMPLETED")]] * 2
    jobs, same = client.jobs, blocking.jobs

    told = [
        await jobs.create(
            "AAPL", "2020-01-01", name="n", client_key="k", cron="0 1 * *"
        ),
        await jobs.plan(["AAPL"], "2020-01-01"),
        await jobs.get(JOB),
        [each async for each in jobs.units(JOB)],
        [each async for each in jobs.list("running", name_prefix="st")],
        [each async for each in jobs.watch(JOB, min_interval_seconds=0.5)],
        await jobs.pause(JOB),
        await jobs.resume(JOB),
        await jobs.cancel(JOB),
        await jobs.retry_failed(JOB),
        await jobs.delete(JOB),
    ]
    told_without_asyncio = await asyncio.to_thread(
        lambda: [
            same.create("AAPL", "2020-01-01", name="n", client_key="k", cron="0 1 * *"),
            same.plan(["AAPL"], "2020-01-01"),
            same.get(JOB),
            list(same.units(JOB)),
            list(same.list("running", name_prefix="st")),
            list(same.watch(JOB, min_interval_seconds=0.5)),
            same.pause(JOB),
            same.resume(JOB),
            same.cancel(JOB),
            same.retry_failed(JOB),
            same.delete(JOB),
        ]
    )

    assert told == told_without_asyncio
    assert len(server.jobs.requests) == 22
    assert server.jobs.requests[:11] == server.jobs.requests[11:]


async def test_a_job_is_asked_for_with_every_option(
    client: Client, server: FakeServer
) -> None:
    await client.jobs.create(
        ["AAPL", "MSFT"],
        "2010-01-04",
        name="stocks",
        client_key="mine",
        interval="5m",
        adjustment="raw",
        session="extended",
        asset_class="equity",
        exchange="XLON",
        providers=["yahoo", "finnhub"],
        max_cost_usd=0.5,
        after_close="XNYS",
        after_close_delay_seconds=900,
    )

    assert server.jobs.requests == [
        json_format.ParseDict(
            {
                "client_key": "mine",
                "name": "stocks",
                "spec": {
                    "symbols": ["AAPL", "MSFT"],
                    "start": "2010-01-04T00:00:00Z",
                    "interval": "INTERVAL_5_MINUTES",
                    "adjustment": "ADJUSTMENT_RAW",
                    "session": "SESSION_EXTENDED",
                    "asset_class": "ASSET_CLASS_EQUITY",
                    "exchange": "XLON",
                    "source_policy": {
                        "providers": ["yahoo", "finnhub"],
                        "mode": "MODE_ORDERED",
                        "max_cost_usd": 0.5,
                    },
                    "schedule": {"after_close": {"exchange": "XNYS", "delay": "900s"}},
                },
            },
            job_service_pb2.CreateJobRequest(),
        )
    ]


def test_a_schedule_by_cron_has_a_zone() -> None:
    spec = job_spec("AAPL", "2024-01-01", cron="30 18 * * 1", time_zone="Asia/Tokyo")

    assert spec.schedule == job_pb2.Schedule(cron="30 18 * * 1", time_zone="Asia/Tokyo")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"interval": "2m"}, "interval '2m' is none of"),
        ({"end": "tomorrow"}, "end 'tomorrow'"),
        ({"cron": "0 1 * * *", "after_close": "XNYS"}, "exclude each other"),
        ({"time_zone": "UTC"}, "time_zone is only for cron"),
        ({"after_close_delay_seconds": 5}, "only for after_close"),
        ({"after_close": "XNYS", "after_close_delay_seconds": 1e300}, "no length"),
    ],
)
async def test_options_that_do_not_exist_are_told_without_asking_the_server(
    client: Client, server: FakeServer, options: dict, told: str
) -> None:
    with pytest.raises(InvalidOptionError, match=told):
        await client.jobs.create("AAPL", "2024-01-01", **options)

    assert server.jobs.requests == []


async def test_states_and_sizes_that_do_not_exist_are_told(client: Client) -> None:
    with pytest.raises(InvalidOptionError, match="'done' is none of: pending, running"):
        await anext(client.jobs.units(JOB, "done"))
    with pytest.raises(InvalidOptionError, match="paused_quota"):
        await anext(client.jobs.list("done"))
    with pytest.raises(InvalidOptionError, match="page_size 0"):
        await anext(client.jobs.list(page_size=0))


async def test_a_job_that_was_created_comes_with_its_plan(client: Client) -> None:
    told = await client.jobs.create("AAPL", "2024-01-01")

    assert told.created
    assert told.job.job_id == JOB
    assert told.plan is not None
    assert (told.plan.units, told.plan.units_landed, told.plan.calls) == (4, 2, 7)
    assert told.plan.failures == (
        PlanFailure("A B", "INVALID_QUERY: no symbol has it"),
    )
    assert told.plan.providers[1] == ProviderPlan("alpha_vantage", 1, 4, 0.5, None)


async def test_a_job_that_was_there_before_has_no_plan(
    client: Client, server: FakeServer
) -> None:
    server.jobs.created = job_service_pb2.CreateJobResponse(job=job())

    told = await client.jobs.create("AAPL", "2024-01-01", client_key="k")

    assert (told.created, told.plan) == (False, None)


async def test_a_dry_run_creates_nothing(client: Client, server: FakeServer) -> None:
    told = await client.jobs.plan("AAPL", "2024-01-01")

    assert isinstance(told, JobPlan)
    assert [each.dry_run for each in server.jobs.requests] == [True]
    assert json.loads(told.to_json())["plan"]["calls"] == "7"


def test_a_job_is_told_with_everything() -> None:
    told = job_from(
        job(
            "PAUSED_QUOTA",
            detail="no quota",
            resumes_at=stamp(FIRST + DAY),
            spec=job_spec(
                "AAPL", FIRST, end=FIRST + DAY, providers="yahoo", after_close="XNYS"
            ),
        )
    )

    assert (told.state, told.detail, told.paused, told.ended) == (
        "PAUSED_QUOTA",
        "no quota",
        True,
        False,
    )
    assert (told.resumes_at, told.next_run_at, told.run_ended_at) == (
        FIRST + DAY,
        None,
        None,
    )
    assert (told.spec.start, told.spec.end) == (FIRST, FIRST + DAY)
    assert (told.spec.interval, told.spec.mode, told.spec.providers) == (
        "1d",
        "pinned",
        ("yahoo",),
    )
    assert (told.spec.scheduled, told.spec.after_close_delay) == (True, timedelta(0))
    assert (told.progress.ended, told.progress.pending) == (2, 2)
    assert json.loads(told.to_json())["progress"]["partial"] == "0"


@pytest.mark.parametrize(
    ("state", "ended"),
    [("COMPLETED", True), ("INCOMPLETE", True), ("CANCELLED", True), ("PAUSED", False)],
)
def test_a_job_that_has_ended_says_so(state: str, ended: bool) -> None:  # noqa: FBT001
    assert job_from(job(state)).ended is ended


def test_a_unit_names_what_it_lacks() -> None:
    end = FIRST + 100 * DAY

    assert unit_from(unit(1)).lacking() == ()
    assert unit_from(partial(1)).lacking() == (
        MissingInterval(FIRST, FIRST + DAY, "yahoo has no row"),
    )
    assert unit_from(failed(1)).lacking() == (
        MissingInterval(FIRST, end, "ALL_PROVIDERS_FAILED: yahoo: 503"),
    )
    assert unit_from(unit(1, state=job_pb2.UNIT_STATE_CANCELLED)).lacking() == (
        MissingInterval(FIRST, end, "CANCELLED"),
    )


async def test_units_and_jobs_are_told_page_by_page(
    client: Client, blocking: SyncClient, server: FakeServer
) -> None:
    server.jobs.units = [unit(1), *(failed(n) for n in range(2, 7))]
    server.jobs.listed = [job(job_id=f"j{n}") for n in range(5)]

    told = [each.number async for each in client.jobs.units(JOB, page_size=2)]
    landed = [each.number async for each in client.jobs.units(JOB, "landed")]
    jobs = [each.job_id async for each in client.jobs.list(page_size=2)]
    same = [each.job_id for each in blocking.jobs.list(page_size=2)]
    again = [each.number for each in blocking.jobs.units(JOB, page_size=2)]

    assert told == again == [2, 3, 4, 5, 6]
    assert landed == [1]
    assert jobs == same == ["j0", "j1", "j2", "j3", "j4"]


async def test_a_watch_ends_with_the_job(client: Client, server: FakeServer) -> None:
    server.jobs.watches = [[news(), news("COMPLETED", unit(1))]]

    told = [each async for each in client.jobs.watch(JOB)]

    assert [each.job.state for each in told] == ["RUNNING", "COMPLETED"]
    assert [each.symbol for each in told[1].units] == ["AAPL"]
    assert "\n" not in told[0].to_json(indent=None)


async def test_a_watch_says_that_the_server_stops(
    client: Client, blocking: SyncClient, server: FakeServer
) -> None:
    server.jobs.watches = [[news(), STOPPING], [news(), STOPPING]]

    with pytest.raises(ServerStoppingError):
        [each async for each in client.jobs.watch(JOB)]
    with pytest.raises(ServerStoppingError):
        list(blocking.jobs.watch(JOB))


async def test_leaving_a_watch_ends_the_call(
    client: Client, server: FakeServer
) -> None:
    server.jobs.watches = [itertools.repeat(news())]

    async with contextlib.aclosing(client.jobs.watch(JOB)) as changes:
        await anext(changes)
    ended = await asyncio.to_thread(server.jobs.ended.wait, 10)

    assert ended


@pytest.mark.parametrize(
    ("reason", "code", "kind"),
    [
        ("JOB_UNKNOWN", grpc.StatusCode.NOT_FOUND, JobUnknownError),
        (
            "JOB_STATE_CONFLICT",
            grpc.StatusCode.FAILED_PRECONDITION,
            JobStateConflictError,
        ),
        ("INVALID_QUERY", grpc.StatusCode.INVALID_ARGUMENT, InvalidQueryError),
    ],
)
async def test_failures_are_typed(
    client: Client,
    blocking: SyncClient,
    server: FakeServer,
    reason: str,
    code: grpc.StatusCode,
    kind: type[Exception],
) -> None:
    server.jobs.refusal = Refusal(code, reason)
    jobs, same = client.jobs, blocking.jobs

    for call in (jobs.get, jobs.pause, jobs.resume, jobs.cancel, jobs.delete):
        with pytest.raises(kind):
            await call(JOB)
    for blocked in (same.get, same.pause, same.cancel, same.retry_failed, same.delete):
        with pytest.raises(kind):
            blocked(JOB)
    with pytest.raises(kind):
        await jobs.create("AAPL", "2024-01-01")
    with pytest.raises(kind):
        await anext(jobs.watch(JOB))
    with pytest.raises(kind):
        await anext(jobs.results(JOB))
    with pytest.raises(kind):
        next(same.results(JOB))


async def test_nobody_at_the_target_is_told_at_once(nowhere: str) -> None:
    async with Client(nowhere) as client:
        with pytest.raises(ServerUnreachableError):
            await client.jobs.get(JOB)
        with pytest.raises(ServerUnreachableError):
            await anext(client.jobs.results(JOB))
    with SyncClient(nowhere) as blocking, pytest.raises(ServerUnreachableError):
        next(blocking.jobs.results(JOB))


def test_what_is_told_cannot_be_changed() -> None:
    told = changes_from(news())

    with pytest.raises(dataclasses.FrozenInstanceError):
        told.job.state = "COMPLETED"  # type: ignore[misc]


def test_the_plan_on_the_wire_is_kept(server: FakeServer) -> None:
    with SyncClient(server.target) as blocking:
        told = blocking.jobs.create("AAPL", "2024-01-01")

    read = json_format.Parse(told.to_json(), job_service_pb2.CreateJobResponse())
    assert read.plan == plan()
