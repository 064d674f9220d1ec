"""The door itself: one small HTTP server, its limits and its manners."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final, cast

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from typing_extensions import override

from ingestion_server.web import connect, failures, health, pages
from ingestion_server.web import metrics as metrics_page
from ingestion_server.web.failures import RecentFailures
from ingestion_server.web.guard import Guard
from ingestion_server.web.health import ReportNow
from ingestion_server.web.metrics import Metrics

MOST_CONNECTIONS: Final = 512
"""Whoever comes then is hung up on: each takes a file, and callers need files too."""
_LONGEST_LINE: Final = 4096
_KEEPALIVE_SECONDS: Final = 15.0
_SHUTDOWN_SECONDS: Final = 0.5
"""Everybody is answered at once, so whoever is left only keeps a connection open."""

_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Referrer-Policy": "no-referrer",
        "Server": "ingestion-server",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)
_UNLESS_SAID: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    }
)


class Console(msgspec.Struct, frozen=True):
    """Hold what the page for people is made of."""

    rpcs: connect.RpcsNow
    """What it calls."""
    failures: RecentFailures
    guard: Guard


@asynccontextmanager
async def serving(
    address: str,
    report: ReportNow,
    *,
    metrics: Metrics,
    console: Console | None = None,
) -> AsyncIterator[int]:
    """
    Serve until the block ends, and tell the port; port 0 takes a free one.

    Args:
        address: where to listen.
        report: tells how the server does.
        metrics: writes the page of metrics.
        console: the page for people, and its calls; None = neither is served.

    Raises:
        OSError: The port cannot be had.

    """
    app = web.Application(
        middlewares=[_told_in_json], client_max_size=connect.LARGEST_REQUEST
    )
    app.on_response_prepare.append(_with_manners)
    app.add_routes([*health.routes(report), *metrics_page.routes(metrics)])
    if console is not None:
        guard = console.guard
        files = await asyncio.to_thread(pages.read_pages)
        app.add_routes(
            [
                *pages.routes(files, guard),
                *failures.routes(console.failures, guard),
                *connect.routes(console.rpcs, guard),
            ]
        )
    runner = web.AppRunner(
        app,
        access_log=None,
        # Nobody needs to send us anything compressed, and unpacking what somebody sends
        # all the same would hold up the loop, and with it every caller.
        auto_decompress=False,
        handle_signals=False,
        # Who leaves takes what he has asked for with him.
        handler_cancellation=True,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        async with _listening(runner, address) as port:
            yield port
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _listening(runner: web.AppRunner, address: str) -> AsyncIterator[int]:
    handlers = runner.server
    if handlers is None:
        raise RuntimeError("the runner was not set up")

    def connected() -> asyncio.Protocol:
        crowded = len(handlers.connections) >= MOST_CONNECTIONS
        return _HungUp() if crowded else handlers()

    host, _, port = address.rpartition(":")
    try:
        server = await asyncio.get_running_loop().create_server(
            connected, host.strip("[]"), int(port), backlog=128
        )
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "the port is taken" if taken else error.strerror or str(error)
        raise OSError(
            error.errno, f"cannot listen on {address} (http.address): {why}"
        ) from error
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


class _HungUp(asyncio.Protocol):
    """Be a connection that is one too many."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Every loop's has it, though not every loop's is a subclass.
        cast("asyncio.Transport", transport).abort()


@web.middleware
async def _told_in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what is not there, or not allowed, in the form of everything else."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        allowed = error.headers.get("Allow")
        return web.json_response(
            {"error": error.reason},
            status=error.status,
            headers={"Allow": allowed} if allowed else None,
        )


async def _with_manners(request: web.Request, response: web.StreamResponse) -> None:
    """Tell browsers to do as little as possible with an answer."""
    del request
    response.headers.update(_HEADERS)
    for name, value in _UNLESS_SAID.items():
        response.headers.setdefault(name, value)
