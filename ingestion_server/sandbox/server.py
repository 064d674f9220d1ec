"""The one port on which all vendors and the control calls live."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ingestion_server.sandbox import control
from ingestion_server.sandbox.alpha_vantage.vendor import PATH, AlphaVantage
from ingestion_server.sandbox.compression import compressed
from ingestion_server.sandbox.control import Desk
from ingestion_server.sandbox.damage import damaged_bytes, with_headers
from ingestion_server.sandbox.days import load_zones
from ingestion_server.sandbox.faults import (
    ALPHA_VANTAGE,
    FINNHUB,
    IEX_CLOUD,
    YAHOO,
    Effect,
    FaultBook,
)
from ingestion_server.sandbox.finnhub.vendor import Finnhub
from ingestion_server.sandbox.iex_cloud.vendor import IexCloud
from ingestion_server.sandbox.listings import ZONES
from ingestion_server.sandbox.market import Market
from ingestion_server.sandbox.options import SandboxOptions
from ingestion_server.sandbox.schedule import SessionSource
from ingestion_server.sandbox.sockets.entrance import asks_for_stream, floors, vendor_of
from ingestion_server.sandbox.tape import Tape
from ingestion_server.sandbox.wire import TEXT, Call, Reply
from ingestion_server.sandbox.yahoo.vendor import Yahoo

_SHUTDOWN_SECONDS: Final = 0.1
_SLASHES: Final = re.compile(r"/{2,}")


@dataclass(frozen=True, slots=True)
class Running:
    """Say where a started sandbox listens."""

    url: str
    """Without a trailing slash, for example ``http://127.0.0.1:41234``."""
    port: int


@asynccontextmanager
async def running(
    options: SandboxOptions | None = None,
    *,
    sessions: SessionSource,
    now_ns: Callable[[], int],
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Running]:
    """
    Serve the sandbox until the block ends; port 0 takes a free one.

    A port in use raises ``OSError``. Requests that hang are cut off at the end.
    """
    await asyncio.to_thread(load_zones, ZONES)
    house = _House(options or SandboxOptions(), sessions, now_ns)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", house.handle)
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        handler_cancellation=True,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = int(runner.addresses[0][1])
        yield Running(f"http://{host}:{bound}", bound)
    finally:
        house.stop()
        await runner.cleanup()


class _House:
    """Send each request to the vendor that owns its path."""

    def __init__(
        self,
        options: SandboxOptions,
        sessions: SessionSource,
        now_ns: Callable[[], int],
    ) -> None:
        self._market = market = Market(options.seed, sessions)
        tape = Tape(market, per_second=options.trades_per_second)
        self._yahoo = Yahoo(market, options)
        self._finnhub = Finnhub(market, tape, options)
        self._iex_cloud = IexCloud(market, tape, options)
        self._floors = floors(market, tape, options, now_ns)
        self._desks: Mapping[str, Desk] = {
            ALPHA_VANTAGE: Desk(
                AlphaVantage(market, options), FaultBook(options.seed, ALPHA_VANTAGE)
            ),
            YAHOO: Desk(
                self._yahoo, FaultBook(options.seed, YAHOO), self._floors[YAHOO]
            ),
            FINNHUB: Desk(
                self._finnhub, FaultBook(options.seed, FINNHUB), self._floors[FINNHUB]
            ),
            IEX_CLOUD: Desk(self._iex_cloud, FaultBook(options.seed, IEX_CLOUD)),
        }
        self._now_ns = now_ns
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End what hangs, and all streams."""
        self._stopping.set()
        for floor in self._floors.values():
            floor.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        path = _SLASHES.sub("/", request.path)
        if asks_for_stream(request):
            return await self._stream(request, path)
        if path.startswith(f"{control.PREFIX}/"):
            call = control.ControlCall(
                request.method,
                path,
                await request.read(),
                self._now_ns(),
                request.query,
            )
            return _response(
                await control.control_reply(call, self._desks, self._market)
            )
        desk = self._desk_of(path)
        if desk is None:
            return _response(Reply(b"Not Found\r\n", 404, TEXT))
        reply = await self._vendor_reply(desk, await self._call(request, path))
        reply = compressed(reply, request.headers.get("Accept-Encoding", ""))
        if reply.sent_bytes is None:
            return _response(reply)
        return await _cut_short(reply, reply.sent_bytes, request)

    async def _stream(self, request: web.Request, path: str) -> web.StreamResponse:
        floor = self._floors.get(vendor_of(request.host, path, request.query))
        if floor is None:
            return _response(Reply(b"Not Found\r\n", 404, TEXT))
        served = await floor.serve(request)
        return _response(served) if isinstance(served, Reply) else served

    def _desk_of(self, path: str) -> Desk | None:
        if path == PATH:
            return self._desks[ALPHA_VANTAGE]
        if self._finnhub.owns(path):
            return self._desks[FINNHUB]
        if self._iex_cloud.owns(path):
            return self._desks[IEX_CLOUD]
        return self._desks[YAHOO] if self._yahoo.owns(path) else None

    async def _call(self, request: web.Request, path: str) -> Call:
        form: dict[str, str] = {}
        if request.method == "POST":
            sent = await request.post()
            form = {key: text for key, text in sent.items() if isinstance(text, str)}
        return Call(
            method=request.method,
            path=path,
            query=request.query,
            form=form,
            cookies=request.cookies,
            client=request.remote or "",
            now_ns=self._now_ns(),
            headers=request.headers,
        )

    async def _vendor_reply(self, desk: Desk, call: Call) -> Reply:
        refused = desk.receive(call)
        if refused is not None:
            # What adds headers stands in front of the vendor, also when it refuses.
            added = desk.draw(call, {Effect.HEADERS})
            return with_headers(refused, added, call.now_ns)
        struck = desk.draw(call)
        for fault in struck:
            if fault.kind.effect is Effect.DELAY and await self._stopped_within(
                fault.delay_seconds
            ):
                return Reply(b"Service Unavailable\r\n", 503, TEXT)
        reply = damaged_bytes(await desk.answer(call, struck), struck)
        return with_headers(reply, struck, call.now_ns)

    async def _stopped_within(self, seconds: float) -> bool:
        # Faults are about a real client's patience, so they take real time.
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True


def _response(reply: Reply) -> web.Response:
    response = web.Response(body=reply.body, status=reply.status)
    _add_headers(response, reply)
    return response


async def _cut_short(
    reply: Reply, sent_bytes: int, request: web.Request
) -> web.StreamResponse:
    """Promise the whole body, send a part of it, and close the connection."""
    response = web.StreamResponse(status=reply.status)
    _add_headers(response, reply)
    response.content_length = len(reply.body)
    await response.prepare(request)
    await response.write(reply.body[:sent_bytes])
    if request.transport is not None:
        request.transport.close()
    return response


def _add_headers(response: web.StreamResponse, reply: Reply) -> None:
    response.headers["Content-Type"] = reply.content_type
    for name, value in reply.headers:
        response.headers.add(name, value)
