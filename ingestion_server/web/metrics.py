"""What a monitoring system is told: a page of metrics, as somebody else writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from aiohttp import web

METRICS: Final = "/metrics"

Metrics: TypeAlias = Callable[[str], tuple[bytes, str]]
"""Return a page and its content type for the value of an Accept header."""


def routes(metrics: Metrics) -> list[web.RouteDef]:
    """Return the page of metrics."""

    async def page(request: web.Request) -> web.Response:
        """Answer in the format that is asked for."""
        # A header may be sent in several lines, which mean the same as one.
        accept = ",".join(request.headers.getall("Accept", ()))
        body, content_type = metrics(accept)
        # As a header, since aiohttp's `content_type` takes no parameters.
        return web.Response(body=body, headers={"Content-Type": content_type})

    return [web.get(METRICS, page)]
