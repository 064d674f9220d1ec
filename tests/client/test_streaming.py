"""A stream of live data, over both clients, outlasts whatever breaks it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import grpc
import pytest
from google.protobuf import json_format
from marketdata.ingestion.v1 import (
    ingestion_service_pb2,
    source_policy_pb2,
    stream_pb2,
)

from ingestion_server.client import (
    CapabilityMissingError,
    Client,
    DeadlineExceededError,
    IngestionClientError,
    InvalidOptionError,
    InvalidQueryError,
    ServerError,
    ServerStoppingError,
    ServerUnreachableError,
    StreamEvent,
    SubscriberTooSlowError,
    SymbolUnknownError,
    SyncClient,
    Trade,
    stream_course,
)
from tests.client.fakes import FakeServer
from tests.client.streams import (
    TRADES,
    Event,
    event,
    heartbeat,
    live_bar,
    quote,
    said,
    subscribed,
    trade,
)
from tests.client.telling import Refusal

GONE = Refusal(grpc.StatusCode.UNAVAILABLE)
STOPPING = Refusal(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
ENOUGH = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "CAPABILITY_MISSING")
"""Ends a stream for good."""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back at once."""
    monkeypatch.setattr(stream_course, "_FIRST_PAUSE_SECONDS", 0)


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


def numbers(items: list[object]) -> list[object]:
    """Show trades as their numbers, and events as their kinds."""
    return [
        each.kind if isinstance(each, StreamEvent) else each.sequence  # type: ignore[attr-defined]
        for each in items
    ]


async def heard(client: Client, **options) -> list:
    """Hear a stream to its bitter end."""
    items = []
    with contextlib.suppress(CapabilityMissingError):
        async for item in client.stream("AAPL", **options):
            items.append(item)  # noqa: PERF401 - what came before the end counts
    return items


def heard_without_asyncio(blocking: SyncClient) -> list:
    """Hear a stream to its bitter end."""
    items = []
    with contextlib.suppress(CapabilityMissingError):
        for item in blocking.stream("AAPL"):
            items.append(item)  # noqa: PERF402 - what came before the end counts
    return items


async def test_both_clients_yield_the_same(
    client: Client, blocking: SyncClient, server: FakeServer
) -> None:
    script = [
        said(subscribed(0), token=b"a"),
        said(trade(1), quote(1), live_bar(1), token=b"b"),
        ENOUGH,
    ]
    server.service.live.scripts = [script, script]

    told = await heard(client)
    told_without_asyncio = await asyncio.to_thread(heard_without_asyncio, blocking)

    assert told == told_without_asyncio
    assert len(told) == 4
    first, second = server.service.live.requests
    assert first == second


async def test_items_are_typed_and_hold_what_was_said(
    client: Client, server: FakeServer
) -> None:
    server.service.live.scripts = [
        [said(subscribed(4, sampled=True)), said(trade(5, conditions=["I"])), ENOUGH]
    ]

    subscription, only = await heard(client)

    assert subscription.kind == "subscribed"
    assert (subscription.tick_kind, subscription.sampled) == ("trades", True)
    assert isinstance(only, Trade)
    assert (only.symbol, only.price, only.size, only.provider) == (
        "AAPL",
        105.0,
        10.0,
        "finnhub",
    )
    assert only.conditions == ("I",)
    assert only.time.isoformat() == "2025-01-06T00:00:05+00:00"
    assert only.time_ns == only.received_at_ns == 1_736_121_605 * 10**9


async def test_every_option_reaches_the_server(
    client: Client, server: FakeServer
) -> None:
    server.service.live.scripts = [[ENOUGH]]

    with pytest.raises(CapabilityMissingError):
        await anext(
            client.stream(
                "AAPL",
                ["TSLA", "EUR/USD"],
                kinds=("bars", "quotes"),
                providers=["finnhub", "yahoo"],
                slow_consumer="drop_oldest",
                batch_delay_seconds=0.02,
                heartbeat_seconds=1.5,
                start="2025-01-06",
                interval="5m",
                session="regular",
                asset_class="equity",
                exchange="XLON",
            )
        )

    (request,) = server.service.live.requests
    wanted = json_format.ParseDict(
        {
            "symbols": ["AAPL", "TSLA", "EUR/USD"],
            "kinds": ["TICK_KIND_BARS", "TICK_KIND_QUOTES"],
            "source_policy": {
                "providers": ["finnhub", "yahoo"],
                "mode": "MODE_ORDERED",
            },
            "slow_consumer": "SLOW_CONSUMER_DROP_OLDEST",
            "max_batch_delay": "0.020s",
            "heartbeat_interval": "1.500s",
            "start": "2025-01-06T00:00:00Z",
            "interval": "INTERVAL_5_MINUTES",
            "session": "SESSION_REGULAR",
            "asset_class": "ASSET_CLASS_EQUITY",
            "exchange": "XLON",
        },
        ingestion_service_pb2.StreamQuotesRequest(),
    )
    assert request == wanted


async def test_by_default_all_trades_are_asked_for(
    client: Client, server: FakeServer
) -> None:
    await heard_nothing(client, server)

    (request,) = server.service.live.requests
    assert list(request.kinds) == [TRADES]
    assert request.slow_consumer == stream_pb2.SLOW_CONSUMER_CONFLATE
    assert request.source_policy.mode == source_policy_pb2.SourcePolicy.MODE_ANY
    assert not request.HasField("max_batch_delay")


async def heard_nothing(client: Client, server: FakeServer) -> None:
    """Hear a stream that is refused."""
    server.service.live.scripts = [[ENOUGH]]
    assert await heard(client) == []


@pytest.mark.parametrize(
    "options",
    [
        {"kinds": ["prices"]},
        {"slow_consumer": "wait"},
        {"interval": "2m"},
        {"heartbeat_seconds": float("nan")},
        {"start": "yesterday"},
    ],
)
async def test_wrong_options_are_told_without_asking_the_server(
    client: Client, server: FakeServer, options: dict
) -> None:
    with pytest.raises(InvalidOptionError):
        client.stream("AAPL", **options)

    assert server.service.live.requests == []


async def test_a_stream_of_nothing_is_refused(client: Client) -> None:
    with pytest.raises(InvalidOptionError, match="symbols"):
        client.stream([])


@pytest.mark.parametrize(
    "ending",
    [
        GONE,
        STOPPING,
        Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "SUBSCRIBER_TOO_SLOW"),
        Refusal(grpc.StatusCode.INTERNAL, "INTERNAL"),
        Refusal(grpc.StatusCode.CANCELLED),
    ],
    ids=lambda each: each.reason or each.code.name,
)
async def test_a_stream_that_breaks_goes_on_after_its_last_message(
    client: Client, server: FakeServer, ending: Refusal
) -> None:
    server.service.live.scripts = [
        [said(subscribed(0), trade(1), token=b"one"), ending],
        [GONE],
        [said(trade(2), token=b"two"), ending],
        [said(trade(3), token=b"three"), ENOUGH],
    ]
    lost: list[IngestionClientError] = []
    stream = client.stream("AAPL", on_interruption=lost.append)

    items = [await anext(stream) for _ in range(4)]

    assert numbers(items) == ["subscribed", 1, 2, 3]
    assert [each.resume_token for each in server.service.live.requests] == [
        b"",
        b"one",
        b"one",
        b"two",
    ]
    assert stream.interruptions == len(lost) == 2
    assert stream.last_error is lost[-1]
    assert lost[0].reason == ending.reason
    await stream.aclose()


async def test_one_that_was_cut_off_for_being_slow_can_tell(
    client: Client, server: FakeServer
) -> None:
    slow = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "SUBSCRIBER_TOO_SLOW")
    server.service.live.scripts = [[said(trade(1)), slow], [said(trade(2))]]

    async with client.stream("AAPL", slow_consumer="disconnect") as stream:
        await anext(stream)
        await anext(stream)

        assert isinstance(stream.last_error, SubscriberTooSlowError)


async def test_a_stream_that_ends_without_a_reason_goes_on(
    client: Client, server: FakeServer
) -> None:
    server.service.live.scripts = [[said(trade(1))], [said(trade(2))]]

    async with client.stream("AAPL") as stream:
        assert numbers([await anext(stream), await anext(stream)]) == [1, 2]
        assert isinstance(stream.last_error, ServerError)
        assert "ended the stream" in str(stream.last_error)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_QUERY", InvalidQueryError),
        (grpc.StatusCode.NOT_FOUND, "SYMBOL_UNKNOWN", SymbolUnknownError),
        (
            grpc.StatusCode.FAILED_PRECONDITION,
            "CAPABILITY_MISSING",
            CapabilityMissingError,
        ),
    ],
)
async def test_what_asking_again_does_not_change_is_raised(
    client: Client,
    server: FakeServer,
    code: grpc.StatusCode,
    reason: str,
    kind: type[Exception],
) -> None:
    server.service.live.scripts = [
        [said(trade(1)), GONE],
        [Refusal(code, reason)],
    ]
    stream = client.stream("AAPL")
    await anext(stream)

    with pytest.raises(kind):
        await anext(stream)

    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert stream.interruptions == 1


@pytest.mark.parametrize(
    ("ending", "kind"),
    [(GONE, ServerUnreachableError), (STOPPING, ServerStoppingError)],
)
async def test_before_anything_was_heard_every_failure_is_raised(
    client: Client, server: FakeServer, ending: Refusal, kind: type[Exception]
) -> None:
    server.service.live.scripts = [[ending]]

    with pytest.raises(kind):
        await anext(client.stream("AAPL"))

    assert len(server.service.live.requests) == 1


async def test_nobody_at_the_target_is_told_at_once(nowhere: str) -> None:
    async with Client(nowhere) as client:
        with pytest.raises(ServerUnreachableError):
            await anext(client.stream("AAPL"))


async def test_heartbeats_are_told_only_to_those_who_want_them(
    client: Client, server: FakeServer
) -> None:
    script = [said(heartbeat()), said(trade(1)), said(heartbeat()), ENOUGH]
    server.service.live.scripts = [script, script]

    assert numbers(await heard(client)) == [1]
    assert numbers(await heard(client, heartbeats=True)) == [
        "heartbeat",
        1,
        "heartbeat",
    ]


async def test_a_stream_without_even_a_heartbeat_is_taken_for_dead(
    client: Client, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_course, "_SHORTEST_SILENCE_SECONDS", 0.2)
    woken = threading.Event()
    server.service.live.scripts = [
        [said(trade(1), token=b"one"), lambda: woken.wait(20)],
        [said(trade(2))],
    ]

    async with client.stream("AAPL", heartbeat_seconds=0.1) as stream:
        assert numbers([await anext(stream), await anext(stream)]) == [1, 2]
        assert isinstance(stream.last_error, DeadlineExceededError)
        assert "nothing was heard" in str(stream.last_error)
    woken.set()

    assert server.service.live.requests[1].resume_token == b"one"


def test_without_asyncio_a_silent_stream_is_taken_for_dead_too(
    blocking: SyncClient, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_course, "_SHORTEST_SILENCE_SECONDS", 0.2)
    woken = threading.Event()
    server.service.live.scripts = [
        [said(trade(1), token=b"one"), lambda: woken.wait(20)],
        [said(trade(2))],
    ]

    with blocking.stream("AAPL", heartbeat_seconds=0.1) as stream:
        assert numbers([next(stream), next(stream)]) == [1, 2]
        assert stream.interruptions == 1
        assert isinstance(stream.last_error, DeadlineExceededError)
    woken.set()


async def test_a_silence_is_three_heartbeats_and_two_seconds_at_least() -> None:
    def silence(heartbeat_seconds: float) -> float:
        request = ingestion_service_pb2.StreamQuotesRequest()
        request.heartbeat_interval.FromTimedelta(timedelta(seconds=heartbeat_seconds))
        return stream_course.Course(
            request, "here", heartbeats=False, on_interruption=None
        ).silence_seconds

    assert (silence(5), silence(0.1)) == (15, 2)


def test_pauses_grow_to_five_seconds_and_are_drawn_at_random(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_course, "_FIRST_PAUSE_SECONDS", 0.2)
    drawn = iter([1.0] * 7 + [0.25, 1.0, 1.0])
    course = stream_course.Course(
        ingestion_service_pb2.StreamQuotesRequest(),
        "here",
        heartbeats=False,
        on_interruption=None,
        jitter=lambda: next(drawn),
    )

    def lose_at(now: float, *, after_hearing: bool = False) -> float:
        if after_hearing:
            course.hear(said(trade(1)), 0)
        return round(course.lose(ServerError("gone"), now), 3)

    course.open(0.0)
    first = lose_at(1.0, after_hearing=True)
    grown = [lose_at(2.0) for _ in range(6)]
    course.open(10.0)
    flapped = lose_at(11.0, after_hearing=True)
    course.open(20.0)
    lived = lose_at(26.0, after_hearing=True)

    assert [first, *grown] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    # A connection that breaks at once does not count as recovered; one that lived does.
    assert flapped == 1.25
    assert lived == 0.2


async def test_leaving_ends_the_call(client: Client, server: FakeServer) -> None:
    forever = threading.Event()
    server.service.live.scripts = [[said(trade(1)), lambda: forever.wait(20)]]

    async with client.stream("AAPL") as stream:
        await anext(stream)
    ended = await asyncio.to_thread(server.service.live.ended.wait, 10)
    forever.set()

    assert ended
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_cancelling_who_waits_ends_the_call(
    client: Client, server: FakeServer
) -> None:
    forever = threading.Event()
    server.service.live.scripts = [[said(trade(1)), lambda: forever.wait(20)]]
    stream = client.stream("AAPL")
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    ended = await asyncio.to_thread(server.service.live.ended.wait, 10)
    forever.set()

    assert ended


async def test_one_who_waits_for_a_while_only_goes_on_where_it_stopped(
    client: Client, server: FakeServer
) -> None:
    forever = threading.Event()
    server.service.live.scripts = [
        [said(trade(1), token=b"one"), lambda: forever.wait(20)],
        [said(trade(2))],
    ]
    stream = client.stream("AAPL")
    await anext(stream)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0.05)
    item = await anext(stream)
    forever.set()

    assert numbers([item]) == [2]
    assert server.service.live.requests[1].resume_token == b"one"
    assert stream.interruptions == 0
    await stream.aclose()


async def test_a_stream_of_a_closed_client_is_over(client: Client) -> None:
    stream = client.stream("AAPL")

    await client.close()

    assert await anext(stream, None) is None


def test_without_asyncio_a_stream_of_a_closed_client_is_over_too(
    blocking: SyncClient,
) -> None:
    stream = blocking.stream("AAPL")

    blocking.close()

    assert list(stream) == []


@pytest.mark.parametrize("what", ["stream", "client"])
async def test_closing_ends_the_wait_for_an_item(
    client: Client, server: FakeServer, what: str
) -> None:
    forever = threading.Event()
    server.service.live.scripts = [[said(trade(1)), lambda: forever.wait(20)]]
    stream = client.stream("AAPL")
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)

    await (stream.aclose() if what == "stream" else client.close())

    assert await waiting is None
    forever.set()
    assert len(server.service.live.requests) == 1


@pytest.mark.parametrize("what", ["stream", "client"])
def test_without_asyncio_closing_ends_the_wait_for_an_item_too(
    blocking: SyncClient, server: FakeServer, what: str
) -> None:
    forever = threading.Event()
    server.service.live.scripts = [[said(trade(1)), lambda: forever.wait(20)]]
    stream = blocking.stream("AAPL")
    next(stream)
    closing = threading.Thread(
        target=stream.close if what == "stream" else blocking.close
    )
    closing.start()

    rest = list(stream)
    closing.join()
    forever.set()

    assert rest == []
    assert len(server.service.live.requests) == 1


def test_without_asyncio_leaving_the_loop_ends_the_call(
    blocking: SyncClient, server: FakeServer
) -> None:
    forever = threading.Event()
    server.service.live.scripts = [[said(trade(1)), lambda: forever.wait(20)]]

    for _ in blocking.stream("AAPL"):
        break
    gc.collect()
    ended = server.service.live.ended.wait(10)
    forever.set()

    assert ended


async def test_messages_are_what_the_server_sent(
    client: Client, server: FakeServer
) -> None:
    sent = [said(subscribed(0), token=b"a"), said(trade(1), trade(2), token=b"b")]
    server.service.live.scripts = [[*sent, ENOUGH]]

    async with client.stream("AAPL") as stream:
        messages = stream.messages()
        written = [(await anext(messages)).to_json(indent=None) for _ in sent]

    assert [
        json_format.Parse(line, ingestion_service_pb2.StreamQuotesResponse())
        for line in written
    ] == sent
    assert all("\n" not in line for line in written)


def test_without_asyncio_messages_come_too(
    blocking: SyncClient, server: FakeServer
) -> None:
    server.service.live.scripts = [[said(trade(1), trade(2))]]

    with blocking.stream("AAPL") as stream:
        message = next(stream.messages())

    assert numbers(list(message.items)) == [1, 2]


async def test_a_restarted_server_is_followed_from_its_first_number(
    client: Client, server: FakeServer
) -> None:
    restarted = event(Event.KIND_GAP, tick_kind=TRADES, cause="the server restarted")
    server.service.live.scripts = [
        [said(subscribed(40), trade(41), trade(42), token=b"old"), GONE],
        [
            said(subscribed(0), restarted, token=b"new"),
            said(trade(1), trade(2)),
            ENOUGH,
        ],
    ]

    told = await heard(client)

    assert numbers(told) == ["subscribed", 41, 42, "subscribed", "gap", 1, 2]
    assert not any(each.local for each in told if isinstance(each, StreamEvent))
