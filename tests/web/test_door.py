"""Probes learn whether the server lives and takes calls; others learn little."""

import asyncio
import contextlib
import errno
import functools
import json
from collections.abc import Callable, Coroutine, Sequence

import aiohttp
import pytest
import uvloop

from ingestion_server.web import Check, Report, Stage
from ingestion_server.web import serving as serving_with
from ingestion_server.web.door import MOST_CONNECTIONS


def metrics(accept: str) -> tuple[bytes, str]:
    """Tell what was asked for, in a format of its own."""
    return f"accept {accept!r}\n".encode(), "text/plain; version=0.0.4; charset=utf-8"


serving = functools.partial(serving_with, metrics=metrics)


async def fetched(
    port: int,
    path: str,
    method: str = "GET",
    asking: Sequence[tuple[str, str]] = (),
) -> tuple[int, str, dict[str, str]]:
    """Return status, body and headers of a page."""
    url = f"http://127.0.0.1:{port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=asking) as reply,
    ):
        return reply.status, await reply.text(), dict(reply.headers)


@pytest.mark.parametrize("stage", list(Stage))
async def test_livez_is_ok_at_every_stage(stage: Stage) -> None:
    async with serving("127.0.0.1:0", lambda: Report(stage)) as port:
        status, body, _ = await fetched(port, "/livez")

    assert (status, body) == (200, "ok")


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
async def test_only_a_server_that_is_ready_says_so(stage: Stage, path: str) -> None:
    async with serving("127.0.0.1:0", lambda: Report(stage)) as port:
        status, body, _ = await fetched(port, path)

    assert status == (200 if stage is Stage.READY else 503)
    assert json.loads(body)["status"] == stage.value


async def test_readyz_tells_each_check_and_what_is_wrong() -> None:
    checks = (Check("vendors", ok=True), Check("ledger", ok=False, why="disk full"))

    async with serving("127.0.0.1:0", lambda: Report(Stage.UNREADY, checks)) as port:
        status, body, _ = await fetched(port, "/readyz")

    assert status == 503
    assert json.loads(body) == {
        "status": "unready",
        "checks": [
            {"name": "vendors", "ok": True},
            {"name": "ledger", "ok": False, "why": "disk full"},
        ],
    }


async def test_healthz_tells_of_the_process_as_well() -> None:
    report = Report(Stage.READY, (), {"version": "1.2.3"})

    async with serving("127.0.0.1:0", lambda: report) as port:
        _, body, _ = await fetched(port, "/healthz")

    assert json.loads(body) == {
        "status": "ready",
        "process": {"version": "1.2.3"},
        "checks": [],
    }


async def test_a_door_without_a_console_has_neither_the_page_nor_its_calls() -> None:
    async with serving("127.0.0.1:0", lambda: Report(Stage.READY)) as port:
        page, _, _ = await fetched(port, "/")
        call, _, _ = await fetched(port, "/a.v1.Service/Do", "POST")

    assert (page, call) == (404, 404)


async def test_what_is_not_there_is_told_in_json() -> None:
    async with serving("127.0.0.1:0", lambda: Report(Stage.READY)) as port:
        unknown, body, headers = await fetched(port, "/admin")
        forbidden, _, allowed = await fetched(port, "/livez", "POST")

    assert unknown == 404
    assert json.loads(body) == {"error": "Not Found"}
    assert headers["Content-Type"].startswith("application/json")
    assert forbidden == 405
    assert allowed["Allow"] == "GET,HEAD"


async def test_metrics_are_told_as_they_were_written_and_with_their_type() -> None:
    async with serving("127.0.0.1:0", lambda: Report(Stage.STARTING)) as port:
        status, body, headers = await fetched(
            port, "/metrics", asking=[("Accept", "text/plain;version=0.0.4")]
        )

    assert (status, body) == (200, "accept 'text/plain;version=0.0.4'\n")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_an_accept_header_in_several_lines_means_the_same_as_in_one() -> None:
    lines = [("Accept", "application/openmetrics-text"), ("Accept", "*/*;q=0.1")]

    async with serving("127.0.0.1:0", lambda: Report(Stage.READY)) as port:
        _, body, _ = await fetched(port, "/metrics", asking=lines)

    assert body == "accept 'application/openmetrics-text,*/*;q=0.1'\n"


async def test_who_says_nothing_of_formats_leaves_the_choice() -> None:
    async with serving("127.0.0.1:0", lambda: Report(Stage.READY)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()

    assert answer.endswith(b"accept ''\n")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/nothing"])
async def test_every_answer_tells_browsers_to_do_little(path: str) -> None:
    async with serving("127.0.0.1:0", lambda: Report(Stage.READY)) as port:
        _, _, headers = await fetched(port, path)

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Server"] == "ingestion-server"


async def test_a_long_request_line_is_refused() -> None:
    async with serving("127.0.0.1:0", lambda: Report(Stage.READY)) as port:
        status, _, _ = await fetched(port, "/livez?" + "x" * 8000)

    assert status == 400


async def test_a_taken_port_is_told_with_its_address() -> None:
    async with serving("127.0.0.1:0", lambda: Report(Stage.READY)) as port:
        with pytest.raises(OSError, match=rf"127\.0\.0\.1:{port} .*is taken") as caught:
            async with serving(f"127.0.0.1:{port}", lambda: Report(Stage.READY)):
                pass

    assert caught.value.errno == errno.EADDRINUSE


async def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:0"):
        async with serving("192.0.2.1:0", lambda: Report(Stage.READY)):
            pass


async def test_an_open_connection_does_not_hold_up_the_end() -> None:
    async with asyncio.timeout(5):
        async with serving("127.0.0.1:0", lambda: Report(Stage.READY)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"ok")
        end = await reader.read()
        writer.close()

    assert end == b""


async def test_ipv6_is_served() -> None:
    try:
        async with serving("[::1]:0", lambda: Report(Stage.READY)) as port:
            reader, writer = await asyncio.open_connection("::1", port)
            writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
            answer = await reader.read()
            writer.close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")

    assert answer.endswith(b"ok")


async def test_what_comes_compressed_is_not_unpacked() -> None:
    """To unpack it costs a thousand times what it costs to send; here, it cannot be."""
    sent = (
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 8\r\n\r\nno gzip!"
        b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    async with serving("127.0.0.1:0", lambda: Report(Stage.READY)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 405")
    assert answer.endswith(b"ok")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_only_so_many_connections_are_kept(
    run: Callable[[Coroutine[None, None, None]], None],
) -> None:
    run(crowded())


async def crowded() -> None:
    """Take all places, come once more, and again once there is one."""
    async with (
        serving("127.0.0.1:0", lambda: Report(Stage.READY)) as port,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(MOST_CONNECTIONS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"ok")
        turned_away, other = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(other.close)
        async with asyncio.timeout(10):
            told = await turned_away.read()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(10):
            while True:
                again = await answered(port)
                if again:
                    break
                # There is no event of the other side's.
                await asyncio.sleep(0.05)

    assert told == b""
    assert again.endswith(b"ok")


async def answered(port: int) -> bytes:
    """Return an answer; empty if the connection was not kept."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
