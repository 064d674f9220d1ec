"""Try again what may succeed a moment later."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from msgspec.structs import replace
from typing_extensions import override

from ingestion_server.domain.errors import (
    BreakerOpenError,
    CostLimitError,
    MalformedPayloadError,
    ProviderError,
    ProviderUnavailableError,
)
from ingestion_server.policies.limits import RetryLimits
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import Call, Policy, Send
from ingestion_server.ports.tracing import event


@final
class Retry(Policy):
    """
    Repeat a call after a failure that may pass in a moment, with full jitter.

    Such is a failure of the vendor, rubbish included: most of that is an answer that
    was cut short, or the page of a door in between. A vendor's "not now" is none:
    pressing on makes it worse. A pause that would end after the caller's deadline, or
    is longer than the limits allow, is not begun: the failure is raised, and it says
    when to come back. A vendor that was silent is not tried again while another is
    left or nobody waits any more, and a probe not at all.

    How much quota is left is not asked: each try reserves its own, or is refused.
    """

    def __init__(
        self, limits: RetryLimits, clock: Clock, random: Callable[[], float]
    ) -> None:
        """
        Set up.

        Args:
            limits: how often, and how long the pauses are.
            clock: lets the pauses pass.
            random: gives numbers in ``[0, 1)``, as ``random.random`` does.

        """
        self._limits = limits
        self._clock = clock
        self._random = random

    @override
    async def __call__(self, call: Call, send: Send) -> HttpResponse:
        """Send until it succeeds, or trying makes no sense any more."""
        failures = 0
        last: ProviderError | None = None
        while True:
            try:
                return await send(call)
            except (BreakerOpenError, CostLimitError) as e:
                if last is None:
                    raise
                # What the vendor did says more than that we do not ask again.
                raise last from e
            except ProviderError as e:
                failures += 1
                pause = self._pause(e, failures, call)
                if pause is None:
                    raise
                last = e
                call = _again(call)
                event(
                    "retry",
                    provider=call.request.provider,
                    reason=e.reason,
                    pause_seconds=pause,
                )
            await self._clock.sleep(pause)

    def _pause(self, error: ProviderError, failures: int, call: Call) -> float | None:
        """Return how long to wait before the next try; None if there is none."""
        limits = self._limits
        # A 4xx that nobody explains is rubbish too, but of our own making.
        rubbish = isinstance(error, MalformedPayloadError) and error.trips_breaker
        if not (error.transient or rubbish) or call.trial.is_probe:
            return None
        if failures >= limits.attempts:
            return None
        silent = isinstance(error, ProviderUnavailableError) and error.silent
        deserted = call.tally.spare_seconds is not None
        if silent and (deserted or not call.last_resort):
            return None
        # More doublings than this only overflow.
        doubled = limits.first_seconds * 2.0 ** min(failures - 1, 60)
        pause = self._random() * min(doubled, limits.longest_seconds)
        asked = error.retry_after_seconds or 0.0
        if asked > limits.longest_retry_after_seconds:
            return None
        pause = max(pause, asked)
        if self._clock.monotonic() + pause >= call.deadline:
            return None
        return pause


def _again(call: Call) -> Call:
    """Return the call as it is tried again: another vendor may have quota sooner."""
    longest = min(call.longest_quota_wait_seconds, call.longest_retry_wait_seconds)
    return replace(call, longest_quota_wait_seconds=longest)
