"""The means look at a real machine: its ports, folders, and who answers."""

import asyncio
import contextlib
import errno
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ingestion_server.app import probes
from ingestion_server.app.diagnosis import OUR_NAME
from ingestion_server.app.findings import LedgerFile, Target
from ingestion_server.quota.journal_file import APPLICATION
from ingestion_server.web import Report, Stage, serving


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
    async with serving(
        "127.0.0.1:0",
        lambda: Report(Stage.STARTING),
        metrics=lambda _: (b"", "text/plain"),
    ) as port:
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


@pytest.mark.parametrize("foreign", [True, False])
def test_a_file_that_is_no_ledger_of_ours_is_told(
    tmp_path: Path, *, foreign: bool
) -> None:
    file = tmp_path / "ledger.sqlite3"
    with contextlib.closing(sqlite3.connect(file)) as database:
        if foreign:
            database.execute("CREATE TABLE notes (text TEXT)")
    file.touch()

    told = probes.read_ledger(file)

    assert told is not None
    assert told.complaint == "it is not a ledger of this server"


@pytest.fixture(params=["WAL", "DELETE"])
def ledger(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Keep some rows in a database, in either way of keeping a journal."""
    return made_ledger(tmp_path / "a #1 ?", request.param)


def made_ledger(folder: Path, journal: str) -> Path:
    """Make a database with a table and an index."""
    folder.mkdir()
    file = folder / "ledger.sqlite3"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute(f"PRAGMA journal_mode = {journal}")
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute("CREATE TABLE calls (number INTEGER PRIMARY KEY, kind TEXT)")
        database.execute("CREATE INDEX kinds ON calls (kind)")
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO calls (kind) VALUES (?)", [("debit" * 20,)] * 2000
        )
        database.execute("COMMIT")
    return file


def test_a_ledger_is_read_and_left_as_it_was(ledger: Path) -> None:
    before = ledger.read_bytes()

    told = probes.read_ledger(ledger)

    assert told == LedgerFile(len(before))
    assert list(ledger.parent.iterdir()) == [ledger]
    assert ledger.read_bytes() == before


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert probes.read_ledger(tmp_path / "not" / "there") is None
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_a_server_writes_to_is_read(ledger: Path) -> None:
    with contextlib.closing(sqlite3.connect(ledger)) as server:
        server.execute("INSERT INTO calls (kind) VALUES ('debit')")

        told = probes.read_ledger(ledger)

    assert told is not None
    assert (told.complaint, told.unread) == ("", "")


def test_a_ledger_that_somebody_has_to_himself_is_not_damaged(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "_LOCK_SECONDS", 0.0)
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None)) as server:
        server.execute("PRAGMA locking_mode = EXCLUSIVE")
        server.execute("BEGIN EXCLUSIVE")
        server.execute("INSERT INTO calls (kind) VALUES ('debit')")

        told = probes.read_ledger(ledger)

    assert told is not None
    assert (told.complaint, told.unread) == ("", "is in use by a server")


def test_what_a_crash_left_behind_is_not_damage(ledger: Path) -> None:
    program = (
        "import os, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1])\n"
        # So small a cache writes before the commit, which never comes.
        "database.execute('PRAGMA cache_size = 5')\n"
        "database.execute('UPDATE calls SET kind = number')\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, ledger], check=True)  # noqa: S603

    told = probes.read_ledger(ledger)

    assert told is not None
    assert told.complaint == ""


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda whole: b"?" + whole[1:], "not a database"),
        (lambda whole: whole[:9000], "malformed"),
        (lambda whole: whole[:8192] + b"\xff" * 4096 + whole[12288:], "Page 3"),
    ],
    ids=["something else", "cut off", "written over"],
)
def test_a_damaged_ledger_is_told_in_one_line(
    ledger: Path, damage: Callable[[bytes], bytes], words: str
) -> None:
    ledger.write_bytes(damage(ledger.read_bytes()))

    told = probes.read_ledger(ledger)

    assert told is not None
    assert words in told.complaint
    assert "\n" not in told.complaint


def test_what_keeps_a_ledger_from_being_read_is_not_damage(tmp_path: Path) -> None:
    file = made_ledger(tmp_path / "state", "WAL")
    file.with_name("ledger.sqlite3-wal").mkdir()

    with pytest.raises(OSError, match="unable to open"):
        probes.read_ledger(file)


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        probes.read_ledger(tmp_path)


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
