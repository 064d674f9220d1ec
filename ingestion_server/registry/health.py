"""How one vendor has done of late with one kind of data; told the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import exp2
from typing import Final, NamedTuple, final

import msgspec

_KEPT: Final = 48
"""Older calls count for next to nothing."""
_HALF_LIFE_CALLS: Final = 6.0
_HALF_LIFE_SECONDS: Final = 600.0
"""
A call counts half as much after so many others, and again after so long.

So the latest six calls outweigh all before them: a vendor that becomes slow, or quick
again, is known to be so after six.
"""
LEAST_SAMPLES: Final = 3.5
"""
With less weight than this nobody is judged: five calls in quick succession have it.

The breaker judges five failures in a row; the score shall not be hastier.
"""
_SILENCE_SECONDS: Final = 2.5
"""A failure that took so long tells how slow the vendor is; a quick one does not."""


class _Call(NamedTuple):
    at_seconds: float
    ok: bool
    seconds: float | None


class _Answer(NamedTuple):
    at_seconds: float
    completeness: float | None
    soundness: float | None


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """Be how a vendor has done, at one moment."""

    samples: float = 0.0
    """Weight of the calls that the figures rest on."""
    success: float | None = None
    """Share of calls that succeeded; None if there is none to tell by."""
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    """Of calls that were answered, or took long and were not."""
    completeness: float | None = None
    """Share of the bars that were asked for and are due, that came."""
    soundness: float | None = None
    """Share of the rows that came, that were no rubbish."""
    answers: float = 0.0
    """Weight of the answers that the last two rest on."""
    last_success_ns: int | None = None
    last_failure_ns: int | None = None
    last_failure: str = ""

    @property
    def judged(self) -> bool:
        """Return whether there were enough calls to judge by."""
        return self.samples >= LEAST_SAMPLES

    @property
    def read(self) -> bool:
        """Return whether there were enough answers to judge by."""
        return self.judged and self.answers >= LEAST_SAMPLES


@final
class Health:
    """Remember the latest calls of one vendor for one kind of data."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self._calls: deque[_Call] = deque(maxlen=_KEPT)
        self._answers: deque[_Answer] = deque(maxlen=_KEPT)
        self._last_success_ns: int | None = None
        self._last_failure_ns: int | None = None
        self._last_failure = ""
        self.asked_at_seconds: float | None = None
        """When it was called last, however that ended; None = never."""

    def asked(self, now_seconds: float) -> None:
        """Hear of a call that says nothing, or of one that is about to leave."""
        self.asked_at_seconds = now_seconds

    def succeeded(self, now_seconds: float, wall_ns: int, seconds: float) -> None:
        """Hear of a call that was answered as it should."""
        self.asked(now_seconds)
        self._calls.append(_Call(now_seconds, ok=True, seconds=seconds))
        self._last_success_ns = wall_ns

    def failed(
        self, now_seconds: float, wall_ns: int, seconds: float, reason: str
    ) -> None:
        """Hear of a call that the vendor failed."""
        self.asked(now_seconds)
        slow = seconds if seconds >= _SILENCE_SECONDS else None
        self._calls.append(_Call(now_seconds, ok=False, seconds=slow))
        self._last_failure_ns, self._last_failure = wall_ns, reason

    def gave(
        self, now_seconds: float, completeness: float | None, soundness: float | None
    ) -> None:
        """Hear what was in an answer, each from 0 to 1, or None if nobody can know."""
        self._answers.append(_Answer(now_seconds, completeness, soundness))

    def view(self, now_seconds: float) -> HealthView:
        """Return how it has done."""
        calls = [
            (_weight(later, now_seconds - call.at_seconds), call)
            for later, call in enumerate(reversed(self._calls))
        ]
        answers = [
            (_weight(later, now_seconds - answer.at_seconds), answer)
            for later, answer in enumerate(reversed(self._answers))
        ]
        times = [(c.seconds, weight) for weight, c in calls if c.seconds is not None]
        return HealthView(
            samples=sum(weight for weight, _ in calls),
            success=_mean([(float(call.ok), weight) for weight, call in calls]),
            p50_seconds=_quantile(times, 0.5),
            p95_seconds=_quantile(times, 0.95),
            completeness=_mean([(a.completeness, weight) for weight, a in answers]),
            soundness=_mean([(a.soundness, weight) for weight, a in answers]),
            answers=sum(weight for weight, _ in answers),
            last_success_ns=self._last_success_ns,
            last_failure_ns=self._last_failure_ns,
            last_failure=self._last_failure,
        )


def _weight(later: int, ago_seconds: float) -> float:
    return exp2(-later / _HALF_LIFE_CALLS - max(ago_seconds, 0) / _HALF_LIFE_SECONDS)


def _mean(pairs: Sequence[tuple[float | None, float]]) -> float | None:
    known = [(value, weight) for value, weight in pairs if value is not None]
    total = sum(weight for _, weight in known)
    if not total:
        return None
    # Rounding must not make more than the whole of it.
    return min(sum(value * weight for value, weight in known) / total, 1.0)


def _quantile(pairs: Sequence[tuple[float, float]], share: float) -> float | None:
    total, reached = sum(weight for _, weight in pairs), 0.0
    for value, weight in sorted(pairs):
        reached += weight
        if reached >= share * total:
            return value
    # Only if there are none, or if adding up in another order made a little less.
    return max((value for value, _ in pairs), default=None)
