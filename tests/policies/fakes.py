"""Vendors that answer as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ingestion_server.domain.errors import (
    IngestionError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.policies.breaker import Breaker
from ingestion_server.policies.pipeline import pipeline
from ingestion_server.ports.hooks import CallDetails
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.policy import Call, Send
from ingestion_server.ports.quota import Debit, Lane

FREE = Decimal(0)
RESPONSE = HttpResponse(status=200, body=b"{}")


def call(deadline: float = float("inf"), **more: object) -> Call:
    """Make a call for a quote of a symbol, which no listener may learn."""
    request = HttpRequest(
        provider="acme", url="https://acme.example/v1/NVDA", feature="DAILY"
    )
    return Call(request=request, deadline=deadline, **more)  # type: ignore[arg-type]


async def asked(breaker: Breaker, send: Send) -> HttpResponse:
    """Ask a question that is tried once, with nothing around it but a breaker."""
    return await pipeline([breaker, breaker.watch], send)(call())


def unavailable(retry_after_seconds: float | None = None) -> ProviderUnavailableError:
    """Make a failure of the vendor."""
    return ProviderUnavailableError(
        "acme answered HTTP 503",
        provider="acme",
        retry_after_seconds=retry_after_seconds,
    )


@dataclass(frozen=True)
class Grounded:
    """End a call before anything of it left."""

    error: BaseException


def unreachable() -> Grounded:
    """Make the failure of a call for which there was no connection."""
    error = ProviderUnavailableError("acme cannot be reached", provider="acme")
    return Grounded(error)


def busy(retry_after_seconds: float | None = None) -> QuotaExhaustedError:
    """Make a vendor's 429."""
    return QuotaExhaustedError(
        "acme answered 429 Too Many Requests",
        provider="acme",
        window="unpublished",
        retry_after_seconds=retry_after_seconds,
    )


class Vendor:
    """
    Do one thing after another, the last for ever; None is a good answer.

    Its answers come with the headers, complaints included. Whether a call left, it
    tells as ``left``, but for those that were grounded.
    """

    def __init__(
        self,
        *acts: BaseException | Grounded | None,
        headers: Mapping[str, str] | None = None,
        left: bool | None = True,
    ) -> None:
        """Set what happens."""
        self.acts: list[BaseException | Grounded | None] = list(acts) or [None]
        self.headers = headers
        self.left = left
        self.calls: list[Call] = []

    async def __call__(self, call: Call) -> HttpResponse:
        """Answer, or fail."""
        self.calls.append(call)
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        if isinstance(act, Grounded):
            raise act.error
        call.heard.trip.left = self.left
        if self.headers is not None:
            call.heard.headers = self.headers
        if act is not None:
            raise act
        return RESPONSE


class Hanging:
    """Answer when told so."""

    def __init__(self) -> None:
        """Begin to hang."""
        self.calls: list[Call] = []
        self.ends: asyncio.Future[HttpResponse] = asyncio.Future()

    async def __call__(self, call: Call) -> HttpResponse:
        """Wait."""
        self.calls.append(call)
        call.heard.trip.left = True
        return await asyncio.shield(self.ends)


@dataclass
class FakeQuota:
    """Grant what it is told to, and write down what it hears."""

    refusal: IngestionError | None = None
    price: Decimal = FREE
    """Of any call."""
    granted_at: Decimal | None = None
    """What a call costs in the end; None = its price."""
    dearer: Decimal = FREE
    """What an answer's headers tell that a call cost more."""
    turn: Callable[[], None] = lambda: None
    """What happens while a call waits for its turn."""
    asked: list[tuple[str, float, Lane]] = field(default_factory=list)
    refunds: list[Debit] = field(default_factory=list)
    arrivals: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    penalties: list[tuple[float | None, str]] = field(default_factory=list)
    successes: int = 0

    @property
    def waits(self) -> list[float]:
        """Tell how long each call would have waited."""
        return [wait for _, wait, _ in self.asked]

    @property
    def charges(self) -> bool:
        """Tell whether calls have a price."""
        return bool(self.price)

    def units(self, *endpoints: str) -> int:
        """Weigh all calls alike."""
        return len(endpoints)

    def price_usd(self, *endpoints: str) -> Decimal:
        """Tell the price, which is the same for all."""
        return self.price * len(endpoints)

    async def reserve(
        self, endpoint: str, *, longest_wait_seconds: float, lane: Lane, times: int = 1
    ) -> Debit:
        """Grant, or refuse."""
        self.asked.append((endpoint, longest_wait_seconds, lane))
        if self.refusal is not None:
            raise self.refusal
        self.turn()
        return Debit(
            number=len(self.asked),
            at_seconds=0.0,
            at_ns=0,
            units=times,
            lane=lane,
            cost_usd=self.price if self.granted_at is None else self.granted_at,
        )

    def refund(self, debit: Debit) -> None:
        """Note it."""
        self.refunds.append(debit)

    def arrived(self, debit: Debit, headers: Mapping[str, str]) -> Decimal:
        """Note it."""
        self.arrivals.append((debit.number, headers))
        return self.dearer

    def penalise(self, *, retry_after_seconds: float | None, window: str) -> None:
        """Note it."""
        self.penalties.append((retry_after_seconds, window))

    def note_success(self) -> None:
        """Note it."""
        self.successes += 1

    def available_in(self) -> float:
        """Say five minutes."""
        return 300.0

    def headroom(self) -> float:
        """Say that all is left."""
        return 1.0


@dataclass
class Listener:
    """Write down what it hears."""

    heard: list[CallDetails] = field(default_factory=list)

    def __call__(self, details: CallDetails) -> None:
        """Hear of one call."""
        self.heard.append(details)
