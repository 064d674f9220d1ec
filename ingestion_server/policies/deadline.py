"""Bound one call by its own limit and by the caller's deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import final

from msgspec.structs import replace
from typing_extensions import override

from ingestion_server.domain.errors import (
    DeadlineExceededError,
    ProviderUnavailableError,
)
from ingestion_server.policies.limits import DeadlineLimits
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import Call, CallTally, Policy, Send

Timeout = Callable[[float], AbstractAsyncContextManager[asyncio.Timeout]]


@final
class Deadline(Policy):
    """
    Give up a call in time.

    A call that had all its seconds is a failure of the vendor; one that the caller's
    deadline cut short is not, unless the vendor had a fair share of time. Then the
    vendor's failure is the cause of ``DeadlineExceededError``, where the breaker
    finds it: else a vendor that hangs would never rest as long as callers are less
    patient than we are. A call that nobody waits for any more takes a connection from
    others: it ends after a fair time, and is a failure of the vendor as well.
    """

    def __init__(
        self,
        limits: DeadlineLimits,
        clock: Clock,
        *,
        timeout: Timeout = asyncio.timeout,
    ) -> None:
        """
        Set up.

        Args:
            limits: how long one call may take.
            clock: tells how much of the caller's time is left.
            timeout: ends what takes too long; tests hand in their clock's.

        """
        self._limits = limits
        self._clock = clock
        self._timeout = timeout

    @override
    async def __call__(self, call: Call, send: Send) -> HttpResponse:
        """
        Send, and count the call.

        Raises:
            DeadlineExceededError: the caller's time is over.
            ProviderUnavailableError: the vendor took too long.

        """
        now = self._clock.monotonic()
        left = call.deadline - now
        if left <= 0:
            raise late(call)
        tally, seconds = call.tally, min(self._limits.call_seconds, left)
        if tally.spare_seconds is not None:
            seconds = min(seconds, self._spared(tally.spare_seconds))
        tally.calls += 1
        tally.left_at_seconds = now
        tally.under_way += 1
        try:
            async with self._timeout(seconds) as scope:
                tally.on_deserted = partial(self._deserted, scope, tally, now)
                return await send(replace(call, timeout_seconds=seconds))
        except TimeoutError:
            # Not chained: whoever looks at the cause shall find the vendor's failure.
            silent = _silent(call, self._clock.monotonic() - now)
        finally:
            tally.on_deserted = None
            tally.under_way -= 1
        fair = seconds >= self._limits.fair_seconds
        deserted = fair and tally.spare_seconds is not None
        if deserted or seconds == self._limits.call_seconds:
            raise silent
        if fair:
            raise late(call) from silent
        raise late(call)

    def _deserted(
        self, scope: asyncio.Timeout, tally: CallTally, began_seconds: float
    ) -> None:
        """End a call sooner that nobody waits for: it keeps others from being made."""
        if tally.spare_seconds is None:
            return
        took = self._clock.monotonic() - began_seconds
        left = max(self._spared(tally.spare_seconds) - took, 0.0)
        end = asyncio.get_running_loop().time() + left
        scope.reschedule(min(end, scope.when() or end))

    def _spared(self, spare_seconds: float) -> float:
        return max(self._limits.fair_seconds, spare_seconds)


def late(call: Call) -> DeadlineExceededError:
    """Return the error for a call whose caller waits no longer."""
    provider, calls = call.request.provider, call.tally.calls
    return DeadlineExceededError(
        f"the deadline passed while {provider} was asked",
        attempts=f"{provider}: {calls}",
    )


def _silent(call: Call, seconds: float) -> ProviderUnavailableError:
    provider = call.request.provider
    error = ProviderUnavailableError(
        f"{provider} did not answer within {seconds:.3g} seconds", provider=provider
    )
    error.silent = True
    return error
