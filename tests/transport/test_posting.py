"""What is posted to a service of the house arrives, and failures are our own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    ProviderUnavailableError,
)
from ingestion_server.transport.posting import AiohttpPost
from tests.certificates import certified
from tests.transport.fakes import shaking_hands

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """Run a service, and tell its url."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_body_and_its_headers_arrive_and_the_answer_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The proxy leads outside, and what is posted stays inside.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path, await request.read(), request.headers["X-Token"]))
        return web.Response(status=409, body=b"no")

    async with answering(answer) as url, AiohttpPost("etcd") as post:
        reply = await post(
            f"{url}/v3/kv", b"{}", [("X-Token", "abc")], timeout_seconds=30
        )

    assert seen == [("/v3/kv", b"{}", "abc")]
    assert (reply.status, reply.body) == (409, b"no")


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.path == "/here"
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with answering(answer) as url, AiohttpPost("etcd") as post:
        reply = await post(f"{url}/here", b"{}", [], timeout_seconds=30)

    assert reply.status == 302


async def test_who_does_not_answer_in_time_is_unavailable() -> None:
    given_up = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        del request
        await given_up.wait()
        return web.Response()

    async with answering(answer) as url, AiohttpPost("etcd") as post:
        with pytest.raises(ProviderUnavailableError, match=r"within 0\.05 s"):
            await post(url, b"{}", [], timeout_seconds=0.05)
        given_up.set()


async def test_who_is_not_there_is_unavailable() -> None:
    async with AiohttpPost("etcd") as post:
        with pytest.raises(ProviderUnavailableError, match="cannot be reached"):
            await post("http://127.0.0.1:1/v3", b"{}", [], timeout_seconds=30)


async def test_more_than_anybody_needs_is_not_read() -> None:
    async def answer(request: web.Request) -> web.Response:
        del request
        return web.Response(body=b"x" * 65_537)

    async with answering(answer) as url, AiohttpPost("etcd") as post:
        with pytest.raises(MalformedPayloadError, match="more than 65536 bytes"):
            await post(url, b"{}", [], timeout_seconds=30)


async def test_what_is_not_http_is_malformed() -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, AiohttpPost("etcd") as post:
        with pytest.raises(MalformedPayloadError):
            await post(url, b"{}", [], timeout_seconds=30)


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    tmp_path: Path,
) -> None:
    certificate, key = certified(tmp_path)
    async with (
        shaking_hands(certificate, key) as port,
        AiohttpPost("etcd") as post,
    ):
        with pytest.raises(ProviderUnavailableError, match="not valid"):
            await post(f"https://localhost:{port}", b"{}", [], timeout_seconds=30)


async def test_it_must_be_entered() -> None:
    with pytest.raises(RuntimeError):
        await AiohttpPost("etcd")("http://127.0.0.1:1", b"", [], timeout_seconds=1)
