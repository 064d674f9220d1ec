"""The latest RPCs that failed, for people who look for the reason."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import dropwhile
from typing import Final, final

import msgspec
from aiohttp import web
from typing_extensions import override

from ingestion_server.ports.hooks import OnRpc, RpcDetails
from ingestion_server.ports.rpc import RpcFailedError
from ingestion_server.web.connect import refused
from ingestion_server.web.guard import Guard

FAILURES: Final = "/console/errors"
MOST_KEPT: Final = 100
_LONGEST_MESSAGE: Final = 400
_CANCELLED: Final = "CANCELLED"
_NS_PER_MS: Final = 1_000_000


class Failure(msgspec.Struct, frozen=True, rename="camel"):
    """Tell of one RPC that failed."""

    number: int
    """Ascending from 1 since the start."""
    at_ms: int
    """When, in milliseconds since 1970 UTC."""
    rpc: str
    code: str
    reason: str
    message: str
    seconds: float
    request_id: str
    trace_id: str
    is_sampled: bool


@final
class RecentFailures(OnRpc):
    """Keep the latest of them, and nothing else."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """Begin with none; ``now_ns`` tells the time since 1970 UTC."""
        self._now_ns = now_ns
        self.since_ms: Final = now_ns() // _NS_PER_MS
        """When it began to count, in milliseconds since 1970 UTC."""
        self._kept: deque[Failure] = deque(maxlen=MOST_KEPT)
        self._count = 0

    @override
    def answered(self, rpc: str, seconds: float | None, trace_id: str) -> None:
        """Keep nothing of it."""

    @override
    def failed(self, details: RpcDetails) -> None:
        """Keep it, unless its caller left: those who watch all do so one day."""
        if details.code == _CANCELLED:
            return
        self._count += 1
        self._kept.append(
            Failure(
                number=self._count,
                at_ms=self._now_ns() // _NS_PER_MS,
                rpc=details.rpc,
                code=details.code,
                reason=details.reason,
                message=details.message[:_LONGEST_MESSAGE],
                seconds=details.seconds,
                request_id=details.request_id,
                trace_id=details.trace_id,
                is_sampled=details.is_sampled,
            )
        )

    @property
    def count(self) -> int:
        """Return how many there were since the start."""
        return self._count

    def after(self, number: int) -> list[Failure]:
        """Return those with higher numbers, oldest first."""
        return list(dropwhile(lambda kept: kept.number <= number, self._kept))


def routes(failures: RecentFailures, guard: Guard) -> list[web.RouteDef]:
    """Return the page of failures."""

    async def page(request: web.Request) -> web.Response:
        """Tell those that the caller has not seen."""
        try:
            guard.check_origin(request)
        except RpcFailedError as error:
            return refused(error)
        seen = request.query.get("after", "0")
        after = int(seen) if seen.isascii() and seen.isdecimal() else 0
        return web.Response(
            body=msgspec.json.encode(
                {
                    # Whoever sees another one has numbers of a server that is gone.
                    "sinceMs": failures.since_ms,
                    "count": failures.count,
                    "failures": failures.after(after),
                }
            ),
            content_type="application/json",
        )

    return [web.get(FAILURES, page)]
