"""Leave a vendor alone that fails again and again, and try it with one call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, final

from typing_extensions import override

from ingestion_server.domain.errors import (
    BreakerOpenError,
    DeadlineExceededError,
    ProviderError,
    QuotaExhaustedError,
)
from ingestion_server.policies.circuit import Circuit
from ingestion_server.policies.limits import BreakerLimits
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import (
    BreakerPosition,
    BreakerState,
    Call,
    Policy,
    Send,
)

_PROBE_SECONDS: Final = 1.0
"""When to come back while a probe is under way; nobody knows how long it takes."""


class Verdict(Enum):
    """Say what a call shows of its vendor's health."""

    HEALTHY = auto()
    BROKEN = auto()
    NONE = auto()


def verdict(error: Exception) -> Verdict:
    """
    Say what a failed call shows.

    A vendor that knows no such symbol, or refuses our key, is at work. One that says
    "not now" may be or not, and our own failures say nothing; nor does a caller who
    gave up, unless the cause is that the vendor was silent for a fair time.
    """
    blamed = _blamed(error)
    if not isinstance(blamed, ProviderError):
        return Verdict.NONE
    if isinstance(blamed, QuotaExhaustedError | BreakerOpenError):
        return Verdict.NONE
    return Verdict.BROKEN if blamed.trips_breaker else Verdict.HEALTHY


def _blamed(error: Exception) -> BaseException | None:
    return error.__cause__ if isinstance(error, DeadlineExceededError) else error


@final
class Breaker(Policy):
    """
    Refuse calls for a while after so many failures in a row, then let one through.

    That one, the probe, closes the breaker or opens it for another rest. If it shows
    nothing, being cancelled or told "not now", the next call is the probe. Calls that
    left before the breaker last moved change nothing when they end.
    """

    def __init__(self, limits: BreakerLimits, clock: Clock) -> None:
        """Start closed."""
        self._clock = clock
        self._circuit = Circuit(limits, clock)
        self._probing = False
        self._reason = ""
        # Counts the moves, so that a call knows whether it is of yesterday.
        self._era = 0

    def state(self) -> BreakerState:
        """Return where it stands, and why."""
        if not self._circuit.is_open:
            return BreakerState(
                BreakerPosition.CLOSED, self._circuit.failures, self._reason
            )
        retry_at = self._circuit.rested_at_seconds
        return BreakerState(
            BreakerPosition.HALF_OPEN if self._probing else BreakerPosition.OPEN,
            self._circuit.failures,
            self._reason,
            retry_at_seconds=retry_at,
            retry_after_seconds=max(retry_at - self._clock.monotonic(), 0.0),
        )

    async def gate(self, call: Call, send: Send) -> HttpResponse:
        """
        Refuse what would be refused anyway, before it waits for quota; else send.

        Raises:
            BreakerOpenError: the vendor rests.

        """
        self._refuse(call)
        return await send(call)

    @override
    async def __call__(self, call: Call, send: Send) -> HttpResponse:
        """
        Send, and learn from how it ends.

        Raises:
            BreakerOpenError: the vendor rests; nothing was sent.

        """
        self._refuse(call)
        is_probe = self._circuit.is_open
        if is_probe:
            self._probing = True
            self._era += 1
        era = self._era
        try:
            response = await send(call)
        except Exception as e:
            self._learn(verdict(e), str(_blamed(e)), era)
            raise
        else:
            self._learn(Verdict.HEALTHY, "", era)
            return response
        finally:
            if is_probe:
                self._probing = False

    def _refuse(self, call: Call) -> None:
        state = self.state()
        if state.admits:
            return
        provider = call.request.provider
        seconds = state.retry_after_seconds or _PROBE_SECONDS
        raise BreakerOpenError(
            f"{provider} rests for another {seconds:.3g} seconds after"
            f" {state.failures} failures in a row, the last: {state.reason}",
            provider=provider,
            retry_after_seconds=seconds,
        )

    def _learn(self, shown: Verdict, reason: str, era: int) -> None:
        if era != self._era or shown is Verdict.NONE:
            return
        was_open = self._circuit.is_open
        if shown is Verdict.BROKEN:
            self._circuit.failed()
        else:
            self._circuit.succeeded()
        self._reason = reason if shown is Verdict.BROKEN else ""
        if was_open or self._circuit.is_open:
            self._era += 1


class Breakers:
    """
    Keep one breaker per vendor and kind of data.

    A kind is, for example, ``bars:equity``: what fails for one often works for the
    others.
    """

    def __init__(
        self, limits: BreakerLimits, clock: Clock, *, entries: int = 1024
    ) -> None:
        """
        Start empty.

        Args:
            limits: the limits of each.
            clock: the clock of each.
            entries: how many are kept. The one that was used longest ago makes room
                for another; one that is closed and without failures goes first.

        """
        self._limits = limits
        self._clock = clock
        self._entries = entries
        self._breakers: OrderedDict[tuple[str, str], Breaker] = OrderedDict()

    def for_key(self, provider: str, kind: str) -> Breaker:
        """Return the breaker of one vendor and kind."""
        key = (provider, kind)
        breaker = self._breakers.get(key)
        if breaker is None:
            if len(self._breakers) >= self._entries:
                self._make_room()
            breaker = self._breakers[key] = Breaker(self._limits, self._clock)
        self._breakers.move_to_end(key)
        return breaker

    def states(self) -> Mapping[tuple[str, str], BreakerState]:
        """Return the state of each breaker that was ever asked for."""
        return {key: breaker.state() for key, breaker in self._breakers.items()}

    def _make_room(self) -> None:
        dull = (key for key, state in self.states().items() if not state.failures)
        del self._breakers[next(dull, next(iter(self._breakers)))]
