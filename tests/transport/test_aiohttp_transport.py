"""Exchanges with a vendor that answers from this machine."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    ProviderUnavailableError,
)
from ingestion_server.ports.http import HttpRequest, HttpResponse, Trip
from ingestion_server.transport.aiohttp_transport import (
    AiohttpTransport,
    TransportLimits,
)
from ingestion_server.transport.redaction import Redactor
from tests.certificates import certified
from tests.transport.fakes import (
    HOST,
    HOSTS,
    KEY,
    NAME,
    NOW_NS,
    FakeClock,
    Handler,
    Server,
    ask,
    blurting,
    breaking_off,
    serving,
    shaking_hands,
)


@asynccontextmanager
async def facing(handler: Handler, limits: TransportLimits | None = None):
    """Open a transport towards a server that stands in for all hosts."""
    async with (
        serving(handler) as server,
        AiohttpTransport(
            clock=FakeClock(),
            hosts=HOSTS,
            limits=limits,
            rebase=server.url,
            redactor=Redactor(lambda: [KEY], ["key"]),
        ) as transport,
    ):
        yield transport, server


async def sent(
    url: str, request: HttpRequest | None = None, trip: Trip | None = None
) -> HttpResponse:
    """Send one request to a server at some url."""
    async with AiohttpTransport(
        clock=FakeClock(), hosts=HOSTS, rebase=url
    ) as transport:
        return await transport.send(request or ask(), timeout_seconds=5, trip=trip)


def always(answer: Callable[[], web.Response]) -> Handler:
    """Give the same answer to everybody."""

    async def handler(request: web.Request) -> web.Response:
        del request
        return answer()

    return handler


def hello() -> web.Response:
    """Answer with a greeting."""
    return web.Response(body=b"hello", headers={"X-Two": "words"})


async def test_an_answer_arrives_with_its_facts() -> None:
    async with facing(always(hello)) as (transport, server):
        response = await transport.send(ask(symbol="A"), timeout_seconds=5)

    assert (response.status, response.body) == (200, b"hello")
    assert response.received_at_ns == NOW_NS
    assert response.headers["x-two"] == "words"
    assert response.url == f"https://{HOST}/bars?symbol=A"
    assert server.asked[0].host == HOST
    assert transport.as_of_ns(ask()) is None


async def test_a_url_goes_over_the_wire_as_it_was_built() -> None:
    request = ask("/chart/%5EGSPC", symbol="EURUSD=X", events="div|split", q="a b+c")

    async with facing(always(hello)) as (transport, server):
        await transport.send(request, timeout_seconds=5)

    assert server.asked[0].raw_path == (
        "/chart/%5EGSPC?symbol=EURUSD%3DX&events=div|split&q=a%20b%2Bc"
    )


async def test_a_form_is_posted() -> None:
    bodies = []

    async def handler(request: web.Request) -> web.Response:
        bodies.append((request.method, request.content_type, await request.text()))
        return hello()

    async with facing(handler) as (transport, _):
        request = msgspec.structs.replace(ask(), method="POST", form=(("a", "b c"),))
        await transport.send(request, timeout_seconds=5)

    assert bodies == [("POST", "application/x-www-form-urlencoded", "a=b+c")]


async def test_an_aiohttp_that_does_not_tell_when_a_request_leaves_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "ingestion_server.transport.aiohttp_transport._Leaving.send",
        aiohttp.ClientRequest.send,
    )

    async with facing(always(hello)) as (transport, _):
        with pytest.raises(RuntimeError, match="when a request leaves"):
            await transport.send(ask(), timeout_seconds=5)


async def test_connections_are_kept_and_bounded() -> None:
    async with facing(always(hello), TransportLimits(connections_per_host=2)) as (
        transport,
        server,
    ):
        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(transport.send(ask(), timeout_seconds=5))
        await transport.send(ask(), timeout_seconds=5)

    assert len(server.asked) == 21
    assert len(server.connections) <= 2


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_bodies_are_decompressed(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    def answer() -> web.Response:
        return web.Response(
            body=compress(b"hello" * 1000), headers={"Content-Encoding": encoding}
        )

    async with facing(always(answer)) as (transport, server):
        response = await transport.send(ask(), timeout_seconds=5)

    assert response.body == b"hello" * 1000
    assert encoding in server.asked[0].headers["Accept-Encoding"]


async def test_a_bomb_is_stopped_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))

    def answer() -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with facing(always(answer), TransportLimits(body_bytes=1_000_000)) as (
        transport,
        _,
    ):
        with pytest.raises(MalformedPayloadError, match="more than 1000000 bytes"):
            await transport.send(ask(), timeout_seconds=5)


@pytest.mark.parametrize("size", [1000, 1001])
async def test_the_largest_body_is_the_last_one_taken(size: int) -> None:
    def answer() -> web.Response:
        return web.Response(body=bytes(size))

    async with facing(always(answer), TransportLimits(body_bytes=1000)) as (
        transport,
        _,
    ):
        if size == 1000:
            assert (await transport.send(ask(), timeout_seconds=5)).body == bytes(1000)
        else:
            with pytest.raises(MalformedPayloadError):
                await transport.send(ask(), timeout_seconds=5)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (OK + b"Content-Length: 9\r\n\r\nabc", ProviderUnavailableError, "cut"),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nab",
            ProviderUnavailableError,
            "cut",
        ),
        (b"", ProviderUnavailableError, "cut"),
        (
            OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
            MalformedPayloadError,
            "not encoded",
        ),
        (
            OK
            + b"Content-Encoding: deflate\r\nContent-Length: 9\r\n\r\n"
            + zlib.compress(b"hello" * 99)[:9],
            MalformedPayloadError,
            "not encoded",
        ),
        (b"what do you mean?\r\n\r\n", MalformedPayloadError, "not HTTP"),
    ],
)
async def test_broken_answers_are_told_apart(
    answer: bytes, error: type[Exception], words: str
) -> None:
    async with blurting(answer) as url:
        with pytest.raises(error, match=words) as caught:
            await sent(url, ask(key=KEY))

    told = f"{caught.value!r} {caught.value.__cause__!r}"
    assert KEY not in told
    assert "key=" not in told


async def test_who_does_not_answer_is_not_waited_for() -> None:
    trip = Trip()
    forever = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        del request
        await forever.wait()
        return hello()

    async with facing(handler) as (transport, _):
        with pytest.raises(
            ProviderUnavailableError, match=r"did not answer within 0\.05 s"
        ):
            await transport.send(ask(), timeout_seconds=0.05, trip=trip)
        forever.set()

    assert trip.left is True


async def test_a_body_that_never_ends_is_not_waited_for() -> None:
    forever = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        await reply.write(b"hel")
        await forever.wait()
        return reply

    async with facing(handler) as (transport, _):
        with pytest.raises(ProviderUnavailableError, match="did not answer within"):
            await transport.send(ask(), timeout_seconds=0.05)
        forever.set()


async def test_cancelling_is_passed_on() -> None:
    arrived, forever = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        del request
        arrived.set()
        await forever.wait()
        return hello()

    async with facing(handler) as (transport, _):
        task = asyncio.create_task(transport.send(ask(), timeout_seconds=5))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        forever.set()


async def test_nobody_at_home_is_unavailable() -> None:
    trip = Trip()
    async with serving(always(hello)) as server:
        url = server.url

    with pytest.raises(ProviderUnavailableError, match="cannot be reached") as caught:
        await sent(url, ask(key=KEY), trip=trip)

    assert HOST in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert trip.left is False


async def test_a_name_that_nobody_knows_is_told_and_the_call_never_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trip = Trip()

    async def getaddrinfo(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)

    with pytest.raises(ProviderUnavailableError, match="name is not known"):
        await sent("http://nobody.invalid", ask(), trip=trip)

    assert trip.left is False


async def test_a_certificate_that_is_not_valid_ends_a_call_that_never_left(
    tmp_path: Path,
) -> None:
    trip = Trip()
    certificate, key = certified(tmp_path)
    transport = AiohttpTransport(
        clock=FakeClock(), hosts={NAME: frozenset({"localhost"})}
    )

    async with shaking_hands(certificate, key) as port, transport:
        request = HttpRequest(NAME, f"https://localhost:{port}/bars")
        with pytest.raises(ProviderUnavailableError, match="certificate"):
            await transport.send(request, timeout_seconds=5, trip=trip)

    assert trip.left is False


async def test_a_proxy_that_opens_no_tunnel_ends_a_call_that_never_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trip = Trip()
    async with blurting(b"HTTP/1.1 403 Forbidden\r\n\r\n") as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        async with AiohttpTransport(clock=FakeClock(), hosts=HOSTS) as transport:
            with pytest.raises(ProviderUnavailableError, match="refused"):
                await transport.send(ask(), timeout_seconds=5, trip=trip)

    assert trip.left is False


async def test_a_call_whose_second_hop_finds_nobody_has_left() -> None:
    trip = Trip()
    async with serving(always(hello)) as nobody:
        elsewhere = nobody.url

    def away() -> web.Response:
        return web.Response(status=302, headers={"Location": f"{elsewhere}/end"})

    hosts = {NAME: frozenset({"127.0.0.1"})}
    transport = AiohttpTransport(clock=FakeClock(), hosts=hosts)

    async with serving(always(away)) as server, transport:
        with pytest.raises(ProviderUnavailableError, match="be reached"):
            await transport.send(
                HttpRequest(NAME, f"{server.url}/bars"), timeout_seconds=5, trip=trip
            )

    assert len(server.asked) == 1
    assert trip.left is True


@pytest.mark.parametrize("answer", [b"", OK + b"Content-Length: 9\r\n\r\nabc"])
async def test_a_call_that_is_cut_has_left(answer: bytes) -> None:
    trip = Trip()
    async with blurting(answer) as url:
        with pytest.raises(ProviderUnavailableError, match="cut"):
            await sent(url, trip=trip)

    assert trip.left is True


async def test_a_call_that_is_reset_after_it_was_sent_has_left() -> None:
    trip = Trip()

    async def reset(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return hello()

    async with facing(reset) as (transport, server):
        with pytest.raises(ProviderUnavailableError):
            await transport.send(ask(), timeout_seconds=5, trip=trip)

    assert len(server.asked) == 1
    assert trip.left is True


async def test_what_left_over_a_kept_connection_is_not_sent_again_unasked() -> None:
    trip = Trip()
    async with (
        breaking_off(after=1) as (url, asked),
        AiohttpTransport(clock=FakeClock(), hosts=HOSTS, rebase=url) as transport,
    ):
        await transport.send(ask(), timeout_seconds=5)

        with pytest.raises(ProviderUnavailableError, match="cut"):
            await transport.send(ask(), timeout_seconds=5, trip=trip)

    assert len(asked) == 2
    assert trip.left is True


async def test_a_header_that_no_wire_carries_is_not_sent() -> None:
    request = msgspec.structs.replace(ask(), headers=(("X", "a\r\nb"),))

    async with facing(always(hello)) as (transport, server):
        with pytest.raises(MalformedPayloadError, match="cannot carry"):
            await transport.send(request, timeout_seconds=5)

    assert server.asked == []


async def test_an_unopened_transport_says_so() -> None:
    transport = AiohttpTransport(clock=FakeClock(), hosts=HOSTS)

    with pytest.raises(RuntimeError, match="not open"):
        await transport.send(ask(), timeout_seconds=1)


@pytest.mark.parametrize(
    ("target", "host", "url"),
    [
        ("/end", HOST, f"https://{HOST}/end"),
        ("end?a=b#part", HOST, f"https://{HOST}/end?a=b"),
        ("//www.acme.test/end", "www.acme.test", "https://www.acme.test/end"),
        ("https://www.acme.test/end", "www.acme.test", "https://www.acme.test/end"),
        # A simulator speaks plain HTTP, and may name itself.
        ("http://www.acme.test/end", "www.acme.test", "http://www.acme.test/end"),
        ("ORIGIN/end", HOST, f"https://{HOST}/end"),
        ("/end?q=é b", HOST, f"https://{HOST}/end?q=%C3%A9%20b"),
    ],
)
async def test_redirects_stay_with_the_vendor(target: str, host: str, url: str) -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/bars":
            origin = (
                f"http://127.0.0.1:{request.transport.get_extra_info('sockname')[1]}"
            )
            location = target.replace("ORIGIN", origin)
            return web.Response(status=302, headers={"Location": location})
        return web.Response(text=request.host)

    async with facing(handler) as (transport, _):
        response = await transport.send(ask(), timeout_seconds=5)

    assert (response.body.decode(), response.url) == (host, url)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("https://evil.test/?key=k3y", "the host evil.test"),
        ("https://evil.test@api.acme.test/", "refused"),
        ("ftp://api.acme.test/", "refused"),
        ("https://[half", "no url"),
        ("https://api.acme.test:port/", "no url"),
    ],
)
async def test_redirects_elsewhere_are_not_followed(target: str, words: str) -> None:
    def answer() -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    async with facing(always(answer)) as (transport, server):
        with pytest.raises(MalformedPayloadError, match=words) as caught:
            await transport.send(ask(), timeout_seconds=5)

    assert "k3y" not in str(caught.value)
    assert len(server.asked) == 1


async def test_redirects_in_circles_end() -> None:
    def answer() -> web.Response:
        return web.Response(status=307, headers={"Location": "/bars"})

    async with facing(always(answer)) as (transport, server):
        with pytest.raises(MalformedPayloadError, match="more than 10 times"):
            await transport.send(ask(), timeout_seconds=5)

    assert len(server.asked) == 11


async def test_redirects_are_the_callers_if_it_wants_them() -> None:
    def answer() -> web.Response:
        return web.Response(status=302, headers={"Location": "https://evil.test/"})

    async with facing(always(answer)) as (transport, _):
        request = msgspec.structs.replace(ask(), follow_redirects=False)
        response = await transport.send(request, timeout_seconds=5)

    assert response.status == HTTPStatus.FOUND
    assert response.headers["location"] == "https://evil.test/"


async def test_cookies_of_all_hops_are_seen_and_none_is_kept() -> None:
    async def handler(request: web.Request) -> web.Response:
        reply = web.Response()
        reply.headers.add("Set-Cookie", f"a{request.path[1:]}=1; Path=/")
        if request.path == "/bars":
            reply.headers.add("Set-Cookie", "b=2")
            reply.headers["Location"] = "/end"
            reply.set_status(302)
        return reply

    async with facing(handler) as (transport, server):
        response = await transport.send(ask(), timeout_seconds=5)
        await transport.send(ask(), timeout_seconds=5)

    assert response.headers["set-cookie"] == "abars=1; Path=/\nb=2\naend=1; Path=/"
    assert not any("Cookie" in request.headers for request in server.asked)


@pytest.mark.parametrize(
    ("status", "expected"), [(301, "GET "), (303, "GET "), (307, "POST a=b")]
)
async def test_a_redirected_form_is_sent_again_only_if_that_was_asked(
    status: int, expected: str
) -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/bars":
            target = "https://www.acme.test/end"
            return web.Response(status=status, headers={"Location": target})
        assert "Authorization" not in request.headers
        return web.Response(text=f"{request.method} {await request.text()}")

    request = msgspec.structs.replace(
        ask(),
        method="POST",
        form=(("a", "b"),),
        headers=(("Authorization", "Bearer 12345"), ("Content-Type", "x/y")),
    )
    async with facing(handler) as (transport, _):
        response = await transport.send(request, timeout_seconds=5)

    assert response.body.decode() == expected


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest(NAME, "https://evil.test/"),
        HttpRequest("nobody", f"https://{HOST}/"),
        HttpRequest(NAME, f"https://{HOST}/a b"),
        HttpRequest(NAME, f"file://{HOST}/etc"),
        HttpRequest(NAME, "what?"),
    ],
)
async def test_foreign_addresses_are_not_dialled(request_: HttpRequest) -> None:
    with pytest.raises(MalformedPayloadError):
        await sent("http://127.0.0.1:9", request_)


async def test_a_body_that_repeats_our_key_does_not_leave() -> None:
    def answer() -> web.Response:
        text = f'{{"Note": "your key is {KEY}"}}'
        return web.Response(text=text, headers={"X-Asked": f"/bars?key={KEY}"})

    async with facing(always(answer)) as (transport, _):
        response = await transport.send(ask(key=KEY), timeout_seconds=5)

    assert response.body == b'{"Note": "your key is ***"}'
    assert response.headers["x-asked"] == "/bars?key=***"
    assert response.url == f"https://{HOST}/bars?key=***"


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """Name a proxy in the environment, which answers for everybody."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=f"by proxy: {request.raw_path}")

    async with serving(handler) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        yield server


async def test_proxies_are_honoured(proxy: Server) -> None:
    async with AiohttpTransport(clock=FakeClock(), hosts=HOSTS) as transport:
        request = HttpRequest(NAME, f"http://{HOST}/bars", (("a", "^"),))
        response = await transport.send(request, timeout_seconds=5)

    assert response.body.decode() == f"by proxy: http://{HOST}/bars?a=%5E"
    assert len(proxy.asked) == 1


async def test_a_simulator_is_dialled_without_a_proxy(proxy: Server) -> None:
    async with facing(always(hello)) as (transport, _):
        response = await transport.send(ask(), timeout_seconds=5)

    assert (response.body, proxy.asked) == (b"hello", [])
