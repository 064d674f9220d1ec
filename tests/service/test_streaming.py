"""StreamQuotes on a real port, before live data that a test makes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import grpc
import grpc.aio
import pytest
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
)

from ingestion_server.domain.errors import (
    CapabilityMissingError,
    SubscriberTooSlowError,
)
from ingestion_server.domain.ticks import Trade
from ingestion_server.ingest.fetch import Fetcher
from ingestion_server.ports.live import StreamQuery
from ingestion_server.service.admission import Door
from ingestion_server.service.ingestion import IngestionServicer
from ingestion_server.service.server import GrpcServer, bound_server
from ingestion_server.service.stream_encoding import WireEncoder
from ingestion_server.service.streaming import Streams
from tests.clocks import NOW_NS, ManualClock
from tests.service.refusals import fields, reason, refused

APPLE = ingestion_service_pb2.StreamQuotesRequest(symbols=["AAPL"])
Stub = ingestion_service_pb2_grpc.IngestionServiceStub
Messages = AsyncIterator[bytes]


class FakeLive:
    """Tell what a test makes, and know who listens."""

    def __init__(self) -> None:
        self.queries: list[StreamQuery] = []
        self.messages: Callable[[], Messages] = quiet
        self.refuses: Exception | None = None
        self.listening = 0
        self.changed = asyncio.Condition()

    @asynccontextmanager
    async def stream(self, query: StreamQuery) -> AsyncIterator[Messages]:
        """Subscribe while the block lasts."""
        self.queries.append(query)
        if self.refuses is not None:
            raise self.refuses
        await self._listens(1)
        try:
            yield self.messages()
        finally:
            await self._listens(-1)

    async def until(self, listening: int) -> None:
        """Wait until so many listen."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: self.listening == listening)

    async def _listens(self, more: int) -> None:
        self.listening += more
        async with self.changed:
            self.changed.notify_all()


def message(sequence: int) -> bytes:
    """Write a message of one trade."""
    return WireEncoder().ticks([Trade("AAPL", NOW_NS, 1.5, sequence=sequence)])


async def quiet() -> Messages:
    """Tell one trade, and then nothing for ever."""
    yield message(1)
    await asyncio.Event().wait()


@pytest.fixture
async def live() -> FakeLive:
    """Tell one trade, and then nothing."""
    return FakeLive()


@pytest.fixture
async def door() -> Door:
    """Let in a call, and two streams."""
    return Door(1, most_watchers=1, most_streams=2)


@pytest.fixture
async def bound(
    live: FakeLive, door: Door, clock: ManualClock
) -> AsyncIterator[GrpcServer]:
    """Serve on a free port."""
    servicer = IngestionServicer(
        cast("Fetcher", None),
        door,
        symbols_at_once=1,
        streams=Streams(live, door, clock),
    )
    bound = bound_server([servicer], "127.0.0.1:0", None)
    await bound.server.start()
    yield bound
    await bound.server.stop(0)


@pytest.fixture
async def channel(bound: GrpcServer) -> AsyncIterator[grpc.aio.Channel]:
    """Connect to it."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as connected:
        yield connected


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    """Ask for live data."""
    return Stub(channel)


async def test_messages_come_as_they_were_written(live: FakeLive, stub: Stub) -> None:
    async def three() -> Messages:
        for sequence in range(1, 4):
            yield message(sequence)

    live.messages = three

    told = [one async for one in stub.StreamQuotes(APPLE)]

    assert [one.trades[0].sequence for one in told] == [1, 2, 3]
    assert [one.symbol for one in live.queries[0].asked] == ["AAPL"]


async def test_who_leaves_is_subscribed_no_more(live: FakeLive, stub: Stub) -> None:
    call = stub.StreamQuotes(APPLE)
    await anext(aiter(call))
    await live.until(1)

    call.cancel()

    await live.until(0)


async def test_who_loses_its_connection_is_subscribed_no_more(
    live: FakeLive, bound: GrpcServer
) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as connected:
        await anext(aiter(Stub(connected).StreamQuotes(APPLE)))
        await live.until(1)

    await live.until(0)


async def test_a_deadline_ends_the_stream_as_any_call(
    live: FakeLive, stub: Stub
) -> None:
    call = stub.StreamQuotes(APPLE, timeout=0.5)
    messages = aiter(call)
    await anext(messages)

    failed = await refused(anext(messages))

    assert failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await live.until(0)


async def test_a_stream_ends_when_the_server_stops(
    live: FakeLive, stub: Stub, door: Door
) -> None:
    messages = aiter(stub.StreamQuotes(APPLE))
    await anext(messages)

    door.close()
    failed = await refused(anext(messages))

    assert failed.code() is grpc.StatusCode.UNAVAILABLE
    assert reason(failed) == "SERVER_STOPPING"
    assert live.listening == 0


async def test_a_stopping_server_waits_for_no_stream(
    live: FakeLive, stub: Stub, door: Door
) -> None:
    messages = aiter(stub.StreamQuotes(APPLE))
    await anext(messages)

    door.close()

    async with asyncio.timeout(20):
        await door.left()
    await live.until(0)


async def test_no_stream_begins_behind_a_closed_door(
    live: FakeLive, stub: Stub, door: Door
) -> None:
    door.close()

    failed = await refused(anext(aiter(stub.StreamQuotes(APPLE))))

    assert reason(failed) == "SERVER_STOPPING"
    assert not live.queries


async def test_more_streams_than_there_are_places_for_are_refused(
    live: FakeLive, stub: Stub
) -> None:
    calls = [stub.StreamQuotes(APPLE) for _ in range(2)]
    for call in calls:
        await anext(aiter(call))

    failed = await refused(anext(aiter(stub.StreamQuotes(APPLE))))

    assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason(failed) == "CALLER_THROTTLED"
    assert "2 streams are being served" in (failed.details() or "")
    assert live.listening == 2


async def test_a_place_is_free_again_once_a_stream_has_ended(
    live: FakeLive, stub: Stub
) -> None:
    calls = [stub.StreamQuotes(APPLE) for _ in range(2)]
    for call in calls:
        await anext(aiter(call))
    calls[0].cancel()
    await live.until(1)

    told = await anext(aiter(stub.StreamQuotes(APPLE)))

    assert told.trades[0].sequence == 1


async def test_streams_take_no_place_of_a_call(
    channel: grpc.aio.Channel, stub: Stub
) -> None:
    calls = [stub.StreamQuotes(APPLE) for _ in range(2)]
    for call in calls:
        await anext(aiter(call))

    fetch = channel.unary_unary("/marketdata.ingestion.v1.IngestionService/Fetch")
    failed = await refused(fetch(b"\xff"))

    assert reason(failed) == "INVALID_QUERY"


async def test_a_subscriber_that_is_too_slow_is_told_so(
    live: FakeLive, stub: Stub
) -> None:
    async def too_slow() -> Messages:
        yield message(1)
        raise SubscriberTooSlowError("7 items were not read", pending=7)

    live.messages = too_slow
    messages = aiter(stub.StreamQuotes(APPLE))
    await anext(messages)

    failed = await refused(anext(messages))

    assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason(failed) == "SUBSCRIBER_TOO_SLOW"


async def test_what_nobody_streams_is_refused_with_the_reason(
    live: FakeLive, stub: Stub
) -> None:
    live.refuses = CapabilityMissingError("it has no stream", provider="acme")

    failed = await refused(anext(aiter(stub.StreamQuotes(APPLE))))

    assert failed.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason(failed) == "CAPABILITY_MISSING"


async def test_a_defect_tells_where_to_look_it_up(
    live: FakeLive, stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    live.refuses = ZeroDivisionError()

    failed = await refused(anext(aiter(stub.StreamQuotes(APPLE))))

    assert failed.code() is grpc.StatusCode.INTERNAL
    assert reason(failed) == "INTERNAL"
    assert "met a defect" in caplog.text


async def test_wrong_fields_are_named(live: FakeLive, stub: Stub) -> None:
    request = ingestion_service_pb2.StreamQuotesRequest(resume_token=bytes(65))

    failed = await refused(anext(aiter(stub.StreamQuotes(request))))

    assert {name for name, _ in fields(failed)} == {"symbols", "resume_token"}
    assert not live.queries


async def test_bytes_that_are_no_request_are_the_fault_of_the_caller(
    channel: grpc.aio.Channel,
) -> None:
    call = channel.unary_stream(
        "/marketdata.ingestion.v1.IngestionService/StreamQuotes"
    )

    failed = await refused(anext(aiter(call(b"\xff"))))

    assert [name for name, _ in fields(failed)] == ["request"]


class Flood:
    """Tell without end, and say when nobody takes any more."""

    def __init__(self) -> None:
        self.taken = 0

    async def messages(self) -> Messages:
        """Tell 4 kB at a time."""
        whole = b"".join(map(message, range(60)))
        for self.taken in itertools.count(1):
            yield whole

    async def stalled(self) -> int:
        """Wait until no more is taken, and return how much was."""
        async with asyncio.timeout(20):
            for before in iter(lambda: self.taken, None):
                # Turns of the loop in which whoever can be told more is told more.
                for _ in range(2_000):
                    await asyncio.sleep(0)
                if before == self.taken > 0:
                    break
        return self.taken


async def test_who_does_not_read_is_not_told_more(live: FakeLive, stub: Stub) -> None:
    flood = Flood()
    live.messages = flood.messages
    call = stub.StreamQuotes(APPLE)
    await call.read()

    taken = await flood.stalled()

    assert taken * 4_000 < 16_000_000
    call.cancel()
    await live.until(0)


async def test_who_does_not_read_does_not_hold_up_the_stop(
    live: FakeLive, stub: Stub, door: Door
) -> None:
    flood = Flood()
    live.messages = flood.messages
    call = stub.StreamQuotes(APPLE)
    await call.read()
    await flood.stalled()

    door.close()
    await live.until(0)

    failed = await refused(read_to_the_end(call))
    assert reason(failed) == "SERVER_STOPPING"


async def read_to_the_end(call: grpc.aio.UnaryStreamCall) -> None:
    """Read what is there still."""
    while await call.read() is not grpc.aio.EOF:
        pass
