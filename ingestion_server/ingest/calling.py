"""One call of a vendor: signed at the last moment, checked at the first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from itertools import count
from math import inf
from typing import Final, TypeVar, final

import msgspec

from ingestion_server.domain.errors import (
    NoDataUnexplainedError,
    ProviderUnavailableError,
    SessionExpiredError,
)
from ingestion_server.ingest.describing import describe_try
from ingestion_server.ports.http import HttpRequest, HttpResponse, Transport
from ingestion_server.ports.policy import Call, CallTally, Send
from ingestion_server.ports.provider import Credentials, Provider
from ingestion_server.ports.quota import Lane
from ingestion_server.ports.tracing import Kind, Span, span

T = TypeVar("T")
_LARGE_BYTES: Final = 1_048_576
"""A body that takes more than a few milliseconds to read."""

Steps = Callable[[str, Send], Send]
"""Put the policies of a kind of data around the way to the wire."""


class Allowance(msgspec.Struct, frozen=True):
    """Bound the calls made for one question, and count them."""

    deadline: float
    """Monotonic seconds at which the caller's time is over."""
    longest_quota_wait_seconds: float
    """Longer than this is not waited for quota."""
    kind: str
    """Kind of data and asset class, which a breaker judges apart from others."""
    last_resort: bool = True
    """Whether nobody else can be asked; else this is only a share of the time."""
    lane: Lane = Lane.INTERACTIVE
    """Whether somebody waits for the answer."""
    most_cost_usd: Decimal | None = None
    """What the calls may cost together; None = no limit."""
    tally: CallTally = msgspec.field(default_factory=CallTally)
    longest_retry_wait_seconds: float = inf
    """Longer than this is not waited for quota to try again what has failed."""
    patience_seconds: Callable[[], float] = lambda: inf
    """
    A call made for others that was silent for longer is not waited for.

    Most questions meet no such call, so it is only worked out if this one does.
    """


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
        self._reading = asyncio.Lock()

    async def __call__(
        self,
        request: HttpRequest,
        read: Callable[[HttpResponse], T],
        *,
        allowance: Allowance,
    ) -> T:
        """
        Return what ``read`` makes of the checked answer.

        It reads under the policies, because a vendor that sends rubbish is as broken
        as one that sends nothing. A vendor that wants to be greeted anew is, once,
        by one caller for all.

        Raises:
            ProviderError: The vendor, or a policy, said no.
            DeadlineExceededError: The caller's time is over.

        """
        used = self._credentials
        if request.needs_session and not (used.cookies or used.crumb):
            # Recordings need none; what is not recorded is said of the request.
            with suppress(NoDataUnexplainedError):
                await self._greet(used, allowance)
            used = self._credentials
        try:
            return await self._read(request, read, allowance)
        except SessionExpiredError:
            await self._greet(used, allowance)
            return await self._read(request, read, allowance)

    async def _read(
        self,
        request: HttpRequest,
        read: Callable[[HttpResponse], T],
        allowance: Allowance,
    ) -> T:
        found: list[T] = []
        tries = count()

        async def wire(call: Call) -> HttpResponse:
            with span(f"{request.method} {request.provider}", Kind.CLIENT) as part:
                describe_try(part, call.request, next(tries))
                return await exchanged(call, part)

        async def exchanged(call: Call, part: Span) -> HttpResponse:
            signed = self._provider.sign(call.request, self._credentials)
            trip = call.heard.trip
            trip.left = None  # from here on, only the transport can tell
            response = await self._transport.send(
                signed, timeout_seconds=call.timeout_seconds, trip=trip
            )
            call.heard.headers = response.headers
            part.set("http.response.status_code", response.status)
            self._provider.check(call.request, response)
            if len(response.body) < _LARGE_BYTES:
                found.append(read(response))
                return response
            # A month of minutes takes some hundredths of a second. One at a time, with
            # others in between: if many came at once, everybody would stand still for
            # as long as they all take together.
            async with self._reading:
                await asyncio.sleep(0)
                found.append(read(response))
                await asyncio.sleep(0)
            return response

        call = Call(
            request,
            deadline=allowance.deadline,
            longest_quota_wait_seconds=allowance.longest_quota_wait_seconds,
            longest_retry_wait_seconds=allowance.longest_retry_wait_seconds,
            last_resort=allowance.last_resort,
            lane=allowance.lane,
            most_cost_usd=allowance.most_cost_usd,
            tally=allowance.tally,
        )
        await self._steps(allowance.kind, wire)(call)
        return found[-1]

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
                    try:
                        response = await self._read(request, _as_it_is, allowance)
                    except ProviderUnavailableError as error:
                        request = exchange.throw(error)
                    else:
                        request = exchange.send(response)
            except StopIteration as done:
                self._credentials = done.value


def _as_it_is(response: HttpResponse) -> HttpResponse:
    return response
