"""Carry exchanges over the network, with one pool of connections for all vendors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Final, Self, cast, final
from urllib.parse import SplitResult, urlencode, urlsplit

import aiohttp
import msgspec
from aiohttp.connector import Connection
from typing_extensions import override
from yarl import URL

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    ProviderUnavailableError,
)
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpRequest, HttpResponse, Trip
from ingestion_server.transport import failures, hops
from ingestion_server.transport.redaction import Redactor

# Yahoo's pages have been seen with header lines of more than aiohttp's 8 KiB.
_LONGEST_HEADER_LINE: Final = 65_536
_FORM: Final = "application/x-www-form-urlencoded"


class TransportLimits(msgspec.Struct, frozen=True):
    """Bound what one vendor, or all together, may take."""

    body_bytes: int = 64 * 1024 * 1024
    """The largest body, decompressed."""
    connections: int = 100
    """How many are open at a time; more exchanges wait for one."""
    connections_per_host: int = 32
    redirects: int = 10
    """How many are followed in one exchange."""


@final
class AiohttpTransport:
    """
    Ask vendors over HTTP; to be entered before use, and to be left.

    Cookies are not kept: those a request shall carry are among its headers, and those
    an answer sets are among its own. Proxies are those the environment names.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        hosts: Mapping[str, frozenset[str]],
        limits: TransportLimits | None = None,
        rebase: str | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        """
        Set up, without opening anything.

        Args:
            clock: Tells when an answer was complete.
            hosts: For each vendor, the hosts that requests and redirects may go to.
            limits: Bounds; the defaults suit a server.
            rebase: Url of a simulator that stands in for every host; it is dialled
                without a proxy and told in ``Host`` which vendor is meant.
            redactor: Knows the keys that no answer may repeat.

        """
        self._clock = clock
        self._hosts = hosts
        self._limits = limits or TransportLimits()
        self._sandbox = None if rebase is None else urlsplit(rebase)
        self._redactor = redactor or Redactor()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._limits.connections,
                limit_per_host=self._limits.connections_per_host,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # The one clock of an exchange is that of ``send``.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            trust_env=self._sandbox is None,
            max_line_size=_LONGEST_HEADER_LINE,
            max_field_size=_LONGEST_HEADER_LINE,
            request_class=_Leaving,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the pool."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def as_of_ns(self, request: HttpRequest) -> int | None:
        """Return None: what comes from the network is of now."""
        del request
        return None

    async def send(
        self,
        request: HttpRequest,
        *,
        timeout_seconds: float,
        trip: Trip | None = None,
    ) -> HttpResponse:
        """
        Send a signed request and read its answer, through all redirects.

        It leaves when the head of the first hop is written. A name that is looked up,
        a connection that is waited for or made, a tunnel through a proxy: all of that
        comes before.

        Raises:
            ProviderUnavailableError: The vendor cannot be reached, does not answer
                in time, or breaks off.
            MalformedPayloadError: The answer is too large, wrongly encoded, or leads
                to a foreign host.

        """
        trip = Trip() if trip is None else trip
        trip.left = False
        if self._session is None:
            raise RuntimeError("the transport is not open")
        address = hops.checked(request, self._own(request))
        host = address.hostname or ""
        scope = asyncio.timeout(timeout_seconds)
        try:
            async with scope:
                response = await self._follow(request, address, self._session, trip)
        except failures.CAUGHT as error:
            cause = failures.chained(error)
            if isinstance(error, TimeoutError) and scope.expired():
                raise ProviderUnavailableError(
                    f"{request.provider} ({host}) did not answer within "
                    f"{timeout_seconds:g} s",
                    provider=request.provider,
                ) from cause
            raise failures.mapped(
                error, provider=request.provider, host=host
            ) from cause
        return response

    async def _follow(
        self,
        request: HttpRequest,
        address: SplitResult,
        session: aiohttp.ClientSession,
        trip: Trip,
    ) -> HttpResponse:
        """Make one hop after the other, until one answers."""
        hop, cookies = request, list[str]()
        for _ in range(self._limits.redirects + 1):
            url, headers, body = self._prepared(hop, address)
            async with session.request(
                hop.method,
                url,
                headers=headers,
                data=body or None,
                allow_redirects=False,
                middlewares=(partial(_once, trip),),
            ) as reply:
                cookies += reply.headers.getall("Set-Cookie", ())
                further = None
                if request.follow_redirects:
                    further = hops.next_hop(
                        hop,
                        reply.status,
                        reply.headers.get("Location"),
                        hosts=self._own(request),
                        sandbox=self._sandbox,
                    )
                if further is None:
                    return await self._read(hop, address, reply, cookies)
            hop, address = further, hops.checked(further, self._own(further))
        raise MalformedPayloadError(
            f"{request.provider} redirected more than {self._limits.redirects} times",
            provider=request.provider,
        )

    def _prepared(
        self, hop: HttpRequest, address: SplitResult
    ) -> tuple[URL, list[tuple[str, str]], bytes]:
        """Return what goes over the wire: url, headers and body."""
        headers = list(hop.headers)
        if self._sandbox is not None:
            headers.append(("Host", address.netloc))
        if hop.form and not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", _FORM))
        # As it is: vendors do not take every spelling of ``^``, ``=`` and ``|``.
        url = URL(hops.on_the_wire(address, self._sandbox), encoded=True)
        return url, headers, urlencode(hop.form).encode()

    async def _read(
        self,
        hop: HttpRequest,
        address: SplitResult,
        reply: aiohttp.ClientResponse,
        cookies: list[str],
    ) -> HttpResponse:
        chunks, size = list[bytes](), 0
        async for chunk in reply.content.iter_any():
            size += len(chunk)
            if size > self._limits.body_bytes:
                reply.close()
                raise MalformedPayloadError(
                    f"{hop.provider} sent more than {self._limits.body_bytes} bytes",
                    provider=hop.provider,
                )
            chunks.append(chunk)
        received_at_ns = self._clock.now_ns()
        headers = {
            name.lower(): "\n".join(reply.headers.getall(name))
            for name in reply.headers
        }
        if cookies:
            headers["set-cookie"] = "\n".join(cookies)
        url, *values = self._redactor.texts((address.geturl(), *headers.values()))
        return HttpResponse(
            status=reply.status,
            body=self._redactor.body(b"".join(chunks)),
            headers=dict(zip(headers, values, strict=True)),
            received_at_ns=received_at_ns,
            url=url,
        )

    def _own(self, request: HttpRequest) -> frozenset[str]:
        return self._hosts.get(request.provider, frozenset())


class _Leaving(aiohttp.ClientRequest):
    """
    Be a request that notes when it leaves.

    aiohttp calls ``send`` once there is a connection, and before it writes the first
    byte. Its own events would tell as much, for 10 µs more.
    """

    trip: Trip | None = None

    @override
    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if self.trip is not None:
            self.trip.left = True
        return await super().send(conn)


async def _once(
    trip: Trip, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """
    Send a request, and keep aiohttp from sending it once more by itself.

    It would where a kept connection breaks off. The vendor may have counted the
    first one, so the second must be reserved, and written down, like any other call.
    """
    cast("_Leaving", request).trip = trip
    try:
        reply = await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error)) from error
    if not trip.left:
        # Quota would be given back for calls that vendors have counted.
        reply.close()
        raise RuntimeError("this aiohttp does not tell when a request leaves")
    return reply
