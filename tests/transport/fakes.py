"""A made-up vendor, its server, and a clock that stands still."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
from aiohttp import web

from ingestion_server.domain.actions import CorporateActions
from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.instrument import Instrument
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.query import Span
from ingestion_server.ports.batching import BarBatching
from ingestion_server.ports.budget import Budget
from ingestion_server.ports.http import HttpRequest, HttpResponse, Trip
from ingestion_server.ports.provider import (
    BarAsk,
    Capability,
    Credentials,
    Identity,
    Lifecycle,
    Page,
)
from ingestion_server.ports.searching import SymbolSearch
from ingestion_server.ports.stream import Quoting, Streaming, TradeHistory

NAME = "acme_corp"
HOST = "api.acme.test"
HOSTS = {NAME: frozenset({HOST, "www.acme.test"})}
NOW_NS = 1_742_824_293 * SECOND_NS
KEY = "k3y/with+signs"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Body(msgspec.Struct):
    """Hold what Acme tells of bars, in seconds."""

    symbol: str = ""
    start: int = 0
    end: int = 0


@dataclass
class FakeClock:
    """Tell the time that a test sets."""

    seconds: float = 0.0

    def now_ns(self) -> int:
        """Tell the wall clock."""
        return NOW_NS + int(self.seconds) * SECOND_NS

    def monotonic(self) -> float:
        """Tell seconds."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.seconds += seconds


@dataclass
class Acme:
    """Serve bars at ``/bars?symbol=…``, some by month, for who has a key."""

    name: str = NAME
    hosts: frozenset[str] = HOSTS[NAME]
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    plans: Mapping[str, Budget] = field(default_factory=dict)
    default_plan: str = ""
    capabilities: Sequence[Capability] = ()
    feed_delay_seconds: float | None = None
    needs_key: bool = True
    streaming: Streaming | None = None
    quoting: Quoting | None = None
    trade_history: TradeHistory | None = None
    batching: BarBatching | None = None
    symbol_search: SymbolSearch | None = None
    secret_parameters: frozenset[str] = frozenset({"key", "crumb"})

    def names_unit(self, instrument: Instrument) -> bool:
        raise NotImplementedError

    def spelling(self, instrument: Instrument) -> str | None:
        """Spell as the house does."""
        return instrument.symbol

    def bar_requests(self, ask: BarAsk) -> Sequence[HttpRequest]:
        """Ask nothing."""
        del ask
        return ()

    def read_bars(self, response: HttpResponse, ask: BarAsk) -> Page:
        """Be of no use here."""
        raise NotImplementedError

    def action_requests(
        self, instrument: Instrument, adjustments: frozenset[Adjustment], now_ns: int
    ) -> Sequence[HttpRequest]:
        """Ask nothing."""
        del instrument, adjustments, now_ns
        return ()

    def read_actions(
        self, responses: Sequence[HttpResponse], instrument: Instrument
    ) -> CorporateActions:
        """Be of no use here."""
        raise NotImplementedError

    def sign(self, request: HttpRequest, credentials: Credentials) -> HttpRequest:
        """Add the key."""
        params = (*request.params, ("key", credentials.key))
        return msgspec.structs.replace(request, params=params)

    def check(self, request: HttpRequest, response: HttpResponse) -> None:
        """Find nothing to complain about."""

    def greet(
        self, credentials: Credentials
    ) -> Generator[HttpRequest, HttpResponse, Credentials] | None:
        """Need no greeting."""
        del credentials

    def identity(self, url: str, body: bytes) -> Identity | None:
        """Take path and symbol; the symbol from the body where the url has none."""
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        symbol = query.get("symbol", [""])[0]
        if not symbol:
            symbol = _read(body).symbol if body else ""
        if not symbol:
            return None
        month = query.get("month")
        return Identity(
            frozenset({("page", parts.path or "/bars"), ("symbol", symbol)}),
            frozenset({("month", month[0])} if month else ()),
        )

    def body_span(self, url: str, body: bytes) -> Span | None:
        """Read what the body says."""
        del url
        read = _read(body)
        if not read.end:
            return None
        return Span(read.start * SECOND_NS, read.end * SECOND_NS)

    def told_at_ns(self, body: bytes) -> int | None:
        """Read what the body says."""
        read = _read(body)
        return read.end * SECOND_NS if read.end else None


def _read(body: bytes) -> Body:
    try:
        return msgspec.json.decode(body, type=Body)
    except msgspec.DecodeError:
        return Body()


def ask(path: str = "/bars", /, **params: str) -> HttpRequest:
    """Ask Acme over https."""
    return HttpRequest(NAME, f"https://{HOST}{path}", tuple(params.items()))


def bars(symbol: str, start: int = 0, end: int = 0) -> bytes:
    """Return a body of bars."""
    return msgspec.json.encode(Body(symbol, start, end))


@dataclass
class Server:
    """Answer over HTTP as a test says, and remember what was asked."""

    handler: Handler
    url: str = ""
    asked: list[web.BaseRequest] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Remember, and answer."""
        assert isinstance(request, web.BaseRequest)
        self.asked.append(request)
        self.connections.add(request.transport)
        return await self.handler(request)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Server]:
    """Run a server on a free port."""
    server = Server(handler)
    runner = web.ServerRunner(web.Server(server), shutdown_timeout=0.01)  # type: ignore[arg-type]
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def blurting(answer: bytes) -> AsyncIterator[str]:
    """Run a server that answers every request with these bytes, and hangs up."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def breaking_off(*, after: int) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Run a server that hangs up on each connection's first request after so many."""
    asked = list[bytes]()

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in itertools.count():
            try:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                break
            if number == after:
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


@asynccontextmanager
async def shaking_hands(certificate: Path, key: Path) -> AsyncIterator[int]:
    """Run a server that speaks TLS with a certificate, and tell its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@dataclass
class FakeTransport:
    """Answer as a test says."""

    answer: HttpResponse

    async def send(
        self,
        request: HttpRequest,
        *,
        timeout_seconds: float,
        trip: Trip | None = None,
    ) -> HttpResponse:
        """Answer, and say that it left."""
        del request, timeout_seconds
        if trip is not None:
            trip.left = True
        return self.answer

    def as_of_ns(self, request: HttpRequest) -> int | None:
        """Be recorded at second 7."""
        del request
        return 7 * SECOND_NS
