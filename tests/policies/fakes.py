"""Vendors that answer as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingestion_server.domain.errors import (
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.ports.hooks import CallDetails
from ingestion_server.ports.http import HttpRequest, HttpResponse
from ingestion_server.ports.policy import Call
from ingestion_server.ports.quota import Debit, WindowUse

RESPONSE = HttpResponse(status=200, body=b"{}")


def call(deadline: float = float("inf"), **more: object) -> Call:
    """Make a call for a quote of a symbol, which no listener may learn."""
    request = HttpRequest(
        provider="acme", url="https://acme.example/v1/NVDA", feature="DAILY"
    )
    return Call(request=request, deadline=deadline, **more)  # type: ignore[arg-type]


def unavailable(retry_after_seconds: float | None = None) -> ProviderUnavailableError:
    """Make a failure of the vendor."""
    return ProviderUnavailableError(
        "acme answered HTTP 503",
        provider="acme",
        retry_after_seconds=retry_after_seconds,
    )


def busy(retry_after_seconds: float | None = None) -> QuotaExhaustedError:
    """Make a vendor's 429."""
    return QuotaExhaustedError(
        "acme answered 429 Too Many Requests",
        provider="acme",
        window="unpublished",
        retry_after_seconds=retry_after_seconds,
    )


class Vendor:
    """Do one thing after another, the last for ever; None is a good answer."""

    def __init__(self, *acts: Exception | None) -> None:
        """Set what happens."""
        self.acts: list[Exception | None] = list(acts) or [None]
        self.calls: list[Call] = []

    async def __call__(self, call: Call) -> HttpResponse:
        """Answer, or fail."""
        self.calls.append(call)
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
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
        return await asyncio.shield(self.ends)


@dataclass
class FakeQuota:
    """Grant what it is told to, and write down what it hears."""

    refusal: QuotaExhaustedError | None = None
    waits: list[float] = field(default_factory=list)
    refunds: list[Debit] = field(default_factory=list)
    arrivals: list[Debit] = field(default_factory=list)
    penalties: list[tuple[float | None, str]] = field(default_factory=list)
    successes: int = 0

    async def reserve(
        self, *, longest_wait_seconds: float, urgent: bool = True
    ) -> Debit:
        """Grant, or refuse."""
        del urgent
        self.waits.append(longest_wait_seconds)
        if self.refusal is not None:
            raise self.refusal
        return Debit(at_seconds=float(len(self.waits)), at_ns=0)

    def refund(self, debit: Debit) -> None:
        """Note it."""
        self.refunds.append(debit)

    def arrived(self, debit: Debit) -> None:
        """Note it."""
        self.arrivals.append(debit)

    def penalise(self, *, retry_after_seconds: float | None, window: str) -> None:
        """Note it."""
        self.penalties.append((retry_after_seconds, window))

    def note_success(self) -> None:
        """Note it."""
        self.successes += 1

    def available_in(self) -> float:
        """Say five minutes."""
        return 300.0

    def usage(self) -> Sequence[WindowUse]:
        """Say nothing."""
        return ()


@dataclass
class Listener:
    """Write down what it hears."""

    heard: list[CallDetails] = field(default_factory=list)

    def __call__(self, details: CallDetails) -> None:
        """Hear of one call."""
        self.heard.append(details)
