"""Open WebSockets to vendors, and carry messages over them."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, final
from urllib.parse import SplitResult, urlsplit

import aiohttp
import msgspec
from yarl import URL

from ingestion_server.domain.errors import ProviderUnavailableError
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpRequest
from ingestion_server.ports.stream import Socket
from ingestion_server.transport import failures, hops, proxies
from ingestion_server.transport.handshake import Handshake, Line
from ingestion_server.transport.redaction import Redactor

_MESSAGE = str | bytes
# What a peer does not say when it closes (RFC 6455, 7.1.5).
_NO_CODE: Final = 1005
_CUT: Final = "cut the connection"
# What sending raises once the connection is lost.
_LOST: Final = (aiohttp.ClientError, ConnectionError)


class SocketLimits(msgspec.Struct, frozen=True):
    """Bound what one connection may take."""

    open_seconds: float = 10.0
    """For the name, the connection, TLS and the handshake together."""
    ping_seconds: float = 5.0
    """How long after a pong the next ping is sent."""
    pong_seconds: float = 10.0
    """A connection is lost if no pong comes for so long, and no message either."""
    close_seconds: float = 1.0
    """How long a peer may take to say goodbye."""
    message_bytes: int = 1024 * 1024
    """The largest message; a larger one is the end of the connection."""
    queue_messages: int = 1024
    """How many may wait to be received; then nothing more is read from the wire."""
    queue_characters: int = 8 * 1024 * 1024
    """How large they may be together; the last one may be beyond."""


@final
class WebSocketDialler:
    """
    Open connections to vendors; satisfies ``ports.stream.Dialler``.

    Redirects are not followed. Proxies are those the environment names.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        hosts: Mapping[str, frozenset[str]],
        rebase: str | None = None,
        redactor: Redactor | None = None,
        limits: SocketLimits | None = None,
    ) -> None:
        """
        Set up, without opening anything.

        Args:
            clock: Tells when something was heard, and when to ping.
            hosts: For each vendor, the hosts that it may be dialled at.
            rebase: Url of a simulator that stands in for every host; it is dialled
                without a proxy and TLS, and told in ``Host`` which vendor is meant.
            redactor: Knows the keys that nothing a vendor says may repeat.
            limits: Bounds; the defaults suit a server.

        """
        self._clock = clock
        self._hosts = hosts
        self._sandbox = (
            None if rebase is None else urlsplit(rebase)._replace(scheme="ws")
        )
        self._redactor = redactor or Redactor()
        self._limits = limits or SocketLimits()
        self._tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def connect(self, request: HttpRequest) -> AsyncIterator[Socket]:
        """
        Open a connection by a signed handshake; it is closed with the block.

        Raises:
            ProviderUnavailableError: The vendor cannot be reached, or does not agree
                to a WebSocket in time.
            CredentialsRefusedError: It refuses the key.
            QuotaExhaustedError: It wants no more connections for now.
            MalformedPayloadError: The address is not the vendor's.

        """
        address = hops.checked(
            request,
            self._hosts.get(request.provider, frozenset()),
            schemes=hops.WEBSOCKET,
        )
        name = f"{request.provider} ({address.hostname})"
        handshake = Handshake(request.provider, name, self._clock, self._redactor)
        # One for each connection: there are few, and each may be cut by itself.
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            # The one clock of opening is that of ``_opened``.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            middlewares=(handshake,),
        ) as session:
            connection = await self._opened(session, request, address, name)
            socket = _Socket(
                connection,
                handshake.line,
                provider=request.provider,
                name=name,
                clock=self._clock,
                redactor=self._redactor,
                limits=self._limits,
            )
            async with socket.alive():
                yield socket

    async def _opened(
        self,
        session: aiohttp.ClientSession,
        request: HttpRequest,
        address: SplitResult,
        name: str,
    ) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(self._limits.open_seconds):
                return await self._dialled(session, request, address, name)
        except failures.CAUGHT as error:
            raise failures.mapped(
                error, provider=request.provider, host=address.hostname or ""
            ) from failures.chained(error, self._redactor.text)

    async def _dialled(
        self,
        session: aiohttp.ClientSession,
        request: HttpRequest,
        address: SplitResult,
        name: str,
    ) -> aiohttp.ClientWebSocketResponse:
        limits, headers = self._limits, list(request.headers)
        proxy: str | None = None
        context: ssl.SSLContext | bool = True
        if self._sandbox is not None:
            # Only where it is dialled differs.
            headers.append(("Host", address.netloc))
        else:
            proxy = proxies.proxy_for(address, provider=request.provider, name=name)
            if address.scheme == "wss":
                context = await self._context()
        return await session.ws_connect(
            URL(hops.on_the_wire(address, self._sandbox), encoded=True),
            headers=headers,
            proxy=proxy,
            ssl=context,
            # The pongs are waited for below, where it is seen when they come.
            autoping=False,
            autoclose=False,
            compress=0,
            timeout=aiohttp.ClientWSTimeout(ws_close=limits.close_seconds),
            # aiohttp takes what is smaller.
            max_msg_size=limits.message_bytes + 1,
        )

    async def _context(self) -> ssl.SSLContext:
        """Return what TLS is spoken by; reading the certificates takes a while."""
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        return self._tls


@final
class _Socket:
    """Be one open connection."""

    def __init__(  # noqa: PLR0913 - everything it is made from
        self,
        connection: aiohttp.ClientWebSocketResponse,
        line: Line,
        *,
        provider: str,
        name: str,
        clock: Clock,
        redactor: Redactor,
        limits: SocketLimits,
    ) -> None:
        self._connection = connection
        self._line = line
        self._provider = provider
        self._name = name
        self._clock = clock
        self._redactor = redactor
        self._limits = limits
        self._queue = deque[_MESSAGE]()
        self._characters = 0
        self._heard_at = clock.monotonic()
        self._news = asyncio.Event()
        """Set when there is a message, or none will ever come."""
        self._room = asyncio.Event()
        self._room.set()
        self._loss = ""
        """What ended the connection; empty while it lives."""
        self._alive = False
        """Whether anything came since the last ping."""
        self._pong = asyncio.Event()

    @property
    def heard_at(self) -> float:
        """Return when anything was heard last."""
        return self._heard_at

    async def send(self, message: str) -> None:
        """Send one message; raises ``ProviderUnavailableError`` once it is lost."""
        try:
            if not self._loss:
                await self._connection.send_str(message)
                return
        except _LOST:
            pass
        raise self._lost(self._loss or _CUT)

    async def receive(self) -> _MESSAGE:
        """Return the next message; what came before a loss is still returned."""
        while not self._queue:
            if self._loss:
                raise self._lost(self._loss)
            self._news.clear()
            await self._news.wait()
        message = self._queue.popleft()
        self._taken(len(message))
        return message

    def pending(self) -> Sequence[_MESSAGE]:
        """Return the messages that are there already."""
        messages = list(self._queue)
        self._queue.clear()
        self._taken(self._characters)
        return messages

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Read and ping for as long as the block takes; the connection ends with it."""
        tasks = [
            asyncio.create_task(work, name=f"websocket:{self._provider}")
            for work in (self._read(), self._ping())
        ]
        try:
            yield
        finally:
            self._end("was left")
            self._room.set()
            try:
                await self._leave(tasks[0])
            finally:
                self._line.transport.abort()
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                # It is cut: this lets go of it, and waits for nobody.
                await self._connection.close()
            for error in ended:
                if isinstance(error, Exception):
                    raise error  # a bug, not a loss

    async def _leave(self, reading: asyncio.Task[None]) -> None:
        """Say goodbye, but wait no longer than that for a peer that is dead."""
        try:
            async with asyncio.timeout(self._limits.close_seconds):
                await self._connection.close()
                # What was said last is on its way only when the line is closed.
                await asyncio.wait({reading, self._line.gone})
        except TimeoutError:
            pass  # it is cut by the caller

    async def _read(self) -> None:
        """Queue what comes, as long as there is room, until the connection is lost."""
        receive, monotonic = self._connection.receive, self._clock.monotonic
        text, body = self._redactor.text, self._redactor.body
        queue, limits = self._queue, self._limits
        try:
            while True:
                frame = await receive()
                self._heard_at = monotonic()
                self._alive = True
                message: _MESSAGE
                if frame.type is aiohttp.WSMsgType.TEXT:
                    message = text(frame.data)
                elif frame.type is aiohttp.WSMsgType.BINARY:
                    message = body(frame.data)
                elif await self._goes_on(frame):
                    continue
                else:
                    return
                queue.append(message)
                self._characters += len(message)
                self._news.set()
                if (
                    len(queue) >= limits.queue_messages
                    or self._characters >= limits.queue_characters
                ) and not self._loss:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._end("was left")

    async def _goes_on(self, frame: aiohttp.WSMessage) -> bool:
        """Do what a frame asks for that is no message; False if it is the last."""
        if frame.type is aiohttp.WSMsgType.PONG:
            self._pong.set()
            return True
        if frame.type is aiohttp.WSMsgType.PING:
            # Should the line be lost, reading on tells so.
            with suppress(*_LOST):
                await self._connection.pong(frame.data)
            return True
        if frame.type is aiohttp.WSMsgType.CLOSE:
            reason = self._redactor.text(frame.extra or "")
            told = f"{frame.data or _NO_CODE} {reason}".rstrip()
            self._end(f"closed the connection ({told})")
            await self._connection.close()
        elif frame.type is aiohttp.WSMsgType.ERROR:
            self._end(self._flaw(frame.data))
        elif frame.type is aiohttp.WSMsgType.CLOSED:
            self._end(_CUT)
        return False

    async def _ping(self) -> None:
        """Ping every so often, and cut the connection when a pong does not come."""
        limits = self._limits
        while True:
            await self._clock.sleep(limits.ping_seconds)
            self._alive = False
            self._pong.clear()
            try:
                async with asyncio.timeout(limits.pong_seconds):
                    await self._connection.ping()
                    await self._pong.wait()
            except _LOST:
                return
            except TimeoutError:
                # While nothing is read for want of room, the pong cannot be seen; and
                # it may stand in line behind many messages.
                if self._room.is_set() and not self._alive:
                    self._end(f"did not answer a ping within {limits.pong_seconds:g} s")
                    self._line.transport.abort()
                    return

    def _end(self, loss: str) -> None:
        """Let nobody wait for messages for ever; what ended it first is what did."""
        self._loss = self._loss or loss
        self._news.set()

    def _taken(self, characters: int) -> None:
        self._characters -= characters
        # Woken early, the reader would be stopped again by the very next message.
        if not self._room.is_set() and (
            len(self._queue) <= self._limits.queue_messages // 2
            and self._characters <= self._limits.queue_characters // 2
        ):
            self._room.set()

    def _flaw(self, error: object) -> str:
        """Return what is wrong with what came."""
        if not isinstance(error, aiohttp.WebSocketError):
            return _CUT
        if error.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            return f"sent a message of more than {self._limits.message_bytes} bytes"
        return "sent what is no WebSocket message"

    def _lost(self, what: str) -> ProviderUnavailableError:
        return ProviderUnavailableError(f"{self._name} {what}", provider=self._provider)
