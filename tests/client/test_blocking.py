"""The client without asyncio, also where an event loop is running."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import grpc
import pytest

from ingestion_server.client import (
    DeadlineExceededError,
    InternalError,
    ServerUnreachableError,
    SyncClient,
    UnexpectedStatusError,
)
from tests.client.fakes import FakeServer, Refusal, answer, chunk, failed


@pytest.fixture
def client(server: FakeServer) -> Iterator[SyncClient]:
    """Connect to the server."""
    with SyncClient(server.target) as connected:
        yield connected


def test_fetch(client: SyncClient, server: FakeServer) -> None:
    bars = client.fetch("AAPL", start="2025-01-06")

    assert bars.close.tolist() == [101.5, 102.5, 103.5]
    assert server.service.requests[0].start.seconds == 1_736_121_600


async def test_it_works_where_an_event_loop_is_running(server: FakeServer) -> None:
    server.service.stream = iter([chunk("AAPL", answer())])

    with SyncClient(server.target) as client:
        client.wait_until_serving(5)
        bars = client.fetch("AAPL")
        items = list(client.fetch_batch("AAPL"))

    assert len(bars) == 3
    assert len(items) == 1


def test_a_passing_failure_is_retried(client: SyncClient, server: FakeServer) -> None:
    server.service.answers = [
        Refusal(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING"),
        answer(),
    ]

    assert len(client.fetch("AAPL")) == 3


def test_a_slow_server_meets_the_deadline_of_the_client(server: FakeServer) -> None:
    release = threading.Event()
    server.service.answers = [release.wait]

    try:
        with (
            SyncClient(server.target, timeout_seconds=0.05) as client,
            pytest.raises(DeadlineExceededError),
        ):
            client.fetch("AAPL")
    finally:
        release.set()


def test_nobody_at_the_target(nowhere: str) -> None:
    with (
        SyncClient(nowhere) as client,
        pytest.raises(ServerUnreachableError, match=nowhere),
    ):
        client.fetch("AAPL")


def test_a_batch_gives_one_item_per_symbol(
    client: SyncClient, server: FakeServer
) -> None:
    server.service.stream = iter(
        [
            chunk("AAPL", answer()),
            failed("NOPE", "SYMBOL_UNKNOWN", 5),
            chunk("MSFT", answer(), last=False),
        ]
    )

    items = list(client.fetch_batch(["AAPL", "NOPE", "MSFT"]))

    assert [(item.symbol, item.error is None) for item in items] == [
        ("AAPL", True),
        ("NOPE", False),
        ("MSFT", False),
    ]


def test_a_batch_that_fails_as_a_whole_raises(
    client: SyncClient, server: FakeServer
) -> None:
    server.service.stream = iter(
        [chunk("A", answer()), Refusal(grpc.StatusCode.INTERNAL, "INTERNAL")]
    )
    items = client.fetch_batch(["A", "B"])

    first = next(items)

    assert first.symbol == "A"
    with pytest.raises(InternalError, match="it failed"):
        next(items)


def test_leaving_a_batch_early_ends_the_call(
    client: SyncClient, server: FakeServer
) -> None:
    server.service.stream = itertools.repeat(chunk("A", answer()))

    for item in client.fetch_batch("A"):
        assert item.symbol == "A"
        break

    assert server.service.ended.wait(5)


def test_waiting_in_vain(client: SyncClient, server: FakeServer) -> None:
    server.healthy(serving=False)

    with pytest.raises(ServerUnreachableError, match=r"not serving within 0\.05 s"):
        client.wait_until_serving(0.05)


def test_waiting_outlasts_a_passing_failure(
    client: SyncClient, server: FakeServer
) -> None:
    server.health.refusals = [Refusal(grpc.StatusCode.UNAVAILABLE)]

    client.wait_until_serving(5)

    assert server.health.refusals == []


def test_waiting_for_something_that_is_no_health_service(
    client: SyncClient, server: FakeServer
) -> None:
    server.health.refusals = [Refusal(grpc.StatusCode.UNIMPLEMENTED)]

    with pytest.raises(UnexpectedStatusError):
        client.wait_until_serving(5)


def test_repr_names_the_target(client: SyncClient, server: FakeServer) -> None:
    assert repr(client) == f"<SyncClient of {server.target}>"
