"""One call of a vendor: signed at the last moment, checked at the first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from ingestion_server.domain.errors import SessionExpiredError
from ingestion_server.ports.http import HttpRequest, HttpResponse, Transport
from ingestion_server.ports.policy import Call, CallTally, Send
from ingestion_server.ports.provider import Credentials, Provider

Steps = Callable[[str, Send], Send]
"""Put the policies of a kind of data around the way to the wire."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Bound the calls made for one question, and count them."""

    deadline: float
    """Monotonic seconds at which the caller's time is over."""
    longest_quota_wait_seconds: float
    """Longer than this is not waited for quota."""
    kind: str
    """Kind of data and asset class, which a breaker judges apart from others."""
    tally: CallTally = field(default_factory=CallTally)


@final
class Exchange:
    """Make calls of one vendor under all policies."""

    def __init__(
        self, provider: Provider, transport: Transport, steps: Steps, *, key: str
    ) -> None:
        self._provider = provider
        self._transport = transport
        self._steps = steps
        self._credentials = Credentials(key=key)
        self._greeting = asyncio.Lock()

    async def __call__(
        self, request: HttpRequest, allowance: Allowance
    ) -> HttpResponse:
        """
        Return the checked answer.

        A vendor that wants to be greeted anew is, once, by one caller for all.

        Raises:
            ProviderError: The vendor, or a policy, said no.
            DeadlineExceededError: The caller's time is over.

        """
        used = self._credentials
        try:
            return await self._send(request, allowance)
        except SessionExpiredError:
            await self._greet(used, allowance)
            return await self._send(request, allowance)

    async def _send(self, request: HttpRequest, allowance: Allowance) -> HttpResponse:
        call = Call(
            request,
            deadline=allowance.deadline,
            longest_quota_wait_seconds=allowance.longest_quota_wait_seconds,
            tally=allowance.tally,
        )
        return await self._steps(allowance.kind, self._wire)(call)

    async def _wire(self, call: Call) -> HttpResponse:
        signed = self._provider.sign(call.request, self._credentials)
        response = await self._transport.send(
            signed, timeout_seconds=call.timeout_seconds
        )
        self._provider.check(call.request, response)
        return response

    async def _greet(self, refused: Credentials, allowance: Allowance) -> None:
        async with self._greeting:
            if self._credentials is not refused:
                return
            exchange = self._provider.greet(refused)
            if exchange is None:
                raise SessionExpiredError(
                    f"{self._provider.name} refused our session",
                    provider=self._provider.name,
                )
            self._credentials = Credentials(key=refused.key)
            try:
                request = next(exchange)
                while True:
                    request = exchange.send(await self._send(request, allowance))
            except StopIteration as done:
                self._credentials = done.value
