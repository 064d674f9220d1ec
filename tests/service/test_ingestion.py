"""Fetch takes and gives bytes, and gives those again that are still true."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable
from typing import cast

import grpc.aio
import pytest
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
)

from ingestion_server.cache.replies import EncodedReplies
from ingestion_server.domain.errors import SymbolUnknownError
from ingestion_server.domain.query import BarQuery
from ingestion_server.domain.result import BarResult
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ports.caching import CacheCounts
from ingestion_server.service.admission import Door
from ingestion_server.service.ingestion import IngestionServicer
from ingestion_server.service.server import bound_server
from tests.clocks import ManualClock
from tests.service.answers import answer, source
from tests.service.refusals import fields, reason, refused

APPLE = ingestion_service_pb2.FetchRequest(symbol="AAPL")
RUBBISH = [b"\xff", b"\x0a\x7fAAPL", b"\x0a\x01\xff", b"\x2a\x02\x08"]
"""A tag without an end, a text that is cut, one that is none, and a torn time."""


class FakeFetcher:
    """Answer with three bars that were kept five seconds ago, and count."""

    def __init__(self) -> None:
        self.asked = 0
        self.good_for_seconds = 60.0
        self.meanwhile: Callable[[], None] | None = None

    async def fetch(self, query: BarQuery, **_: object) -> BarResult:
        """Answer, unless it is about a symbol that nobody knows."""
        self.asked += 1
        if query.instrument.symbol == "NONE":
            raise SymbolUnknownError("nobody knows it", provider="acme", symbol="NONE")
        if self.meanwhile is not None:
            self.meanwhile()
        return answer(
            3, source("acme", 0, 3, 5.0), good_for_seconds=self.good_for_seconds
        )


class World:
    """Hold what the server answers from."""

    def __init__(self, clock: ManualClock) -> None:
        self.fetcher = FakeFetcher()
        self.counts = CacheCounts()
        self.generation = 1
        self.replies = EncodedReplies(
            1_000_000, clock, generation=lambda: self.generation, counts=self.counts
        )


@pytest.fixture
async def world(clock: ManualClock) -> World:
    """Know nothing yet."""
    return World(clock)


@pytest.fixture
async def channel(world: World, door: Door) -> AsyncIterator[grpc.aio.Channel]:
    """Serve it on a free port, and connect to it."""
    servicer = IngestionServicer(
        cast("Fetcher", world.fetcher), door, symbols_at_once=1, replies=world.replies
    )
    bound = bound_server([servicer], "127.0.0.1:0", None)
    await bound.server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as connected:
        yield connected
    await bound.server.stop(0)


@pytest.fixture
def bars(
    channel: grpc.aio.Channel,
) -> ingestion_service_pb2_grpc.IngestionServiceStub:
    """Ask for bars."""
    return ingestion_service_pb2_grpc.IngestionServiceStub(channel)


Stub = ingestion_service_pb2_grpc.IngestionServiceStub


async def test_an_equal_question_is_answered_from_the_bytes_of_the_first(
    world: World, bars: Stub
) -> None:
    first = await bars.Fetch(APPLE)

    second = await bars.Fetch(APPLE)

    assert world.fetcher.asked == 1
    assert (world.counts.hits, world.counts.encoded_hits) == (1, 1)
    assert second.series == first.series
    assert second.completeness == first.completeness
    assert second.attempts == first.attempts
    assert len(second.sources) == 1


async def test_each_answer_has_an_id_of_its_own(bars: Stub) -> None:
    first = await bars.Fetch(APPLE)
    second = await bars.Fetch(APPLE)
    third = await bars.Fetch(APPLE, metadata=(("x-request-id", "mine"),))

    assert re.fullmatch("[0-9a-f]{32}", first.request_id)
    assert re.fullmatch("[0-9a-f]{32}", second.request_id)
    assert first.request_id != second.request_id
    assert third.request_id == "mine"


async def test_what_comes_from_the_cache_grows_older_from_answer_to_answer(
    bars: Stub, clock: ManualClock
) -> None:
    first = await bars.Fetch(APPLE)
    clock.pass_by(10.0)

    second = await bars.Fetch(APPLE)

    assert first.sources[0].cache_age.seconds == 5
    assert second.sources[0].cache_age.seconds == 15
    assert second.sources[0].received_at == first.sources[0].received_at


async def test_an_answer_is_made_anew_when_its_time_is_over(
    world: World, bars: Stub, clock: ManualClock
) -> None:
    await bars.Fetch(APPLE)
    clock.pass_by(60.0)

    await bars.Fetch(APPLE)

    assert world.fetcher.asked == 2
    assert world.counts.encoded_hits == 0


async def test_an_answer_is_made_anew_when_what_is_known_has_changed(
    world: World, bars: Stub
) -> None:
    await bars.Fetch(APPLE)
    world.generation += 1

    await bars.Fetch(APPLE)

    assert world.fetcher.asked == 2


async def test_an_answer_that_was_overtaken_is_given_once_only(
    world: World, bars: Stub
) -> None:
    def change() -> None:
        world.generation += 1

    world.fetcher.meanwhile = change
    await bars.Fetch(APPLE)
    world.fetcher.meanwhile = None
    await bars.Fetch(APPLE)

    assert world.fetcher.asked == 2


async def test_an_answer_that_is_not_good_for_long_is_not_given_again(
    world: World, bars: Stub
) -> None:
    world.fetcher.good_for_seconds = 0.0

    await bars.Fetch(APPLE)
    await bars.Fetch(APPLE)

    assert world.fetcher.asked == 2


async def test_a_failure_is_not_given_again(world: World, bars: Stub) -> None:
    unknown = ingestion_service_pb2.FetchRequest(symbol="NONE")

    reasons = [reason(await refused(bars.Fetch(unknown))) for _ in range(2)]

    assert reasons == ["SYMBOL_UNKNOWN", "SYMBOL_UNKNOWN"]
    assert world.fetcher.asked == 2


async def test_who_asks_for_columns_is_not_given_the_rows_of_another(
    bars: Stub,
) -> None:
    await bars.Fetch(APPLE)
    request = ingestion_service_pb2.FetchRequest(
        symbol="AAPL", layout=ingestion_service_pb2.LAYOUT_COLUMNS
    )

    told = await bars.Fetch(request)

    assert not told.series.bars
    assert len(told.series.columns.close) == 3


async def test_a_known_answer_is_not_given_behind_a_closed_door(
    bars: Stub, door: Door
) -> None:
    await bars.Fetch(APPLE)
    door.close()

    failed = await refused(bars.Fetch(APPLE))

    assert reason(failed) == "SERVER_STOPPING"


@pytest.mark.parametrize("question", RUBBISH)
async def test_bytes_that_are_no_request_are_the_fault_of_the_caller(
    channel: grpc.aio.Channel, question: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    call = channel.unary_unary("/marketdata.ingestion.v1.IngestionService/Fetch")

    with caplog.at_level(logging.WARNING):
        failed = await refused(call(question))

    assert failed.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason(failed) == "INVALID_QUERY"
    assert [name for name, _ in fields(failed)] == ["request"]
    assert not caplog.records


async def test_bytes_that_are_no_batch_are_the_fault_of_the_caller(
    channel: grpc.aio.Channel,
) -> None:
    call = channel.unary_stream("/marketdata.ingestion.v1.IngestionService/FetchBatch")

    failed = await refused(anext(aiter(call(b"\xff"))))

    assert failed.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [name for name, _ in fields(failed)] == ["request"]


async def test_a_batch_tells_of_each_symbol(bars: Stub) -> None:
    request = ingestion_service_pb2.FetchBatchRequest(symbols=["aapl", "none"])

    told = {message.symbol: message async for message in bars.FetchBatch(request)}

    assert len(told["aapl"].chunk.series.bars) == 3
    assert told["none"].failure.reason == "SYMBOL_UNKNOWN"
    assert told["aapl"].last
    assert told["none"].last


async def test_without_a_cache_each_question_is_asked(world: World, door: Door) -> None:
    servicer = IngestionServicer(
        cast("Fetcher", world.fetcher), door, symbols_at_once=1
    )
    bound = bound_server([servicer], "127.0.0.1:0", None)
    await bound.server.start()

    async with grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as connected:
        stub = ingestion_service_pb2_grpc.IngestionServiceStub(connected)
        await stub.Fetch(APPLE)
        await stub.Fetch(APPLE)

    await bound.server.stop(0)
    assert world.fetcher.asked == 2
