"""What probes are told: whether the process lives, and whether callers are served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import msgspec
from aiohttp import web

LIVE: Final = "/livez"
"""Answers as long as the loop turns; an orchestrator restarts what does not."""
READY: Final = "/readyz"
"""Answers 200 while calls are taken and can be answered, 503 else, and says why."""
HEALTH: Final = "/healthz"
"""Answers the same with more about the process, for people."""


class Stage(StrEnum):
    """Name where a server stands between its start and its end."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    """It serves, but callers would mostly fail."""
    STOPPING = "stopping"


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tell of one thing without which callers fail."""

    name: str
    ok: bool
    why: str = ""
    """What is wrong, in plain words; empty if nothing is."""


class Report(msgspec.Struct, frozen=True):
    """Tell how a server does."""

    stage: Stage
    checks: tuple[Check, ...] = ()
    process: Mapping[str, object] = msgspec.field(default_factory=dict)
    """What else is known, such as the version; nothing secret."""


ReportNow = Callable[[], Report]


def routes(report: ReportNow) -> list[web.RouteDef]:
    """Return the pages for probes."""

    async def livez(request: web.Request) -> web.Response:
        """Answer, which is all there is to say."""
        del request
        return web.Response(text="ok")

    async def readyz(request: web.Request) -> web.Response:
        """Say whether callers are served, and why not."""
        del request
        now = report()
        return _answer(now, {"status": now.stage, "checks": now.checks})

    async def healthz(request: web.Request) -> web.Response:
        """Say how the process does."""
        del request
        now = report()
        told = {"status": now.stage, "process": now.process, "checks": now.checks}
        return _answer(now, told)

    return [web.get(LIVE, livez), web.get(READY, readyz), web.get(HEALTH, healthz)]


def _answer(report: Report, told: Mapping[str, object]) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(told),
        status=200 if report.stage is Stage.READY else 503,
        content_type="application/json",
    )
