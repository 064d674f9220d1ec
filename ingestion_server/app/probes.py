"""How one looks at the real world: its ports, its folders, and who answers."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from typing_extensions import override

from ingestion_server.app.diagnosis import Means
from ingestion_server.app.findings import PROBE_SECONDS, Answer, Target
from ingestion_server.app.words import host_and_port
from ingestion_server.calendars import ComputedCalendars

_AGENT: Final = "Mozilla/5.0 (compatible; ingestion-server doctor)"
"""Some vendors turn Python's own name away, whoever asks."""


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
