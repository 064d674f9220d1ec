"""How far a call came, however it ended."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderUnavailableError,
)
from ingestion_server.ports.http import HttpRequest, HttpResponse, Transport, Trip
from ingestion_server.transport.aiohttp_transport import (
    AiohttpTransport,
    TransportLimits,
)
from ingestion_server.transport.recording import RecordingTransport
from ingestion_server.transport.replay import ReplayTransport
from tests.transport.fakes import (
    HOST,
    HOSTS,
    NAME,
    Acme,
    FakeClock,
    Server,
    ask,
    bars,
)
from tests.transport.fakes import serving as served

SILENT = "http://192.0.2.1"
"""An address out of those for documentation; tests make dialling it hang."""
FORM = msgspec.structs.replace(ask(), method="POST", form=(("a", "b"),))


class Vendor:
    """Answer when told so; redirect whoever asks for ``/away``."""

    def __init__(self) -> None:
        """Keep everybody waiting."""
        self.arrived, self.answers = asyncio.Event(), asyncio.Event()

    async def __call__(self, request: web.Request) -> web.Response:
        """Wait, and answer."""
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": f"{SILENT}/end"})
        self.arrived.set()
        await self.answers.wait()
        return web.Response(body=b"hello")


@asynccontextmanager
async def waiting() -> AsyncIterator[tuple[Vendor, Server]]:
    """Serve as a vendor that keeps everybody waiting until the test is over."""
    vendor = Vendor()
    async with served(vendor) as server:
        try:
            yield vendor, server
        finally:
            vendor.answers.set()


def facing(url: str | None, **limits: int) -> AiohttpTransport:
    """Make a transport towards a server that stands in for all hosts."""
    return AiohttpTransport(
        clock=FakeClock(),
        hosts=HOSTS,
        limits=TransportLimits(**limits),
        rebase=url,
    )


@pytest.fixture
async def dialled(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Swallow what is sent to dial the silent address, and tell that it was."""
    loop, dials = asyncio.get_running_loop(), asyncio.Event()
    connect = loop.sock_connect

    async def sock_connect(sock: socket.socket, address: tuple[str, int]) -> None:
        if SILENT.endswith(address[0]):
            dials.set()
            await asyncio.Event().wait()
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    return dials


def sending(
    transport: Transport, trip: Trip, request: HttpRequest | None = None
) -> asyncio.Task[HttpResponse]:
    """Begin to send."""
    return asyncio.create_task(
        transport.send(request or ask(), timeout_seconds=5, trip=trip)
    )


async def cancelled(task: asyncio.Task[HttpResponse]) -> None:
    """Cancel, and wait until it took effect."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_that_times_out_while_it_connects_never_left(
    dialled: asyncio.Event,
) -> None:
    trip = Trip()

    async with facing(SILENT) as transport:
        with pytest.raises(ProviderUnavailableError, match="did not answer within"):
            await transport.send(ask(), timeout_seconds=0.05, trip=trip)

    assert dialled.is_set()
    assert trip.left is False


async def test_a_call_that_is_cancelled_while_it_connects_never_left(
    dialled: asyncio.Event,
) -> None:
    trip = Trip()

    async with facing(SILENT) as transport:
        task = sending(transport, trip)
        await dialled.wait()
        await cancelled(task)

    assert trip.left is False


async def test_a_call_that_is_cancelled_while_its_name_is_looked_up_never_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trip, looked_up = Trip(), asyncio.Event()

    async def getaddrinfo(*_: object, **__: object) -> list[object]:
        looked_up.set()
        return await asyncio.Future()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with facing("http://nobody.invalid") as transport:
        task = sending(transport, trip)
        await looked_up.wait()
        await cancelled(task)

    assert trip.left is False


@pytest.mark.parametrize("bound", ["connections", "connections_per_host"])
async def test_a_call_that_gives_up_while_it_waits_for_a_connection_never_left(
    bound: str,
) -> None:
    first, late, gone = Trip(), Trip(), Trip()

    async with waiting() as (vendor, server), facing(server.url, **{bound: 1}) as to:
        served_one = sending(to, first)
        await vendor.arrived.wait()
        given_up = sending(to, gone)
        with pytest.raises(ProviderUnavailableError, match="did not answer within"):
            await to.send(ask(), timeout_seconds=0.05, trip=late)
        await cancelled(given_up)
        vendor.answers.set()
        await served_one

    assert (first.left, late.left, gone.left) == (True, False, False)
    assert len(server.asked) == 1


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("request_", [ask(), FORM])
async def test_a_call_that_is_cancelled_after_it_was_sent_has_left(
    request_: HttpRequest, *, kept: bool
) -> None:
    trip = Trip()

    async with waiting() as (vendor, server), facing(server.url) as transport:
        if kept:
            vendor.answers.set()
            await transport.send(ask(), timeout_seconds=5)
            vendor.answers.clear()
            vendor.arrived.clear()
        task = sending(transport, trip, request_)
        await vendor.arrived.wait()
        await cancelled(task)

    assert trip.left is True
    assert len(server.connections) == 1


@pytest.mark.parametrize("request_", [ask(), FORM])
async def test_a_call_has_left_before_its_first_byte_is_written(
    request_: HttpRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip, known = Trip(), list[bool | None]()
    write = socket.socket.send

    def send(sock: socket.socket, data: bytes) -> int:
        if data.startswith((b"GET /bars", b"POST /bars")):
            known.append(trip.left)
        return write(sock, data)

    async with waiting() as (vendor, server), facing(server.url) as transport:
        vendor.answers.set()
        monkeypatch.setattr(socket.socket, "send", send)
        await transport.send(request_, timeout_seconds=5, trip=trip)

    assert known == [True]


async def test_a_call_whose_second_hop_hangs_has_left(dialled: asyncio.Event) -> None:
    trip = Trip()

    async with waiting() as (_, server):
        hosts = {NAME: frozenset({"127.0.0.1", "192.0.2.1"})}
        async with AiohttpTransport(clock=FakeClock(), hosts=hosts) as transport:
            task = sending(transport, trip, HttpRequest(NAME, f"{server.url}/away"))
            await dialled.wait()
            await cancelled(task)

    assert len(server.asked) == 1
    assert trip.left is True


async def test_a_call_that_a_proxy_keeps_waiting_for_its_tunnel_never_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trip = Trip()

    async with waiting() as (vendor, server):
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        async with facing(None) as transport:
            task = sending(transport, trip)
            await vendor.arrived.wait()
            await cancelled(task)

    assert server.asked[0].method == "CONNECT"
    assert trip.left is False


@pytest.mark.parametrize(
    "request_",
    [HttpRequest(NAME, "https://evil.test/"), HttpRequest(NAME, f"https://{HOST}/a b")],
)
async def test_a_call_to_a_foreign_address_never_left(request_: HttpRequest) -> None:
    trip = Trip()

    async with facing("http://127.0.0.1:9") as transport:
        with pytest.raises(MalformedPayloadError):
            await transport.send(request_, timeout_seconds=5, trip=trip)

    assert trip.left is False


async def test_calls_at_the_same_time_know_of_themselves_only(
    dialled: asyncio.Event,
) -> None:
    here, there = Trip(), Trip()
    hosts = {NAME: frozenset({"127.0.0.1", "192.0.2.1"})}

    async with (
        waiting() as (vendor, server),
        AiohttpTransport(clock=FakeClock(), hosts=hosts) as transport,
    ):
        stuck = sending(transport, there, HttpRequest(NAME, f"{SILENT}/bars"))
        await dialled.wait()
        sent = sending(transport, here, HttpRequest(NAME, f"{server.url}/bars"))
        await vendor.arrived.wait()
        known = here.left, there.left
        vendor.answers.set()
        await sent
        await cancelled(stuck)

    assert known == (True, False)


async def test_a_recorder_passes_on_how_far_a_call_came(
    dialled: asyncio.Event, tmp_path: Path
) -> None:
    stays, leaves = Trip(), Trip()

    async with waiting() as (vendor, server):
        vendor.answers.set()
        for url, trip in (SILENT, stays), (server.url, leaves):
            async with facing(url) as live:
                recorder = RecordingTransport(
                    live, tmp_path, [Acme()], clock=FakeClock()
                )
                with suppress(ProviderUnavailableError):
                    await recorder.send(ask(), timeout_seconds=0.2, trip=trip)

    assert dialled.is_set()
    assert (stays.left, leaves.left) == (False, True)


async def test_a_replay_leaves_it_open(tmp_path: Path) -> None:
    trip = Trip()
    recording = tmp_path / "acmecorp" / "bars.json"
    recording.parent.mkdir()
    recording.write_bytes(bars("A"))
    replay = await ReplayTransport.open(tmp_path, [Acme()])

    with pytest.raises(NoDataUnexplainedError):
        await replay.send(ask(symbol="B"), timeout_seconds=1, trip=trip)

    assert trip.left is None
