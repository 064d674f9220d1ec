"""Bound one call by its own limit and by the caller's deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
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
from ingestion_server.ports.policy import Call, Policy, Send

Timeout = Callable[[float], AbstractAsyncContextManager[object]]


@final
class Deadline(Policy):
    """
    Give up a call in time.

    A call that had all its seconds is a failure of the vendor; one that the caller's
    deadline cut short is not, unless the vendor had a fair share of time. Then the
    vendor's failure is the cause of ``DeadlineExceededError``, where the breaker
    finds it: else a vendor that hangs would never rest as long as callers are less
    patient than we are.
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
        left = call.deadline - self._clock.monotonic()
        if left <= 0:
            raise late(call)
        seconds = min(self._limits.call_seconds, left)
        call.tally.calls += 1
        try:
            async with self._timeout(seconds):
                return await send(replace(call, timeout_seconds=seconds))
        except TimeoutError:
            # Not chained: whoever looks at the cause shall find the vendor's failure.
            silent = _silent(call, seconds)
        if seconds == self._limits.call_seconds:
            raise silent
        if seconds >= self._limits.fair_seconds:
            raise late(call) from silent
        raise late(call)


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
