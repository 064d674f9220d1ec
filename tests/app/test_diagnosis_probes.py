"""The means look at a real machine: its ports, folders, and who answers."""

import asyncio
import contextlib
import errno
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingestion_server.app import probes
from ingestion_server.app.diagnosis import OUR_NAME
from ingestion_server.app.findings import Target
from ingestion_server.web import Stage, serving


@contextlib.asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[int]:
    """Answer every connection with the same bytes."""

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def direct(port: int, path: str = "/") -> Target:
    """Name somebody on this machine."""
    return Target("somebody", f"http://127.0.0.1:{port}{path}", direct=True)


async def test_our_own_door_says_who_and_when_it_is() -> None:
    async with serving("127.0.0.1:0", lambda: Stage.STARTING) as port:
        answer = await probes.ask(direct(port, "/readyz"))

    assert answer.status == 503
    assert answer.server == OUR_NAME
    assert answer.date.endswith("GMT")


async def test_a_redirect_is_an_answer() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\n\r\n"

    async with answering(moved) as port:
        answer = await probes.ask(direct(port))

    assert answer.status == 302


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-OpenSSH_9\r\n"])
async def test_what_is_no_http_is_no_answer(reply: bytes) -> None:
    async with answering(reply) as port:
        with pytest.raises(OSError):  # noqa: PT011 - many kinds
            await probes.ask(direct(port))


async def test_nobody_there_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]

    with pytest.raises(ConnectionRefusedError):
        await probes.ask(direct(port))


async def test_only_http_is_asked(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no http url"):
        await probes.ask(Target("file", tmp_path.as_uri()))


async def test_who_is_asked_through_a_proxy_is_not_asked_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    async with answering(b"HTTP/1.1 299 Proxied\r\n\r\n") as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        through = await probes.ask(Target("vendor", "http://vendor.invalid/"))

    assert through.status == 299


def test_a_free_port_is_given_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        with pytest.raises(OSError, match="in use") as caught:
            probes.listen(address)

    probes.listen(address)
    probes.listen(address)

    assert caught.value.errno == errno.EADDRINUSE


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    probes.write(tmp_path)
    probes.write(tmp_path / "not" / "there")

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(NotADirectoryError):
        probes.write(file / "folder")


def test_a_certificate_that_is_none_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "c.pem"
    file.write_text("no PEM")

    with pytest.raises(OSError):  # noqa: PT011 - OpenSSL has its own words
        probes.load_tls(file, file)


async def test_a_calendar_is_computed_and_kept(tmp_path: Path) -> None:
    calendar = probes.means(tmp_path).calendar

    assert await calendar("XNYS")
    assert not await calendar("NOBODY")


def test_who_never_answers_does_not_keep_the_program_from_ending() -> None:
    program = (
        "import asyncio, threading\n"
        "from ingestion_server.app import probes\n"
        "async def main():\n"
        "    work = probes._aside(threading.Event().wait)\n"
        "    try:\n"
        "        async with asyncio.timeout(0):\n"
        "            await work\n"
        "    except TimeoutError:\n"
        "        print('given up')\n"
        "asyncio.run(main())\n"
    )

    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert ended.stdout == "given up\n"
