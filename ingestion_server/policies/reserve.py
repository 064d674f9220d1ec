"""Call only when the vendor's quota allows it, and listen when it says no."""

from __future__ import annotations

from decimal import Decimal
from typing import final

from msgspec.structs import replace
from typing_extensions import override

from ingestion_server.domain.errors import (
    CostLimitError,
    QuotaExhaustedError,
)
from ingestion_server.policies.deadline import late
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpResponse, Trip
from ingestion_server.ports.policy import Call, Heard, Policy, Send
from ingestion_server.ports.quota import Debit, Quota


@final
class Reserve(Policy):
    """
    Reserve quota before each call, and know what it costs.

    What was reserved stays used, also if the call fails or is cancelled, since the
    vendor may have counted it. Only a call that surely never left is refunded: one
    that the breaker kept back, whose turn came too late or at too high a price, or
    that ended, however it did, before it had a connection.
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
            CostLimitError: it would cost more than the caller allows.
            LedgerUnavailableError: it cannot be written down first.
            DeadlineExceededError: the caller's time was over before.

        """
        left = self._left(call)
        if call.most_cost_usd is not None:
            # What may not be paid for needs no turn.
            endpoints = [call.request.feature] * call.request.times
            self._check_price(call, self._quota.price_usd(*endpoints))
        debit = await self._quota.reserve(
            call.request.feature,
            longest_wait_seconds=min(call.longest_quota_wait_seconds, left),
            lane=call.lane,
            times=call.request.times,
        )
        try:
            # Again, since the turn may have come at the last moment, and others may
            # have used up meanwhile what the flat price pays for.
            self._left(call)
            self._check_price(call, debit.cost_usd)
        except BaseException:
            self._quota.refund(debit)
            raise
        call.tally.cost_usd += debit.cost_usd
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

    def _left(self, call: Call) -> float:
        left = call.deadline - self._clock.monotonic()
        if left <= 0:
            raise late(call)
        return left

    def _check_price(self, call: Call, price: Decimal) -> None:
        provider, most = call.request.provider, call.most_cost_usd
        total = call.tally.cost_usd + price
        if price and most is not None and total > most:
            raise CostLimitError(
                f"the next call of {provider} costs {price} US dollars, together "
                f"{total}, which is more than max_cost_usd leaves: {most}",
                provider=provider,
                price_usd=str(price),
            )

    async def _sent(self, call: Call, send: Send, debit: Debit) -> HttpResponse:
        """Send, and say when the call is over, or that it never left."""
        # It is still here; from where that may change, the rest of the way says so.
        heard = Heard(trip=Trip(left=False))
        try:
            response = await send(replace(call, heard=heard))
        except BaseException:
            if heard.trip.left is False:
                self._take_back(call, debit)
            else:
                self._arrived(call, debit, heard)
            raise
        self._arrived(call, debit, heard)
        return response

    def _take_back(self, call: Call, debit: Debit) -> None:
        self._quota.refund(debit)
        call.tally.cost_usd -= debit.cost_usd

    def _arrived(self, call: Call, debit: Debit, heard: Heard) -> None:
        call.tally.cost_usd += self._quota.arrived(debit, heard.headers)
