"""The asyncio client against a server that answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator

import grpc
import pytest

from ingestion_server.client import (
    AllProvidersFailedError,
    Client,
    DeadlineExceededError,
    ServerStoppingError,
    ServerUnreachableError,
    UnexpectedStatusError,
)
from tests.client.fakes import FakeServer, Refusal, answer, chunk, columns, failed

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    """Connect to the server."""
    async with Client(server.target) as connected:
        yield connected


async def test_fetch(client: Client, server: FakeServer) -> None:
    bars = await client.fetch("AAPL", interval="1h", limit=3)

    assert bars.close.tolist() == [101.5, 102.5, 103.5]
    (request,) = server.service.requests
    assert (request.symbol, request.limit) == ("AAPL", 3)


async def test_an_answer_beyond_the_usual_limit_of_grpc_arrives(
    client: Client, server: FakeServer
) -> None:
    server.service.answers = [answer(columns(80_000, vwap=[1.0] * 80_000))]

    bars = await client.fetch("AAPL")

    assert len(bars) == 80_000


async def test_a_passing_failure_is_retried(client: Client, server: FakeServer) -> None:
    server.service.answers = [Refusal(UNAVAILABLE, "SERVER_STOPPING"), answer()]

    bars = await client.fetch("AAPL")

    assert len(bars) == 3
    assert len(server.service.requests) == 2


async def test_a_lasting_failure_is_retried_twice_at_most(
    client: Client, server: FakeServer
) -> None:
    server.service.answers = [Refusal(UNAVAILABLE, "SERVER_STOPPING")]

    with pytest.raises(ServerStoppingError):
        await client.fetch("AAPL")

    assert len(server.service.requests) == 3


async def test_the_server_can_forbid_retries(
    client: Client, server: FakeServer
) -> None:
    refusal = Refusal(
        UNAVAILABLE,
        "ALL_PROVIDERS_FAILED",
        trailers=(("grpc-retry-pushback-ms", "-1"),),
    )
    server.service.answers = [refusal]

    with pytest.raises(AllProvidersFailedError):
        await client.fetch("AAPL")

    assert len(server.service.requests) == 1


async def test_a_slow_server_meets_the_deadline(
    client: Client, server: FakeServer
) -> None:
    release = threading.Event()
    server.service.answers = [release.wait]

    try:
        with pytest.raises(DeadlineExceededError, match="timeout_seconds") as caught:
            await client.fetch("AAPL", timeout_seconds=0.05)
    finally:
        release.set()

    assert caught.value.reason == ""
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_nobody_at_the_target(nowhere: str) -> None:
    async with Client(nowhere) as client:
        with pytest.raises(ServerUnreachableError) as caught:
            await client.fetch("AAPL")

    assert nowhere in str(caught.value)
    assert "ingestion-server serve --sandbox" in str(caught.value)


async def test_a_closed_client_connects_again(client: Client) -> None:
    await client.fetch("AAPL")
    await client.close()

    assert len(await client.fetch("AAPL")) == 3


async def test_a_server_without_tls_is_unreachable_with_tls(server: FakeServer) -> None:
    async with Client(server.target, secure=True) as client:
        with pytest.raises(ServerUnreachableError):
            await client.fetch("AAPL")


async def test_a_batch_gives_one_item_per_symbol(
    client: Client, server: FakeServer
) -> None:
    server.service.stream = iter(
        [
            chunk("AAPL", answer(), last=False),
            failed("NOPE", "SYMBOL_UNKNOWN", 5),
            chunk("AAPL", answer(columns(2))),
            chunk("MSFT", answer(), last=False),
        ]
    )

    items = [item async for item in client.fetch_batch(["AAPL", "NOPE", "MSFT"])]

    assert [(item.symbol, item.bars is None) for item in items] == [
        ("NOPE", True),
        ("AAPL", False),
        ("MSFT", True),
    ]
    assert list(server.service.requests[0].symbols) == ["AAPL", "NOPE", "MSFT"]


async def test_a_batch_that_fails_as_a_whole_raises(
    client: Client, server: FakeServer
) -> None:
    server.service.stream = iter(
        [chunk("A", answer()), Refusal(UNAVAILABLE, "INTERNAL")]
    )
    items = client.fetch_batch(["A", "B"])

    first = await anext(items)

    assert first.symbol == "A"
    with pytest.raises(Exception, match="it failed"):
        await anext(items)


async def test_leaving_a_batch_early_ends_the_call(
    client: Client, server: FakeServer
) -> None:
    server.service.stream = itertools.repeat(chunk("A", answer()))

    async with contextlib.aclosing(client.fetch_batch("A")) as items:
        await anext(items)

    assert await asyncio.to_thread(server.service.ended.wait, 5)


async def test_cancelling_the_reader_of_a_batch_ends_the_call(
    client: Client, server: FakeServer
) -> None:
    release = threading.Event()
    server.service.stream = (chunk("A", answer()) for _ in iter(release.wait, None))
    reader = asyncio.create_task(anext(client.fetch_batch("A")))
    await asyncio.to_thread(server.service.asked.wait, 5)

    reader.cancel()

    try:
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert await asyncio.to_thread(server.service.ended.wait, 5)
    finally:
        release.set()


async def test_waiting_for_a_healthy_server(client: Client, server: FakeServer) -> None:
    server.healthy(serving=False)
    waiting = asyncio.create_task(client.wait_until_serving(5))
    await asyncio.to_thread(server.health.asked.wait, 5)

    server.healthy(serving=True)

    await waiting


async def test_waiting_in_vain(nowhere: str) -> None:
    async with Client(nowhere) as client:
        with pytest.raises(ServerUnreachableError, match=r"not serving within 0\.05 s"):
            await client.wait_until_serving(0.05)


async def test_waiting_for_something_that_is_no_health_service(
    client: Client, server: FakeServer
) -> None:
    server.health.refusals = [Refusal(grpc.StatusCode.UNIMPLEMENTED)]

    with pytest.raises(UnexpectedStatusError):
        await client.wait_until_serving(5)


def test_repr_names_the_target() -> None:
    assert repr(Client("10.0.0.1:50051")) == "<Client of 10.0.0.1:50051>"
