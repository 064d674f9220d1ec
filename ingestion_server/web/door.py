"""The door itself: one small HTTP server, its limits and its manners."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from ingestion_server.web import health
from ingestion_server.web import metrics as pages
from ingestion_server.web.health import Stage
from ingestion_server.web.metrics import Metrics

_LARGEST_BODY: Final = 64 * 1024
_LONGEST_LINE: Final = 4096
_KEEPALIVE_SECONDS: Final = 15.0
_SHUTDOWN_SECONDS: Final = 0.5
"""Everybody is answered at once, so whoever is left only keeps a connection open."""

_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Server": "ingestion-server",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)


@asynccontextmanager
async def serving(
    address: str, stage: Callable[[], Stage], *, metrics: Metrics
) -> AsyncIterator[int]:
    """
    Serve until the block ends, and tell the port; port 0 takes a free one.

    Raises:
        OSError: The port cannot be had.

    """
    app = web.Application(middlewares=[_told_in_json], client_max_size=_LARGEST_BODY)
    app.on_response_prepare.append(_with_manners)
    app.add_routes([*health.routes(stage), *pages.routes(metrics)])
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        host, _, port = address.rpartition(":")
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "the port is taken" if taken else error.strerror or str(error)
            raise OSError(
                error.errno, f"cannot listen on {address} (http.address): {why}"
            ) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


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
