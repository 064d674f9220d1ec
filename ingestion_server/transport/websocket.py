"""Open WebSockets to vendors, and carry messages over them."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import final
from urllib.parse import SplitResult, urlsplit

import msgspec
from typing_extensions import override
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import CloseCode

from ingestion_server.domain.errors import (
    CredentialsRefusedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.kit.statuses import check_status
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.stream import Socket
from ingestion_server.transport import failures, hops
from ingestion_server.transport.redaction import Redactor

_MESSAGE = str | bytes


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
        self._sandbox = None if rebase is None else urlsplit(rebase)
        self._redactor = redactor or Redactor()
        self._limits = limits or SocketLimits()
        self._logger = logging.getLogger(f"{__name__}.library")
        # It would log the handshake, and the key with it.
        self._logger.disabled = True
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
        connection = await self._opened(request, address, name)
        socket = _Socket(
            connection,
            provider=request.provider,
            name=name,
            clock=self._clock,
            redactor=self._redactor,
            limits=self._limits,
        )
        tasks = [
            asyncio.create_task(work, name=f"websocket:{request.provider}")
            for work in (socket.read(), socket.ping())
        ]
        try:
            yield socket
        finally:
            socket.end()
            for task in tasks:
                task.cancel()
            try:
                await self._closed(connection)
            finally:
                ended = await asyncio.gather(*tasks, return_exceptions=True)
            for error in ended:
                if isinstance(error, Exception):
                    raise error  # a bug, not a loss

    async def _opened(
        self, request: HttpRequest, address: SplitResult, name: str
    ) -> ClientConnection:
        try:
            return await self._dialled(request, address)
        except InvalidStatus as error:
            refusal = self._refusal(request.provider, name, error)
            raise refusal from self._chained(error)
        except ImportError as error:
            raise ProviderUnavailableError(
                f"{name} cannot be reached: a SOCKS proxy is not supported",
                provider=request.provider,
            ) from error
        except failures.CAUGHT as error:
            raise failures.mapped(
                error, provider=request.provider, host=address.hostname or ""
            ) from self._chained(error)

    async def _dialled(
        self, request: HttpRequest, address: SplitResult
    ) -> ClientConnection:
        limits, sandbox = self._limits, self._sandbox
        if sandbox is not None:
            address = address._replace(scheme="ws")
        dial = partial(
            _Handshake,
            hops.on_the_wire(address, None),
            additional_headers=request.headers,
            compression=None,
            open_timeout=limits.open_seconds,
            # The pongs are waited for below, where it is seen when they come.
            ping_interval=None,
            close_timeout=limits.close_seconds,
            max_size=limits.message_bytes,
            logger=self._logger,
        )
        if sandbox is not None:
            # Only where it is dialled differs: ``Host`` is that of the address.
            return await dial(host=sandbox.hostname, port=sandbox.port, proxy=None)
        if address.scheme == "wss":
            return await dial(ssl=await self._context())
        return await dial()

    async def _context(self) -> ssl.SSLContext:
        """Return what TLS is spoken by; reading the certificates takes a while."""
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        return self._tls

    def _refusal(self, provider: str, name: str, error: InvalidStatus) -> ProviderError:
        headers = error.response.headers
        response = HttpResponse(
            error.response.status_code,
            b"",
            {"retry-after": "\n".join(headers.get_all("Retry-After"))},
            self._clock.now_ns(),
        )
        try:
            check_status(provider, response)
        except (CredentialsRefusedError, QuotaExhaustedError) as refusal:
            return refusal
        except ProviderError as refusal:
            retry_after_seconds = refusal.retry_after_seconds
        else:
            retry_after_seconds = None
        return ProviderUnavailableError(
            f"{name} answered the handshake with HTTP {response.status}",
            provider=provider,
            retry_after_seconds=retry_after_seconds,
        )

    def _chained(self, error: Exception) -> Exception | None:
        return failures.chained(error, self._redactor.text)

    async def _closed(self, connection: ClientConnection) -> None:
        """Say goodbye, but wait no longer than that for a peer that is dead."""
        try:
            async with asyncio.timeout(self._limits.close_seconds):
                await connection.close()
        except TimeoutError:
            pass  # it is cut below
        finally:
            connection.transport.abort()


class _Handshake(connect):
    """Open a connection where it was asked for, and nowhere else."""

    @override
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the answer as the failure that it is, wherever it leads."""
        return exc


@final
class _Socket:
    """
    Be one open connection.

    Its two tasks, ``read`` and ``ping``, are run by whoever opened it.
    """

    def __init__(
        self,
        connection: ClientConnection,
        *,
        provider: str,
        name: str,
        clock: Clock,
        redactor: Redactor,
        limits: SocketLimits,
    ) -> None:
        self._connection = connection
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
        """Whether a message came since the last ping."""

    @property
    def heard_at(self) -> float:
        """Return when a message or a pong was heard last."""
        return self._heard_at

    async def send(self, message: str) -> None:
        """Send one message; raises ``ProviderUnavailableError`` once it is lost."""
        try:
            await self._connection.send(message)
        except ConnectionClosed as error:
            raise self._lost(self._loss or self._cause(error)) from None

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

    async def read(self) -> None:
        """Queue what comes, as long as there is room, until the connection is lost."""
        receive, queue, limits = self._connection.recv, self._queue, self._limits
        try:
            while True:
                message = await receive()
                self._heard_at = self._clock.monotonic()
                self._alive = True
                if isinstance(message, str):
                    message = self._redactor.text(message)
                else:
                    message = self._redactor.body(message)
                queue.append(message)
                self._characters += len(message)
                self._news.set()
                if (
                    len(queue) >= limits.queue_messages
                    or self._characters >= limits.queue_characters
                ):
                    self._room.clear()
                    await self._room.wait()
        except ConnectionClosed as error:
            self._loss = self._loss or self._cause(error)
        finally:
            self.end()

    def end(self) -> None:
        """Let nobody wait for messages for ever, whatever it is that ended this."""
        self._loss = self._loss or "was left"
        self._news.set()

    async def ping(self) -> None:
        """Ping every so often, and cut the connection when a pong does not come."""
        limits = self._limits
        while True:
            await self._clock.sleep(limits.ping_seconds)
            self._alive = False
            try:
                async with asyncio.timeout(limits.pong_seconds):
                    await (await self._connection.ping())
            except ConnectionClosed:
                return
            except TimeoutError:
                # While nothing is read for want of room, the pong cannot be seen; and
                # it may stand in line behind many messages.
                if self._room.is_set() and not self._alive:
                    self._loss = (
                        f"did not answer a ping within {limits.pong_seconds:g} s"
                    )
                    self._connection.transport.abort()
                    return
            else:
                self._heard_at = self._clock.monotonic()

    def _taken(self, characters: int) -> None:
        self._characters -= characters
        # Woken early, the reader would be stopped again by the very next message.
        if not self._room.is_set() and (
            len(self._queue) <= self._limits.queue_messages // 2
            and self._characters <= self._limits.queue_characters // 2
        ):
            self._room.set()

    def _cause(self, error: ConnectionClosed) -> str:
        """Return what ended the connection."""
        if error.rcvd is not None:
            reason = self._redactor.text(error.rcvd.reason)
            return f"closed the connection ({error.rcvd.code} {reason}".rstrip() + ")"
        if error.sent is None:
            return "cut the connection"
        if error.sent.code == CloseCode.MESSAGE_TOO_BIG:
            return f"sent a message of more than {self._limits.message_bytes} bytes"
        if error.sent.code in {CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_DATA}:
            return "sent what is no WebSocket message"
        return "was left"

    def _lost(self, what: str) -> ProviderUnavailableError:
        return ProviderUnavailableError(f"{self._name} {what}", provider=self._provider)
