"""What probes are told: whether the process lives, and whether it takes calls."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from aiohttp import web

LIVE: Final = "/livez"
"""Answers as long as the loop turns; an orchestrator restarts what does not."""
READY: Final = "/readyz"
"""Answers 200 while calls are taken, 503 before and after."""


class Stage(StrEnum):
    """Name where a server stands between its start and its end."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


def routes(stage: Callable[[], Stage]) -> list[web.RouteDef]:
    """Return the pages for probes."""

    async def livez(request: web.Request) -> web.Response:
        """Answer, which is all there is to say."""
        del request
        return web.Response(text="ok")

    async def readyz(request: web.Request) -> web.Response:
        """Say at which stage the server is."""
        del request
        now = stage()
        status = 200 if now is Stage.READY else 503
        return web.json_response({"status": now.value}, status=status)

    return [web.get(LIVE, livez), web.get(READY, readyz)]
