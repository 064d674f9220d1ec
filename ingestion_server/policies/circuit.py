"""
The states of aiobreaker, moved by our clock.

Calls do not run inside aiobreaker, which lets all of them through while half-open,
stays half-open when the probe is cancelled, and would take a 429 for a success: the
breaker decides whom to let through, and reports here what questions came to.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import final

from aiobreaker import (  # type: ignore[import-untyped] # ships no types
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerState,
)
from aiobreaker.storage.base import (  # type: ignore[import-untyped] # ships no types
    CircuitBreakerStorage,
)
from typing_extensions import override

from ingestion_server.policies.limits import BreakerLimits
from ingestion_server.ports.clock import Clock


class _FailedError(Exception):
    """Stand in for what went wrong, which stays as it is."""


@final
class _Storage(CircuitBreakerStorage):  # type: ignore[misc] # its base has no types
    """Hold the state of one circuit, and when it opened by our clock."""

    # Attributes instead of the abstract properties, which do no more than these.
    state = CircuitBreakerState.CLOSED
    counter = 0

    def __init__(self, limits: BreakerLimits, clock: Clock) -> None:
        super().__init__("clock")
        self._limits = limits
        self._clock = clock
        self.opened_at_seconds = 0.0
        self.rest_seconds = limits.rest_seconds

    @override
    def increment_counter(self) -> None:
        self.counter += 1

    @override
    def reset_counter(self) -> None:
        self.counter = 0

    @property
    def next_rest_seconds(self) -> float:
        """
        Return how long it rests when it opens next.

        A success closes the circuit, and that forgives everything: it takes a whole
        row of new failures to open it again, and then the first rest is enough.
        """
        if self.state is CircuitBreakerState.CLOSED:
            return self._limits.rest_seconds
        return self._limits.rest_after(self.rest_seconds)

    def open_now(self) -> None:
        """Begin a rest."""
        self.rest_seconds = self.next_rest_seconds
        self.opened_at_seconds = self._clock.monotonic()
        self.state = CircuitBreakerState.OPEN

    @property
    def rested_at_seconds(self) -> float:
        """Return when the rest is over."""
        return self.opened_at_seconds + self.rest_seconds

    @property
    @override
    def opened_at(self) -> datetime | None:
        """
        Return what a naive clock in UTC read when the circuit opened.

        That is what aiobreaker expects, and adds the rest to, if the time is counted
        by ours. None once the rest is over: then there is nothing to compare, and
        ``datetime.utcnow``, which Python deprecates, is not called.
        """
        now_seconds = self._clock.monotonic()
        if now_seconds >= self.rested_at_seconds:
            return None
        passed = timedelta(seconds=now_seconds - self.opened_at_seconds)
        return datetime.now(UTC).replace(tzinfo=None) - passed


@final
class _ClockedBreaker(CircuitBreaker):  # type: ignore[misc] # its base has no types
    """Be aiobreaker's breaker, minus its reading of the wall clock."""

    @override
    def open(self) -> None:
        self._state_storage.open_now()
        self.timeout_duration = timedelta(seconds=self._state_storage.rest_seconds)
        self.state = CircuitBreakerState.OPEN

    @property
    @override
    def opens_at(self) -> None:
        """Return nothing: it would mix UTC with local time, and goes unread."""


@final
class Circuit:
    """Count failures in a row, open, and close again."""

    def __init__(self, limits: BreakerLimits, clock: Clock) -> None:
        """Start closed."""
        self._storage = _Storage(limits, clock)
        self._breaker = _ClockedBreaker(
            fail_max=limits.failures,
            timeout_duration=timedelta(seconds=limits.rest_seconds),
            state_storage=self._storage,
        )

    @property
    def is_open(self) -> bool:
        """Return whether the vendor rests, or has rested and was not tried since."""
        return self._storage.state is not CircuitBreakerState.CLOSED

    @property
    def failures(self) -> int:
        """Return how many questions failed in a row."""
        return self._storage.counter

    @property
    def opened_at_seconds(self) -> float:
        """Return when an open circuit opened last, in monotonic seconds."""
        return self._storage.opened_at_seconds

    @property
    def rest_seconds(self) -> float:
        """Return how long an open circuit rests since then."""
        return self._storage.rest_seconds

    @property
    def next_rest_seconds(self) -> float:
        """Return how long it rests after the next failure that opens it."""
        return self._storage.next_rest_seconds

    @property
    def rested_at_seconds(self) -> float:
        """Return when an open circuit may be tried, in monotonic seconds."""
        return self._storage.rested_at_seconds

    def succeeded(self) -> None:
        """Count a question that shows the vendor at work; it closes an open circuit."""
        if not self.is_open and not self.failures:
            # As nearly always: there is nothing that it could change.
            return
        self._breaker.call(lambda: None)

    def failed(self) -> None:
        """Count a failure; it may open the circuit, for the whole rest."""

        def fail() -> None:
            raise _FailedError

        with suppress(_FailedError, CircuitBreakerError):
            self._breaker.call(fail)
