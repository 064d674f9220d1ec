"""Call only when the vendor's quota allows it, and listen when it says no."""

from __future__ import annotations

from typing import final

from typing_extensions import override

from ingestion_server.domain.errors import BreakerOpenError, QuotaExhaustedError
from ingestion_server.policies.deadline import late
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import Call, Policy, Send
from ingestion_server.ports.quota import Debit, Quota


@final
class Reserve(Policy):
    """
    Reserve quota before each call.

    What was reserved stays used, also if the call fails or is cancelled, since the
    vendor may have counted it; only a call that the breaker kept back is refunded.
    """

    def __init__(self, quota: Quota, clock: Clock) -> None:
        self._quota = quota
        self._clock = clock

    @override
    async def __call__(self, call: Call, send: Send) -> HttpResponse:
        """
        Wait for quota, then send.

        Raises:
            QuotaExhaustedError: it would take longer than the call may wait, or the
                vendor says so; it tells when to come back.
            DeadlineExceededError: the caller's time was over before.

        """
        left = call.deadline - self._clock.monotonic()
        if left <= 0:
            raise late(call)
        debit = await self._quota.reserve(
            longest_wait_seconds=min(call.longest_quota_wait_seconds, left),
            urgent=call.urgent,
        )
        try:
            response = await self._sent(call, send, debit)
        except QuotaExhaustedError as e:
            self._quota.penalise(
                retry_after_seconds=e.retry_after_seconds, window=e.window
            )
            if e.retry_after_seconds is None:
                e.retry_after_seconds = self._quota.available_in()
            raise
        self._quota.note_success()
        return response

    async def _sent(self, call: Call, send: Send, debit: Debit) -> HttpResponse:
        """Send, and say when the call is over, or that it never left."""
        try:
            response = await send(call)
        except BreakerOpenError:
            self._quota.refund(debit)
            raise
        except BaseException:
            self._quota.arrived(debit)
            raise
        self._quota.arrived(debit)
        return response
