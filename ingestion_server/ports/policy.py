"""One call on its way to a vendor, and the steps that it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from enum import Enum, StrEnum, auto
from math import inf
from typing import Protocol

import msgspec

from ingestion_server.ports.http import HttpRequest, HttpResponse, Trip
from ingestion_server.ports.quota import Lane

LONGEST_QUOTA_WAIT_SECONDS = 0.25
"""How long quota is waited for while another vendor may be free."""
CALL_SECONDS = 10.0
"""How long one call of a vendor may take at most."""


class CallTally(msgspec.Struct):
    """Count what left for the vendors on behalf of one request; it changes."""

    calls: int = 0
    left_at_seconds: float | None = None
    """When the last one left; None = none did so far."""
    under_way: int = 0
    """How many have left and are not over."""
    spare_seconds: float | None = None
    """How long one may take that nobody waits for; None = somebody does."""
    on_deserted: Callable[[], None] | None = None
    """Hears that nobody waits for the one that is under way."""
    cost_usd: Decimal = Decimal(0)
    shared_calls: int = 0
    """How many that count for another request left on behalf of this one too."""
    aboard: CallTally | None = None
    """What it shares with others at the moment, which is divided when that is over."""

    def desert(self, spare_seconds: float) -> None:
        """Say that nobody waits for the calls any more, and how long each may take."""
        self.spare_seconds = spare_seconds
        if self.on_deserted is not None:
            self.on_deserted()


class Heard(msgspec.Struct):
    """Be what is known of one call beside the body of its answer; it changes."""

    headers: Mapping[str, str] = {}
    """Also those of an answer that is a complaint; names in lower case."""
    trip: Trip = msgspec.field(default_factory=Trip)
    """How far it came."""


class Verdict(Enum):
    """Say what a call shows of its vendor's health."""

    HEALTHY = auto()
    BROKEN = auto()
    NONE = auto()


class Trial(msgspec.Struct):
    """Be what a breaker notes of all tries of one question; it changes."""

    era: int = 0
    """How often the breaker had moved when the last try left."""
    shown: Verdict = Verdict.NONE
    """What the last try showed that showed anything."""
    number: int = 0
    """Which of all tries of the vendor that one was, as they left."""
    reason: str = ""
    """What a try said that showed the vendor broken."""
    is_probe: bool = False
    """Whether it is the one that a resting vendor is tried with: that has one try."""


class Call(msgspec.Struct, frozen=True):
    """Carry one request through the steps."""

    request: HttpRequest
    deadline: float
    """When the caller's time is over, in monotonic seconds; infinity = never."""
    longest_quota_wait_seconds: float = LONGEST_QUOTA_WAIT_SECONDS
    longest_retry_wait_seconds: float = inf
    """How long quota is waited for at most once a try has failed."""
    last_resort: bool = True
    """Whether nobody else can be asked; else a silent vendor is not asked again."""
    lane: Lane = Lane.INTERACTIVE
    """How urgent it is, in the queue for quota."""
    most_cost_usd: Decimal | None = None
    """What all calls of the tally may cost together; None = no limit."""
    tally: CallTally = msgspec.field(default_factory=CallTally)
    heard: Heard = msgspec.field(default_factory=Heard)
    trial: Trial = msgspec.field(default_factory=Trial)
    timeout_seconds: float = CALL_SECONDS
    """What the transport is told; the deadline step sets it."""


Send = Callable[[Call], Awaitable[HttpResponse]]
"""Do the rest of the way; the last one is the transport, and minds the trip."""


class Policy(Protocol):
    """Be one step around the rest of the way."""

    async def __call__(self, call: Call, send: Send) -> HttpResponse:
        """Answer the call, by sending it on or not."""
        ...


class BreakerPosition(StrEnum):
    """Say where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """One probe is under way; everyone else is refused."""


class BreakerReading(msgspec.Struct, frozen=True, kw_only=True):
    """Tell all about one breaker at one moment, in monotonic seconds."""

    position: BreakerPosition
    failures: int
    """How many questions failed in a row, all tries of each."""
    rest_seconds: float
    """How long it rests after the next failure that opens it."""
    reason: str = ""
    """What the failure said that opened it; empty while it is closed."""
    opened_at_seconds: float | None = None
    """When it opened last, be it by a probe; None while it is closed."""
    retry_at_seconds: float | None = None
    """When a probe may pass; None while it is closed."""


class BreakerState(msgspec.Struct, frozen=True):
    """Tell the state of one breaker at one moment."""

    position: BreakerPosition
    failures: int
    """How many questions failed in a row, all tries of each."""
    reason: str = ""
    """What the last failure said; empty while there is none."""
    retry_at_seconds: float | None = None
    """When a probe may go, in monotonic seconds; None unless open."""
    retry_after_seconds: float = 0.0
    """The same, from now; 0 with ``OPEN`` means that the next call is the probe."""

    @property
    def admits(self) -> bool:
        """Return whether a call would be let through now."""
        return self.position is BreakerPosition.CLOSED or (
            self.position is BreakerPosition.OPEN and self.retry_after_seconds <= 0
        )
