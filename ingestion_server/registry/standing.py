"""How every vendor has done with every kind of data, as calls and answers tell."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, final

from ingestion_server.domain.instrument import Instrument
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.hooks import CANCELLED, OK, CallDetails
from ingestion_server.registry.health import Health, HealthView

_AT_WORK: Final = frozenset({OK, "SYMBOL_UNKNOWN", "NO_DATA_UNEXPLAINED"})
"""
Outcomes that only a vendor at work has.

All others, unless they are its failures, say nothing of it: "not now", and what is
ours to mend, such as a key that is refused.
"""
_GIVEN_UP: Final = frozenset({CANCELLED, "DEADLINE_EXCEEDED"})
"""Outcomes of calls that nobody waits for any longer."""


@final
class Standings:
    """
    Keep the health of each vendor and kind of data; listen to calls come and go.

    The one that was heard of longest ago makes room for another.
    """

    def __init__(self, clock: Clock, *, entries: int = 1024) -> None:
        """Start with nothing known; ``entries`` is how many are kept."""
        self._clock = clock
        self._entries = entries
        self._kept: OrderedDict[tuple[str, str], Health] = OrderedDict()

    def __call__(self, details: CallDetails) -> None:
        """Hear how a call ended."""
        health = self._health(details.provider, details.kind)
        now, wall_ns = self._clock.monotonic(), self._clock.now_ns()
        if details.vendor_failed:
            reason = details.detail or details.outcome
            health.failed(now, wall_ns, details.seconds, reason)
        elif details.outcome in _AT_WORK:
            health.succeeded(now, wall_ns, details.seconds)
        elif details.outcome in _GIVEN_UP:
            health.given_up(now, wall_ns, details.seconds)
        else:
            health.asked(now)

    def left(self, provider: str, kind: str) -> Callable[[], None]:
        """Hear that a call leaves; return what to call when it is over."""
        return self._health(provider, kind).left(self._clock.monotonic())

    def gave(
        self,
        provider: str,
        kind: str,
        *,
        completeness: float | None,
        soundness: float | None,
    ) -> None:
        """Hear what was in an answer, each from 0 to 1, or None if nobody can know."""
        now = self._clock.monotonic()
        self._health(provider, kind).gave(now, completeness, soundness)

    def served(self, provider: str, kind: str, instrument: Instrument) -> None:
        """Hear of an instrument that a vendor gave something of."""
        self._health(provider, kind).served = instrument

    def example(self, provider: str, kind: str) -> Instrument | None:
        """
        Return an instrument of a kind, for trying a vendor out.

        It is the last that the vendor gave something of, or else another vendor did;
        None if none did so far.
        """
        own = self._kept.get((provider, kind))
        if own is not None and own.served is not None:
            return own.served
        others = (each.served for (_, of), each in self._kept.items() if of == kind)
        return next((each for each in others if each is not None), None)

    def probing(self, provider: str, kind: str) -> None:
        """Hear that a call will be a probe, so that the next one need not be."""
        self._health(provider, kind).asked(self._clock.monotonic())

    def view(self, provider: str, kind: str) -> HealthView:
        """Return how a vendor has done; one that nobody heard of has done nothing."""
        health = self._kept.get((provider, kind))
        return HealthView() if health is None else health.view(self._clock.monotonic())

    def usual_seconds(self, provider: str, kind: str) -> float | None:
        """Return what nearly all answers of a vendor take; None if nobody can know."""
        health = self._kept.get((provider, kind))
        return None if health is None else health.usual_seconds(self._clock.monotonic())

    def asked_seconds_ago(self, provider: str, kind: str) -> float | None:
        """Return how long ago a vendor was called last; None = never."""
        health = self._kept.get((provider, kind))
        if health is None or health.asked_at_seconds is None:
            return None
        return self._clock.monotonic() - health.asked_at_seconds

    def kinds(self, provider: str) -> list[str]:
        """Return the kinds of data that a vendor was asked for, sorted."""
        return sorted(kind for name, kind in self._kept if name == provider)

    def _health(self, provider: str, kind: str) -> Health:
        key = (provider, kind)
        health = self._kept.get(key)
        if health is None:
            if len(self._kept) >= self._entries:
                self._kept.popitem(last=False)
            health = self._kept[key] = Health()
        self._kept.move_to_end(key)
        return health
