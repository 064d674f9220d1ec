"""How one looks at the real world: its ports, its folders, and who answers."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import sqlite3
import ssl
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from pathlib import Path
from types import MappingProxyType
from typing import IO, Final
from urllib.parse import urlsplit

from typing_extensions import override

from ingestion_server.app.diagnosis import Means
from ingestion_server.app.findings import PROBE_SECONDS, Answer, LedgerFile, Target
from ingestion_server.app.words import host_and_port
from ingestion_server.calendars import ComputedCalendars
from ingestion_server.quota.journal_file import APPLICATION

_AGENT: Final = "Mozilla/5.0 (compatible; ingestion-server doctor)"
"""Some vendors turn Python's own name away, whoever asks."""
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNREAD: Final[Mapping[int, str]] = MappingProxyType(
    {
        sqlite3.SQLITE_BUSY: "is in use by a server",
        sqlite3.SQLITE_LOCKED: "is in use by a server",
        # Who only reads cannot finish what a crash interrupted.
        sqlite3.SQLITE_READONLY: "was left by a crash, and is mended by the start",
    }
)
_LOCK_SECONDS: Final = 1.0
_HEADER_BYTES: Final = 20
_WAL: Final = b"\x02\x02"
"""What bytes 18 and 19 of a database say where it has a write-ahead log."""


def means(calendar_folder: Path) -> Means:
    """Return the means to look at this machine and its network."""

    async def calendar(name: str) -> bool:
        """Have a calendar as the server would."""
        async with ComputedCalendars(calendar_folder) as calendars:
            return await calendars.sessions(name) is not None

    return Means(
        ask=ask,
        listen=listen,
        write=write,
        load_tls=load_tls,
        read_ledger=read_ledger,
        calendar=calendar,
        now=time.time,
    )


async def ask(target: Target) -> Answer:
    """
    Ask for the head of a page, and be content with any answer.

    Raises:
        OSError: Nobody answers.

    """
    return await _aside(lambda: _head(target))


def listen(address: str) -> None:
    """Take a port as a server would, and give it back."""
    host, port = host_and_port(address)
    place, *_ = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, kind, protocol, _, where = place
    with socket.socket(family, kind, protocol) as door:
        if sys.platform != "win32":
            # There it would let us share a port; elsewhere it lets us follow soon.
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(where)
        door.listen(1)


def write(folder: Path) -> None:
    """Write into a folder, or, if it is not there, where it would be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"?")


def load_tls(certificate: Path, key: Path) -> None:
    """Read a certificate and its key; an encrypted key is none that a server reads."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key, password="")


def read_ledger(file: Path) -> LedgerFile | None:
    """
    Read a ledger wholly, and leave it as it is; a running server may write to it.

    Raises:
        OSError: It is no file that this user can read.

    """
    try:
        # By hand, since SQLite says the same of all that keeps it from opening a file.
        with file.open("rb") as opened:
            wal = opened.read(_HEADER_BYTES)[-len(_WAL) :] == _WAL
        size_bytes = file.stat().st_size
    except FileNotFoundError:
        return None
    # Where a log is kept, even a reader makes one if there is none, and leaves it
    # behind: another user's server could then not write. Without one nobody writes.
    idle = wal and not file.with_name(f"{file.name}-wal").exists()
    mode = "mode=ro&immutable=1" if idle else "mode=ro"
    try:
        with contextlib.closing(
            sqlite3.connect(
                f"{file.absolute().as_uri()}?{mode}", timeout=_LOCK_SECONDS, uri=True
            )
        ) as database:
            (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
            (application,) = database.execute("PRAGMA application_id").fetchone()
            if said == "ok" and application != APPLICATION:
                said = "it is not a ledger of this server"
    except sqlite3.Error as error:
        # An extended code has the plain one in its last byte.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _UNREAD:
            return LedgerFile(size_bytes, unread=_UNREAD[code])
        if code not in _DAMAGED:
            raise OSError(str(error)) from error
        said = str(error)
    complaint = "" if said == "ok" else " ".join(said.split())
    return LedgerFile(size_bytes, complaint)


class _Unmoved(urllib.request.HTTPRedirectHandler):
    """Take a redirect for an answer."""

    @override
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        """Go nowhere."""


def _head(target: Target) -> Answer:
    # urllib, because it honours proxies and app may not know aiohttp; it would open
    # files as well.
    if urlsplit(target.url).scheme not in ("http", "https"):
        raise OSError("that is no http url")
    handlers: list[urllib.request.BaseHandler] = [_Unmoved()]
    if target.direct:
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(  # noqa: S310
        target.url, method="HEAD", headers={"User-Agent": _AGENT}
    )
    try:
        with urllib.request.build_opener(*handlers).open(
            request, timeout=PROBE_SECONDS
        ) as reply:
            return _answer(reply.status, reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.headers)
    except urllib.error.URLError as error:
        if isinstance(error.reason, OSError):
            raise error.reason from error
        raise OSError(str(error.reason)) from error
    except http.client.HTTPException as error:
        raise OSError(f"that is no HTTP ({type(error).__name__})") from error


def _answer(status: int, headers: Message) -> Answer:
    return Answer(
        status, time.time(), headers.get("Date", ""), headers.get("Server", "")
    )


async def _aside(work: Callable[[], Answer]) -> Answer:
    """
    Work in a thread that nobody waits for when the program ends.

    Looking up a name cannot be interrupted, and may take long where there is no
    network; the threads of ``asyncio.to_thread`` would keep the program from ending.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Answer] = loop.create_future()

    def tell(answer: Answer | None, error: BaseException | None) -> None:
        if done.done():
            return
        if answer is not None:
            done.set_result(answer)
        elif error is not None:
            done.set_exception(error)

    def run() -> None:
        answer, failure = None, None
        try:
            answer = work()
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
        try:
            loop.call_soon_threadsafe(tell, answer, failure)
        except RuntimeError:
            return  # the loop is closed, so nobody is interested any more

    threading.Thread(target=run, name="probe", daemon=True).start()
    return await done
