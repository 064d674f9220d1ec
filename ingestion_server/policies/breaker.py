"""Leave a vendor alone that fails again and again, and try it with one call."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias, assert_never, final

from msgspec.structs import replace
from typing_extensions import override

from ingestion_server.domain.durations import in_words
from ingestion_server.domain.errors import (
    BreakerOpenError,
    CostLimitError,
    DeadlineExceededError,
    LedgerUnavailableError,
    ProviderError,
    QuotaExhaustedError,
)
from ingestion_server.policies.circuit import Circuit
from ingestion_server.policies.limits import BreakerLimits
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.http import HttpResponse
from ingestion_server.ports.policy import (
    BreakerPosition,
    BreakerReading,
    BreakerState,
    Call,
    Policy,
    Send,
    Trial,
    Verdict,
)
from ingestion_server.ports.routing import BreakerChange, OnBreaker
from ingestion_server.ports.tracing import event

OnMove = Callable[[BreakerPosition, str, float], None]
"""Hear where a breaker stands now, why, and how long that lasts at least."""

_logger = logging.getLogger(__name__)
_PROBE_SECONDS: Final = 1.0
"""When to come back while a probe is under way; nobody knows how long it takes."""


_OF_OURS: TypeAlias = (
    QuotaExhaustedError | BreakerOpenError | CostLimitError | LedgerUnavailableError
)
"""What keeps a call back, or is a vendor's "not now"."""


def verdict(error: Exception) -> Verdict:
    """
    Say what a failed call shows.

    A vendor that knows no such symbol, has no data, says that we ask wrongly, or
    refuses our key, is at work. One that says "not now" may be or not, and our own
    failures say nothing; nor does a caller who gave up, unless the cause is that the
    vendor was silent for a fair time.
    """
    blamed = _blamed(error)
    if not isinstance(blamed, ProviderError) or isinstance(blamed, _OF_OURS):
        return Verdict.NONE
    return Verdict.BROKEN if blamed.trips_breaker else Verdict.HEALTHY


def _blamed(error: Exception) -> BaseException | None:
    return error.__cause__ if isinstance(error, DeadlineExceededError) else error


@final
class Breaker(Policy):
    """
    Refuse calls for a while after so many failures in a row, then let one through.

    What counts is what a question to the vendor comes to after all its tries: the
    last of them that shows anything. One that was cancelled shows nothing, and so
    does one whose last try left before the breaker last moved. In a row means in the
    order in which they left: who was silent for ten seconds says nothing of a vendor
    that has answered somebody who asked later.

    The one that is let through, the probe, is tried once. It closes the breaker or
    opens it for another rest. If it shows nothing, being cancelled or told "not now",
    the next one is the probe. Each rest is twice the one before, up to a limit, until
    a probe closes the breaker.
    """

    def __init__(
        self, limits: BreakerLimits, clock: Clock, *, on_move: OnMove | None = None
    ) -> None:
        """Start closed; ``on_move`` hears of each move after it was made."""
        self._clock = clock
        self._on_move = on_move
        self._circuit = Circuit(limits, clock)
        self._probing = False
        self._reason = ""
        # Counts the moves, so that a call knows whether it is of yesterday.
        self._era = 0
        # Count the tries that left, and which was the last that showed health.
        self._number = 0
        self._healthy_number = 0

    def state(self) -> BreakerState:
        """Return where it stands, and why."""
        if not self._circuit.is_open:
            return BreakerState(
                BreakerPosition.CLOSED, self._circuit.failures, self._reason
            )
        retry_at = self._circuit.rested_at_seconds
        return BreakerState(
            self._position,
            self._circuit.failures,
            self._reason,
            retry_at_seconds=retry_at,
            retry_after_seconds=max(retry_at - self._clock.monotonic(), 0.0),
        )

    def view(self) -> BreakerReading:
        """Return all that there is to know about it."""
        circuit = self._circuit
        reading = BreakerReading(
            position=self._position,
            failures=circuit.failures,
            rest_seconds=circuit.next_rest_seconds,
        )
        if not circuit.is_open:
            return reading
        return replace(
            reading,
            reason=self._reason,
            opened_at_seconds=circuit.opened_at_seconds,
            retry_at_seconds=circuit.rested_at_seconds,
        )

    @override
    async def __call__(self, call: Call, send: Send) -> HttpResponse:
        """
        Answer a question, and learn from what it comes to.

        Raises:
            BreakerOpenError: the vendor rests; nothing was sent.

        """
        self._refuse(call)
        trial = Trial(era=self._era)
        try:
            return await send(replace(call, trial=trial))
        except asyncio.CancelledError:
            # Nobody knows what it would have come to.
            trial.shown = Verdict.NONE
            raise
        finally:
            self._learn(trial)

    async def watch(self, call: Call, send: Send) -> HttpResponse:
        """
        Make one try of a question, and note what it shows.

        Raises:
            BreakerOpenError: the vendor rests by now; nothing was sent.

        """
        trial = call.trial
        if self._circuit.is_open:
            self._refuse(call)
            self._probing = trial.is_probe = True
            self._moved()
        if trial.era != self._era:
            # What tries of yesterday showed is of no interest any more.
            trial.era, trial.shown = self._era, Verdict.NONE
        self._number += 1
        number = self._number
        try:
            response = await send(call)
        except Exception as e:
            shown = verdict(e)
            if shown is not Verdict.NONE:
                trial.shown, trial.reason = shown, str(_blamed(e))
                trial.number = number
            raise
        trial.shown, trial.number = Verdict.HEALTHY, number
        return response

    def _refuse(self, call: Call) -> None:
        if not self._circuit.is_open:
            return
        state = self.state()
        if state.admits:
            return
        provider = call.request.provider
        seconds = state.retry_after_seconds or _PROBE_SECONDS
        event("breaker", provider=provider, position="open", reason=state.reason)
        raise BreakerOpenError(
            f"{provider} rests for another {in_words(seconds)} after"
            f" {state.failures} failures in a row, the last: {state.reason}",
            provider=provider,
            retry_after_seconds=seconds,
        )

    @property
    def _position(self) -> BreakerPosition:
        if not self._circuit.is_open:
            return BreakerPosition.CLOSED
        return BreakerPosition.HALF_OPEN if self._probing else BreakerPosition.OPEN

    def _learn(self, trial: Trial) -> None:
        if trial.era != self._era or (self._circuit.is_open and not trial.is_probe):
            return
        if trial.is_probe:
            self._probing = False
        match trial.shown:
            case Verdict.BROKEN if trial.number < self._healthy_number:
                pass
            case Verdict.BROKEN:
                self._circuit.failed()
                self._reason = trial.reason
            case Verdict.HEALTHY:
                self._healthy_number = max(self._healthy_number, trial.number)
                self._circuit.succeeded()
                self._reason = ""
            case Verdict.NONE:
                pass
            case _:
                assert_never(trial.shown)
        if trial.is_probe or self._circuit.is_open:
            rests = trial.shown is Verdict.BROKEN
            self._moved(self._circuit.rest_seconds if rests else 0.0)

    def _moved(self, rest_seconds: float = 0.0) -> None:
        self._era += 1
        if self._on_move is not None:
            self._on_move(self._position, self._reason, rest_seconds)


class Breakers:
    """
    Keep one breaker per vendor and kind of data.

    A kind is, for example, ``bars:equity``: what fails for one often works for the
    others.
    """

    def __init__(
        self,
        limits_for: Callable[[str], BreakerLimits],
        clock: Clock,
        listeners: Sequence[OnBreaker] = (),
        *,
        paced: Collection[str] = (),
        entries: int = 1024,
    ) -> None:
        """
        Start empty.

        Args:
            limits_for: the limits of a vendor's breakers.
            clock: the clock of each.
            listeners: hear of each move, in order.
            paced: kinds that only one asks for, who pauses longer after each failure:
                their breakers count and tell, and each call may be the probe.
            entries: how many are kept. The one that was used longest ago makes room
                for another; one that is closed and without failures goes first, and
                one that is not closed never: calls would pass it.

        """
        self._limits_for = limits_for
        self._clock = clock
        self._listeners = tuple(listeners)
        self._paced = frozenset(paced)
        self._entries = entries
        self._breakers: OrderedDict[tuple[str, str], Breaker] = OrderedDict()

    def for_key(self, provider: str, kind: str) -> Breaker:
        """Return the breaker of one vendor and kind."""
        key = (provider, kind)
        breaker = self._breakers.get(key)
        if breaker is None:
            if len(self._breakers) >= self._entries:
                self._make_room()
            limits = self._limits_for(provider)
            if kind in self._paced:
                limits = replace(limits, rest_seconds=0.0, longest_rest_seconds=0.0)
            breaker = self._breakers[key] = Breaker(
                limits,
                self._clock,
                on_move=partial(self._tell, provider, kind),
            )
        self._breakers.move_to_end(key)
        return breaker

    def states(self) -> Mapping[tuple[str, str], BreakerState]:
        """Return the state of each breaker that was ever asked for."""
        return {key: breaker.state() for key, breaker in self._breakers.items()}

    def views(self, provider: str) -> Mapping[str, BreakerReading]:
        """Return what there is to know about a vendor's breakers, by kind."""
        return {
            kind: breaker.view()
            for (name, kind), breaker in self._breakers.items()
            if name == provider
        }

    def _make_room(self) -> None:
        closed = [
            key
            for key, state in self.states().items()
            if state.position is BreakerPosition.CLOSED
        ]
        dull = (key for key in closed if not self._breakers[key].state().failures)
        spare = next(dull, next(iter(closed), None))
        if spare is not None:
            del self._breakers[spare]

    def _tell(
        self,
        provider: str,
        kind: str,
        position: BreakerPosition,
        reason: str,
        rest_seconds: float,
    ) -> None:
        change = BreakerChange(provider, kind, position, reason, rest_seconds)
        event("breaker", provider=provider, position=position.value, reason=reason)
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:
                # A listener's bug must not cost anybody an answer.
                _logger.exception("a listener to breakers failed: %r", listener)
