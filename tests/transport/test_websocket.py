"""WebSockets to a vendor that answers from this machine."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from typing_extensions import override
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    MalformedPayloadError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.ports.http import HttpRequest
from ingestion_server.transport.redaction import Redactor
from ingestion_server.transport.websocket import SocketLimits, WebSocketDialler
from tests.certificates import certified
from tests.clocks import ManualClock
from tests.transport.fakes import (
    HOST,
    HOSTS,
    KEY,
    NAME,
    blurting,
    breaking_off,
    serving,
    shaking_hands,
)

Talk = Callable[[ServerConnection], Awaitable[None]]
ASK = HttpRequest(NAME, f"wss://{HOST}", (("key", KEY),), headers=(("X-Two", "w"),))
REDACTOR = Redactor(lambda: [KEY], ["key"])
QUICK = SocketLimits(close_seconds=0.1)
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class CountingClock(ManualClock):
    """Let a test wait until somebody has gone to sleep so many times."""

    def __init__(self) -> None:
        """Run by itself."""
        super().__init__()
        self._times = 0
        self._asleep = asyncio.Condition()

    @override
    async def sleep(self, seconds: float) -> None:
        """Count, and sleep."""
        async with self._asleep:
            self._times += 1
            self._asleep.notify_all()
        await super().sleep(seconds)

    async def slept_times(self, times: int) -> None:
        """Wait until ``sleep`` was called so many times from now."""
        goal = self._times + times
        async with self._asleep:
            await self._asleep.wait_for(lambda: self._times >= goal)


@dataclass
class Vendor:
    """Be a WebSocket server and what it saw."""

    url: str = ""
    asked: list[Request] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a conversation is over."""


@asynccontextmanager
async def talking(
    talk: Talk,
    answer: Callable[[ServerConnection], Response] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Vendor]:
    """Run a server that talks to everybody, or answers the handshake otherwise."""
    vendor = Vendor()

    def handshake(connection: ServerConnection, request: Request) -> Response | None:
        vendor.asked.append(request)
        return None if answer is None else answer(connection)

    async def handler(connection: ServerConnection) -> None:
        try:
            await talk(connection)
        except ConnectionClosed:
            pass
        finally:
            vendor.ended.set()

    quiet = logging.Logger("quiet")  # noqa: LOG001 - nobody shall hear it
    async with serve(
        handler, "127.0.0.1", 0, process_request=handshake, logger=quiet, ssl=tls
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        vendor.url = (
            f"http://127.0.0.1:{port}" if tls is None else f"wss://localhost:{port}"
        )
        yield vendor


@asynccontextmanager
async def mute(last_words: bytes = b"") -> AsyncIterator[str]:
    """Run a server that shakes hands, says this, and is never heard of again."""
    writers = list[asyncio.StreamWriter]()

    async def shake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(
            line.partition(":")[2].strip()
            for line in head.split("\r\n")
            if line.lower().startswith("sec-websocket-key")
        )
        digest = hashlib.sha1((key + _MAGIC).encode(), usedforsecurity=False).digest()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
            + base64.b64encode(digest)
            + b"\r\n\r\n"
            + last_words
        )
        await writer.drain()

    server = await asyncio.start_server(shake, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in writers:
            writer.transport.abort()


@dataclass
class Tunnels:
    """Be a proxy that leads wherever it is told, and what it was told."""

    url: str = ""
    heads: list[str] = field(default_factory=list)


@asynccontextmanager
async def tunnelling() -> AsyncIterator[Tunnels]:
    """Run a proxy that answers ``CONNECT``."""
    tunnels, writers = Tunnels(), list[asyncio.StreamWriter]()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65_536):
            sink.write(chunk)
            await sink.drain()
        sink.close()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        tunnels.heads.append(head)
        host, _, port = head.split()[1].rpartition(":")
        beyond, there = await asyncio.open_connection(host, int(port))
        writers.extend((writer, there))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(
            carry(reader, there), carry(beyond, writer), return_exceptions=True
        )

    server = await asyncio.start_server(lead, "127.0.0.1", 0)
    async with server:
        tunnels.url = f"http://me:p%40ss@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield tunnels
        for writer in writers:
            writer.transport.abort()


def dialler(
    url: str | None,
    limits: SocketLimits = QUICK,
    clock: ManualClock | None = None,
    hosts: frozenset[str] = HOSTS[NAME],
) -> WebSocketDialler:
    """Dial a simulator; its pings wait until a test lets time pass."""
    return WebSocketDialler(
        clock=clock or ManualClock(runs=False),
        hosts={NAME: hosts},
        rebase=url,
        redactor=REDACTOR,
        limits=limits,
    )


async def failure(
    url: str | None,
    request: HttpRequest = ASK,
    limits: SocketLimits = QUICK,
    hosts: frozenset[str] = HOSTS[NAME],
) -> ProviderError:
    """Return why a connection cannot be opened; nothing of it shows the key."""
    with pytest.raises(ProviderError) as caught:
        async with dialler(url, limits, hosts=hosts).connect(request):
            pass
    shown = "".join(traceback.format_exception(caught.value))
    assert "k3y" not in shown
    return caught.value


async def echo(connection: ServerConnection) -> None:
    """Say what is heard."""
    async for message in connection:
        await connection.send(message)


async def silence(connection: ServerConnection) -> None:
    """Say nothing, and answer pings."""
    await connection.wait_closed()


def saying(*messages: str | bytes, then: Talk = silence) -> Talk:
    """Say this, and do something else."""

    async def talk(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)
        await then(connection)

    return talk


async def test_messages_go_both_ways() -> None:
    async with (
        talking(echo) as vendor,
        dialler(vendor.url).connect(ASK) as socket,
    ):
        await socket.send("hello")

        assert await socket.receive() == "hello"


async def test_the_vendor_is_told_what_it_would_be_told_elsewhere() -> None:
    async with talking(echo) as vendor, dialler(vendor.url).connect(ASK):
        pass

    (asked,) = vendor.asked
    assert asked.path == "/?key=k3y%2Fwith%2Bsigns"
    assert asked.headers["Host"] == HOST
    assert asked.headers["X-Two"] == "w"
    assert "Sec-WebSocket-Extensions" not in asked.headers


async def test_what_is_there_is_taken_at_once_and_in_order() -> None:
    messages = [str(number) for number in range(500)]

    async with (
        talking(saying(*messages)) as vendor,
        dialler(vendor.url).connect(ASK) as socket,
    ):
        assert socket.pending() == []
        heard = list[str | bytes]()
        while len(heard) < len(messages):
            heard.append(await socket.receive())
            heard += socket.pending()

    assert heard == messages


async def test_bytes_stay_bytes_and_our_key_is_blanked_in_both() -> None:
    async with (
        talking(saying(b"\xffk3y/with+signs", f'{{"url":"?key={KEY}"}}')) as vendor,
        dialler(vendor.url).connect(ASK) as socket,
    ):
        assert await socket.receive() == b"\xff***"
        assert await socket.receive() == '{"url":"?key=***"}'


async def test_no_more_is_read_than_there_is_room_for() -> None:
    messages = [f"{number:05}" + "x" * 5000 for number in range(4000)]
    said = list[str]()

    async def talk(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)
            said.append(message)
        await connection.wait_closed()

    limits = SocketLimits(queue_messages=8)
    async with (
        talking(talk) as vendor,
        dialler(vendor.url, limits).connect(ASK) as socket,
    ):
        heard = [await socket.receive()]
        while len(heard) < len(messages):
            # 20 MB are more than all buffers on the way hold.
            assert len(said) < len(heard) + 3000
            there = socket.pending()
            assert len(there) <= 8
            heard += there or [await socket.receive()]

    assert heard == messages


async def test_large_messages_fill_the_queue_sooner() -> None:
    limits = SocketLimits(queue_characters=20_000)
    messages = [str(number) * 9_999 for number in range(9)]

    async with (
        talking(saying(*messages)) as vendor,
        dialler(vendor.url, limits).connect(ASK) as socket,
    ):
        heard = [await socket.receive()]
        while len(heard) < len(messages):
            there = socket.pending()
            assert len(there) <= 3
            heard += there or [await socket.receive()]

    assert heard == messages


async def test_a_pong_is_heard() -> None:
    clock = CountingClock()

    async with (
        talking(silence) as vendor,
        dialler(vendor.url, clock=clock).connect(ASK) as socket,
    ):
        before = socket.heard_at
        await clock.slept_times(3)

        assert socket.heard_at >= before + 2 * QUICK.ping_seconds


async def test_a_ping_is_answered() -> None:
    async def talk(connection: ServerConnection) -> None:
        await (await connection.ping(b"there?"))
        await connection.send("a pong came")
        await connection.wait_closed()

    async with (
        talking(talk) as vendor,
        dialler(vendor.url).connect(ASK) as socket,
        asyncio.timeout(5),
    ):
        assert await socket.receive() == "a pong came"


async def test_a_message_is_heard() -> None:
    clock = ManualClock(runs=False)

    async with (
        talking(echo) as vendor,
        dialler(vendor.url, clock=clock).connect(ASK) as socket,
    ):
        clock.pass_by(3)
        await socket.send("x")
        await socket.receive()

        assert socket.heard_at == clock.monotonic()


async def test_a_lost_pong_is_a_loss() -> None:
    limits = SocketLimits(pong_seconds=0.05, close_seconds=0.1)

    async with (
        mute() as url,
        dialler(url, limits, CountingClock()).connect(ASK) as socket,
    ):
        with pytest.raises(ProviderUnavailableError, match="did not answer a ping"):
            await socket.receive()
        with pytest.raises(ProviderUnavailableError, match="did not answer a ping"):
            await socket.send("x")


async def test_who_does_not_read_does_not_lose_the_connection() -> None:
    clock = CountingClock()
    limits = SocketLimits(pong_seconds=0.01, queue_messages=2)
    # More than all buffers on the way hold, so that no pong comes through.
    messages = [str(number % 10) * 500_000 for number in range(60)]

    async with (
        talking(saying(*messages)) as vendor,
        dialler(vendor.url, limits, clock).connect(ASK) as socket,
    ):
        await clock.slept_times(4)

        assert [await socket.receive() for _ in messages] == messages


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (1000, "", r"closed the connection \(1000\)"),
        (1001, "going away", r"closed the connection \(1001 going away\)"),
        (4000, f"bad {KEY}", r"closed the connection \(4000 bad \*\*\*\)"),
    ],
)
async def test_a_close_is_a_loss_after_the_last_message(
    code: int, reason: str, words: str
) -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.send("last words")
        await connection.close(code, reason)

    async with (
        talking(talk) as vendor,
        dialler(vendor.url).connect(ASK) as socket,
    ):
        await vendor.ended.wait()

        assert await socket.receive() == "last words"
        for _ in range(2):
            with pytest.raises(ProviderUnavailableError, match=words) as caught:
                await socket.receive()
            assert caught.value.provider == NAME
        with pytest.raises(ProviderUnavailableError, match=words):
            await socket.send("hello?")
        assert socket.pending() == []


async def test_a_close_may_have_no_code_and_a_message_may_come_at_once() -> None:
    # Both in the packet of the handshake, the message in two pieces.
    async with (
        mute(b"\x01\x02he\x80\x03llo\x88\x00") as url,
        dialler(url).connect(ASK) as socket,
        asyncio.timeout(5),
    ):
        assert await socket.receive() == "hello"
        with pytest.raises(ProviderUnavailableError, match=r"connection \(1005\)"):
            await socket.receive()


async def test_an_end_without_a_word_is_a_loss() -> None:
    async def talk(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with talking(talk) as vendor, dialler(vendor.url).connect(ASK) as socket:
        with pytest.raises(ProviderUnavailableError, match="cut the connection"):
            await socket.receive()


async def test_a_message_that_is_too_large_ends_the_connection() -> None:
    limits = SocketLimits(message_bytes=1000, close_seconds=0.1)

    async with (
        talking(saying("x" * 1000, "x" * 1001)) as vendor,
        dialler(vendor.url, limits).connect(ASK) as socket,
    ):
        assert len(await socket.receive()) == 1000
        with pytest.raises(ProviderUnavailableError, match="more than 1000 bytes"):
            await socket.receive()


@pytest.mark.parametrize("rubbish", [b"\xff\xff\xff\xff", b"\x81\x02\xff\xff"])
async def test_rubbish_ends_the_connection(rubbish: bytes) -> None:
    async def talk(connection: ServerConnection) -> None:
        connection.transport.write(rubbish)
        await connection.wait_closed()

    async with talking(talk) as vendor, dialler(vendor.url).connect(ASK) as socket:
        with pytest.raises(ProviderUnavailableError, match="no WebSocket message"):
            await socket.receive()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, ProviderUnavailableError),
        (302, ProviderUnavailableError),
        (400, ProviderUnavailableError),
        (401, CredentialsRefusedError),
        (403, CredentialsRefusedError),
        (404, ProviderUnavailableError),
        (429, QuotaExhaustedError),
        (503, ProviderUnavailableError),
    ],
)
async def test_a_refused_handshake_is_what_its_status_says(
    status: int, kind: type[ProviderError]
) -> None:
    def answer(connection: ServerConnection) -> Response:
        response = connection.respond(status, f"your key {KEY}")  # type: ignore[arg-type]
        response.headers["Location"] = f"ws://elsewhere.test/?key={KEY}"
        response.headers["Retry-After"] = "7"
        return response

    async with talking(silence, answer) as vendor:
        refused = await failure(vendor.url)

    assert type(refused) is kind
    assert str(status) in str(refused)
    assert len(vendor.asked) == 1
    waits = status in {429, 503}
    assert refused.retry_after_seconds == (7 if waits else None)


@pytest.mark.parametrize(
    "answer", [f"no HTTP ?key={KEY}\r\n\r\n", f"HTTP/1.1 {KEY}\r\n\r\n", ""]
)
async def test_an_answer_that_is_no_http_is_unavailable(answer: str) -> None:
    async with blurting(answer.encode()) as url:
        refused = await failure(url)

    assert isinstance(refused, ProviderUnavailableError)
    assert str(refused) == f"{NAME} ({HOST}) did not answer the handshake with HTTP"


async def test_who_hangs_up_on_a_handshake_is_not_asked_again() -> None:
    async with breaking_off(after=0) as (url, asked):
        refused = await failure(url)

    assert isinstance(refused, ProviderUnavailableError)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "headers",
    [
        "Upgrade: tea",
        "Connection: Upgrade\r\nUpgrade: tea",
        "Upgrade: websocket",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: no",
    ],
)
async def test_a_handshake_with_the_wrong_answer_is_unavailable(headers: str) -> None:
    wrong = f"HTTP/1.1 101 Switching Protocols\r\n{headers}\r\n\r\n"

    async with blurting(wrong.encode()) as url:
        refused = await failure(url)

    assert isinstance(refused, ProviderUnavailableError)
    assert "did not agree to a WebSocket" in str(refused)


async def test_who_does_not_answer_in_time_is_unavailable() -> None:
    async def hang(request: web.Request) -> web.Response:
        del request
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async with serving(hang) as server:
        refused = await failure(server.url, limits=SocketLimits(open_seconds=0.05))

    assert isinstance(refused, ProviderUnavailableError)
    assert "did not answer in time" in str(refused)


async def test_who_is_not_there_is_unavailable() -> None:
    async with blurting(b"") as url:
        pass

    refused = await failure(url)

    assert isinstance(refused, ProviderUnavailableError)
    assert str(refused) == f"{NAME} ({HOST}) cannot be reached"


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path,
) -> None:
    async with shaking_hands(*certified(tmp_path)) as port:
        request = HttpRequest(NAME, f"wss://localhost:{port}", (("key", KEY),))
        refused = await failure(None, request, hosts=frozenset({"localhost"}))

    assert isinstance(refused, ProviderUnavailableError)
    assert "a certificate that is not valid" in str(refused)
    assert refused.__cause__ is not None


@pytest.mark.parametrize(
    "url",
    [f"https://{HOST}", "wss://elsewhere.test", f"wss://a@{HOST}", "wss://x y", "wss:"],
)
async def test_only_the_vendor_is_dialled(url: str) -> None:
    refused = await failure(None, HttpRequest(NAME, url, (("key", KEY),)))

    assert isinstance(refused, MalformedPayloadError)


async def test_tls_is_spoken_and_tunnelled_through_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = certified(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    heard = list[str | bytes]()

    async with tunnelling() as tunnels, talking(echo, tls=tls) as vendor:
        monkeypatch.setenv("https_proxy", tunnels.url)
        request = HttpRequest(NAME, vendor.url, (("key", KEY),))
        for others in ("", "localhost"):
            monkeypatch.setenv("no_proxy", others)
            async with (
                asyncio.timeout(5),
                dialler(None, hosts=frozenset({"localhost"})).connect(request) as line,
            ):
                await line.send("x")
                heard.append(await line.receive())

    assert heard == ["x", "x"]
    # The second went there straight.
    (head,) = tunnels.heads
    assert head.startswith(f"CONNECT {vendor.url.removeprefix('wss://')} ")
    assert f"Basic {base64.b64encode(b'me:p@ss').decode()}" in head
    assert "k3y" not in head


async def test_proxies_are_honoured_and_a_simulator_is_dialled_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        del request
        return web.Response(status=403)

    async with serving(refuse) as proxy, talking(echo) as vendor:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        refused = await failure(None)
        async with dialler(vendor.url).connect(ASK) as socket:
            await socket.send("x")
            assert await socket.receive() == "x"

    assert isinstance(refused, ProviderUnavailableError)
    assert "the proxy refused" in str(refused)


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://127.0.0.1:1", "SOCKS proxy is not supported"),
        ("gopher://127.0.0.1:1", "the proxy's address is no url"),
    ],
)
async def test_a_proxy_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, proxy: str, words: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)

    refused = await failure(None)

    assert isinstance(refused, ProviderUnavailableError)
    assert words in str(refused)


async def test_the_log_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with talking(echo) as vendor, dialler(vendor.url).connect(ASK) as socket:
            await socket.send("x")
            await socket.receive()
        async with blurting(b"no HTTP") as url:
            await failure(url)

    assert "k3y" not in caplog.text


async def test_leaving_says_goodbye() -> None:
    codes = list[int | None]()

    async def talk(connection: ServerConnection) -> None:
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with talking(talk) as vendor:
        async with dialler(vendor.url).connect(ASK) as socket:
            pass
        await vendor.ended.wait()
        with pytest.raises(ProviderUnavailableError):
            await socket.receive()

    assert codes == [1000]


async def test_leaving_says_goodbye_also_where_much_waits_to_be_read() -> None:
    codes = list[int | None]()

    async def talk(connection: ServerConnection) -> None:
        try:
            for _ in range(2000):
                await connection.send("x" * 500)
            await connection.wait_closed()
        finally:
            codes.append(connection.close_code)

    limits = SocketLimits(queue_messages=2)
    async with talking(talk) as vendor, asyncio.timeout(5):
        async with dialler(vendor.url, limits).connect(ASK) as socket:
            await socket.receive()
        await vendor.ended.wait()

    assert codes == [1000]
    assert not _tasks()


async def test_leaving_does_not_wait_for_a_peer_that_is_dead() -> None:
    async with mute() as url, asyncio.timeout(5), dialler(url).connect(ASK):
        pass

    assert not _tasks()


async def test_leaving_does_not_wait_for_a_peer_that_reads_nothing() -> None:
    async with mute() as url, asyncio.timeout(5):
        async with dialler(url).connect(ASK) as socket:
            sending = asyncio.create_task(socket.send("x" * 30_000_000))
            await asyncio.sleep(0)
        await asyncio.gather(sending, return_exceptions=True)
        with pytest.raises(ProviderUnavailableError, match="was left"):
            await socket.send("y")


async def test_a_failure_inside_goes_through_as_it_is() -> None:
    async with talking(echo) as vendor:
        with pytest.raises(KeyError):
            async with dialler(vendor.url).connect(ASK):
                raise KeyError
        await vendor.ended.wait()

    assert not _tasks()


async def test_waiting_can_be_cancelled_and_gone_on_with() -> None:
    async with (
        talking(echo) as vendor,
        dialler(vendor.url).connect(ASK) as socket,
    ):
        waiting = asyncio.create_task(socket.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await socket.send("x")

        assert waiting.cancelled()
        assert await socket.receive() == "x"


async def test_cancelling_leaves_nothing_behind() -> None:
    connected = asyncio.Event()

    async def listen(url: str) -> None:
        async with dialler(url).connect(ASK) as socket:
            connected.set()
            await socket.receive()

    async with mute() as url, asyncio.timeout(5):
        listening = asyncio.create_task(listen(url))
        await connected.wait()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

        assert listening.cancelled()
        assert not _tasks()


def _tasks() -> list[str]:
    """Return the names of the dialler's tasks that still run."""
    return [
        task.get_name()
        for task in asyncio.all_tasks()
        if task.get_name().startswith("websocket:")
    ]
