"""Results are told at least once, whatever breaks, to both clients alike."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from marketdata.ingestion.v1 import job_service_pb2

from ingestion_server.client import (
    Client,
    Completeness,
    InternalError,
    JobUnknownError,
    StateUnavailableError,
    SyncClient,
    job_reading,
)
from ingestion_server.client.errors import ServerStoppingError
from ingestion_server.client.job_reading import Reading
from tests.client.fakes import FakeServer
from tests.client.jobs import JOB, partial, result, unknown
from tests.client.telling import DAY, FIRST, Refusal

GONE = Refusal(grpc.StatusCode.UNAVAILABLE)
STOPPING = Refusal(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
DISK = Refusal(grpc.StatusCode.UNAVAILABLE, "STATE_UNAVAILABLE", "bars are corrupt")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once, and do not acknowledge just because time went by."""
    monkeypatch.setattr(job_reading, "_FIRST_PAUSE_SECONDS", 0)
    monkeypatch.setattr(job_reading, "_ACKNOWLEDGED_SECONDS", 3600)


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


@pytest.fixture(params=["asyncio", "threads"])
def read(request: pytest.FixtureRequest, client: Client, blocking: SyncClient):
    """Read all results of the job with either client."""

    async def with_asyncio(**options):
        return [each async for each in client.jobs.results(JOB, **options)]

    async def with_threads(**options):
        return await asyncio.to_thread(
            lambda: list(blocking.jobs.results(JOB, **options))
        )

    return with_asyncio if request.param == "asyncio" else with_threads


def places(requests: list) -> list[tuple[str, str]]:
    """Show what requests acknowledge, and where they begin."""
    return [(each.acknowledged_cursor, each.after_cursor) for each in requests]


async def test_a_result_holds_bars_and_says_who_served_them(
    read, server: FakeServer
) -> None:
    server.jobs.readings = [[result(1), result(2, "TSLA", of=partial(2))]]

    first, second = await read()

    assert (first.cursor, first.unit.symbol, first.more_of_unit) == (
        "c1",
        "AAPL",
        False,
    )
    bars = first.bars
    assert (bars.symbol, bars.interval, bars.adjustment) == ("AAPL", "1d", "split")
    assert bars.close.tolist() == [101.5, 102.5, 103.5]
    assert bars.completeness is Completeness.COMPLETE
    assert bars.provider_names() == ["yahoo"] * 3
    assert bars.sources[0].derived
    assert len(bars.to_pandas()) == len(bars.to_arrow()) == 3
    assert second.bars.completeness is Completeness.PARTIAL
    assert [gap.reason for gap in second.bars.missing] == ["yahoo has no row"]


async def test_json_is_that_of_the_contract_with_rows(read, server: FakeServer) -> None:
    server.jobs.readings = [[result(1)]]

    (only,) = await read()

    told = json.loads(only.to_json(indent=None))
    assert told["cursor"] == "c1"
    assert [row["close"] for row in told["series"]["bars"]] == [101.5, 102.5, 103.5]
    assert "columns" not in told["series"]


async def test_what_was_read_is_acknowledged_at_the_end(
    read, server: FakeServer
) -> None:
    server.jobs.readings = [[result(1), result(2)], []]

    told = await read(consumer="warehouse", follow=True)

    assert [each.cursor for each in told] == ["c1", "c2"]
    assert places(server.jobs.readers) == [("", ""), ("c2", "c2")]
    assert {each.consumer for each in server.jobs.readers} == {"warehouse"}
    assert all(each.follow for each in server.jobs.readers)


async def test_what_lands_while_the_end_is_acknowledged_is_told_too(
    read, server: FakeServer
) -> None:
    server.jobs.readings = [[result(1)], [result(2)], []]

    told = await read()

    assert [each.cursor for each in told] == ["c1", "c2"]
    assert places(server.jobs.readers) == [("", ""), ("c1", "c1"), ("c2", "c2")]


async def test_who_does_not_acknowledge_is_told_all_and_leaves_no_trace(
    read, server: FakeServer
) -> None:
    server.jobs.readings = [[result(1), GONE], [result(2)]]

    told = await read(acknowledge=False, after="c0")

    assert [each.cursor for each in told] == ["c1", "c2"]
    assert places(server.jobs.readers) == [("", "c0"), ("", "c1")]


async def test_a_job_without_results_has_nothing_to_acknowledge(
    read, server: FakeServer
) -> None:
    assert await read() == []
    assert places(server.jobs.readers) == [("", "")]


@pytest.mark.parametrize(
    "ending",
    [GONE, STOPPING, Refusal(grpc.StatusCode.CANCELLED)],
    ids=lambda each: each.reason or each.code.name,
)
async def test_a_reader_outlasts_restarts_of_the_server(
    read, server: FakeServer, ending: Refusal
) -> None:
    server.jobs.readings = [
        [ending],
        [result(1), result(2), ending],
        [ending],
        [result(3)],
        [],
    ]

    told = await read()

    assert [each.cursor for each in told] == ["c1", "c2", "c3"]
    assert places(server.jobs.readers) == [
        ("", ""),
        ("", ""),
        # All that was asked beyond is safe.
        ("c2", "c2"),
        ("c2", "c2"),
        ("c3", "c3"),
    ]


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        (unknown(), JobUnknownError),
        (DISK, StateUnavailableError),
        (Refusal(grpc.StatusCode.INTERNAL, "INTERNAL"), InternalError),
    ],
)
async def test_what_asking_again_does_not_change_is_raised(
    client: Client,
    blocking: SyncClient,
    server: FakeServer,
    ending: Refusal,
    kind: type[Exception],
) -> None:
    server.jobs.readings = [[result(1), ending], [], [result(1), ending], []]
    reader, same = client.jobs.results(JOB), blocking.jobs.results(JOB)

    await anext(reader)
    with pytest.raises(kind):
        await anext(reader)
    with pytest.raises(StopAsyncIteration):
        await anext(reader)
    await reader.aclose()
    next(same)
    with pytest.raises(kind):
        next(same)
    with pytest.raises(StopIteration):
        next(same)
    same.close()

    # What was done with before that is acknowledged nevertheless.
    assert places(server.jobs.readers) == [("", ""), ("c1", "c1")] * 2


async def test_one_who_leaves_early_acknowledges_all_but_the_last(
    client: Client, blocking: SyncClient, server: FakeServer
) -> None:
    script = [result(1), result(2), result(3)]
    server.jobs.readings = [script, [], script, []]

    async with client.jobs.results(JOB, consumer="a") as results:
        async for each in results:
            if each.cursor == "c2":
                break
    with blocking.jobs.results(JOB, consumer="b") as same:
        for each in same:
            if each.cursor == "c2":
                break

    assert places(server.jobs.readers) == [("", ""), ("c1", "c2")] * 2
    assert [each.consumer for each in server.jobs.readers] == ["a", "a", "b", "b"]


async def test_one_who_leaves_before_asking_again_acknowledges_nothing(
    client: Client, blocking: SyncClient, server: FakeServer
) -> None:
    server.jobs.readings = [[result(1), result(2)], [result(1), result(2)]]

    async with client.jobs.results(JOB) as results:
        await anext(results)
    with blocking.jobs.results(JOB) as same:
        next(same)

    assert places(server.jobs.readers) == [("", ""), ("", "")]


async def test_a_farewell_to_a_server_that_is_gone_does_no_harm(
    client: Client, blocking: SyncClient, server: FakeServer
) -> None:
    script = [result(1), result(2)]
    server.jobs.readings = [script, [GONE], script, [GONE]]

    async with client.jobs.results(JOB) as results:
        await anext(results)
        await anext(results)
    with blocking.jobs.results(JOB) as same:
        next(same)
        next(same)

    assert places(server.jobs.readers) == [("", ""), ("c1", "c2")] * 2


async def test_a_long_reading_is_acknowledged_on_the_way(
    read, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_reading, "_ACKNOWLEDGED_MESSAGES", 2)
    server.jobs.readings = [
        # The third was on its way already, and is told again.
        [result(1), result(2), result(3)],
        [result(3), result(4), result(5)],
        [result(5)],
        [],
    ]

    told = await read()

    assert [each.cursor for each in told] == ["c1", "c2", "c3", "c4", "c5"]
    assert places(server.jobs.readers) == [
        ("", ""),
        ("c2", "c2"),
        ("c4", "c4"),
        ("c5", "c5"),
    ]


def test_a_slow_reading_is_acknowledged_every_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_reading, "_ACKNOWLEDGED_SECONDS", 1.0)
    reading = reader()
    reading.open(10.0)

    assert not reading.due(20.0)
    reading.hear(result(1))
    reading.ask()
    assert not reading.due(10.9)
    assert reading.due(11.0)
    assert reading.open(11.0).acknowledged_cursor == "c1"
    assert not reading.due(12.5)


def test_an_acknowledgement_that_was_lost_is_made_again() -> None:
    reading = reader()
    reading.open(0.0)
    reading.hear(result(1))
    reading.ask()
    reading.open(1.0)
    reading.lose(ServerStoppingError("it stops"))

    farewell = reading.farewell()

    assert farewell == job_service_pb2.ReadResultsRequest(
        job_id=JOB, consumer="me", acknowledged_cursor="c1", after_cursor="c1"
    )
    assert reading.over() is True


def test_pauses_grow_and_a_server_may_name_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_reading, "_FIRST_PAUSE_SECONDS", 0.2)
    reading = reader()

    grown = [round(reading.lose(ServerStoppingError("gone")), 3) for _ in range(7)]
    reading.hear(result(1))
    again = reading.lose(ServerStoppingError("gone"))

    assert grown == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert again == 0.2


async def test_a_server_with_too_many_readers_is_asked_again_when_it_says(
    read, server: FakeServer
) -> None:
    delay = Duration()
    delay.FromTimedelta(timedelta(milliseconds=1))
    throttled = Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "CALLER_THROTTLED",
        details=(error_details_pb2.RetryInfo(retry_delay=delay),),
    )
    server.jobs.readings = [[throttled], [result(1)], []]

    assert [each.cursor for each in await read()] == ["c1"]


async def test_cancelling_who_waits_ends_the_call_and_loses_nothing(
    client: Client, server: FakeServer
) -> None:
    forever = threading.Event()
    server.jobs.readings = [[result(1), lambda: forever.wait(20)], [result(2)], []]
    results = client.jobs.results(JOB, follow=True)
    await anext(results)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(results), 0.05)
    ended = await asyncio.to_thread(server.jobs.ended.wait, 10)
    forever.set()

    assert ended
    assert [each.cursor async for each in results] == ["c2"]


@pytest.mark.parametrize("what", ["results", "client"])
async def test_closing_ends_the_wait(
    client: Client, server: FakeServer, what: str
) -> None:
    forever = threading.Event()
    server.jobs.readings = [[lambda: forever.wait(20)]]
    results = client.jobs.results(JOB, follow=True)
    waiting = asyncio.ensure_future(anext(results, None))
    await asyncio.to_thread(server.jobs.reading.wait, 10)

    await (results.aclose() if what == "results" else client.close())
    heard = await asyncio.wait_for(waiting, 10)
    forever.set()

    assert heard is None


def test_another_thread_may_close_a_reader(
    blocking: SyncClient, server: FakeServer
) -> None:
    forever = threading.Event()
    server.jobs.readings = [[lambda: forever.wait(20)]]
    results = blocking.jobs.results(JOB, follow=True)

    def close() -> None:
        server.jobs.reading.wait(10)
        results.close()

    closing = threading.Thread(target=close)
    closing.start()
    told = list(results)
    closing.join()
    forever.set()

    assert told == []


def test_a_reader_of_a_closed_client_is_over(blocking: SyncClient) -> None:
    results = blocking.jobs.results(JOB)
    with contextlib.suppress(StopIteration):
        next(results)

    blocking.close()

    assert list(results) == []


def reader() -> Reading:
    """Read without a server, with the longest pauses."""
    return Reading(
        JOB,
        "here",
        consumer="me",
        follow=False,
        acknowledge=True,
        after="",
        jitter=lambda: 1.0,
    )


async def test_bars_of_several_results_go_into_a_file(
    read, server: FakeServer, tmp_path
) -> None:
    server.jobs.readings = [[result(1), result(2, first=FIRST + 3 * DAY)], []]
    path = tmp_path / "bars.parquet"

    _, second = await read()
    second.bars.to_parquet(path)

    import polars as pl  # noqa: PLC0415 - for this test alone

    frame = pl.read_parquet(path)
    assert frame.columns == [
        *("symbol", "time", "open", "high", "low", "close", "volume"),
        *("state", "provider"),
    ]
    assert frame["symbol"].to_list() == ["AAPL"] * 3
    assert frame["state"].to_list() == ["final"] * 3
    assert frame["provider"].to_list() == ["yahoo"] * 3
    assert frame["time"].to_list()[0] == FIRST + 3 * DAY
