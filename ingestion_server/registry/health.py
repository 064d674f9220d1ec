"""How one vendor has done of late with one kind of data; told the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import exp2
from typing import Final, NamedTuple, final

import msgspec

_KEPT: Final = 128
_HALF_LIFE_CALLS: Final = 12.0
_HALF_LIFE_SECONDS: Final = 300.0
"""A call counts half as much after so many others, and again after so long."""
LEAST_SAMPLES: Final = 3.0
"""With less weight than this nobody is judged."""


class _Call(NamedTuple):
    at_seconds: float
    ok: bool
    seconds: float


class _Answer(NamedTuple):
    at_seconds: float
    completeness: float
    soundness: float


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """Be how a vendor has done, at one moment."""

    samples: float = 0.0
    """Weight of the calls that the figures rest on."""
    success: float | None = None
    """Share of calls that succeeded; None if there is none to tell by."""
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    """Of calls that succeeded, or took all their time."""
    completeness: float | None = None
    """Share of the bars that were asked for and are due, that came."""
    soundness: float | None = None
    """Share of the rows that came, that were no rubbish."""
    last_success_ns: int | None = None
    last_failure_ns: int | None = None
    last_failure: str = ""

    @property
    def judged(self) -> bool:
        """Return whether there is enough to judge by."""
        return self.samples >= LEAST_SAMPLES


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

    def succeeded(self, now_seconds: float, wall_ns: int, seconds: float) -> None:
        """Hear of a call that was answered as it should."""
        self._calls.append(_Call(now_seconds, True, seconds))
        self._last_success_ns = wall_ns

    def failed(
        self, now_seconds: float, wall_ns: int, seconds: float, reason: str
    ) -> None:
        """Hear of a call that the vendor failed."""
        self._calls.append(_Call(now_seconds, False, seconds))
        self._last_failure_ns, self._last_failure = wall_ns, reason

    def gave(self, now_seconds: float, completeness: float, soundness: float) -> None:
        """Hear what was in an answer, each from 0 to 1."""
        self._answers.append(_Answer(now_seconds, completeness, soundness))

    @property
    def asked_at_seconds(self) -> float | None:
        """Return when it was called last; None = never."""
        return self._calls[-1].at_seconds if self._calls else None

    def view(self, now_seconds: float) -> HealthView:
        """Return how it has done."""
        calls = [
            (_weight(i, now_seconds - c.at_seconds), c)
            for i, c in enumerate(reversed(self._calls))
        ]
        answers = [
            (_weight(i, now_seconds - a.at_seconds), a)
            for i, a in enumerate(reversed(self._answers))
        ]
        times = [(c.seconds, weight) for weight, c in calls]
        return HealthView(
            samples=sum(weight for weight, _ in calls),
            success=_mean([(float(c.ok), weight) for weight, c in calls]),
            p50_seconds=_quantile(times, 0.5),
            p95_seconds=_quantile(times, 0.95),
            completeness=_mean([(a.completeness, weight) for weight, a in answers]),
            soundness=_mean([(a.soundness, weight) for weight, a in answers]),
            last_success_ns=self._last_success_ns,
            last_failure_ns=self._last_failure_ns,
            last_failure=self._last_failure,
        )


def _weight(later: int, ago_seconds: float) -> float:
    return exp2(-later / _HALF_LIFE_CALLS - max(ago_seconds, 0) / _HALF_LIFE_SECONDS)


def _mean(pairs: Sequence[tuple[float, float]]) -> float | None:
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None


def _quantile(pairs: Sequence[tuple[float, float]], share: float) -> float | None:
    total, reached = sum(weight for _, weight in pairs), 0.0
    for value, weight in sorted(pairs):
        reached += weight
        if reached >= share * total:
            return value
    return None
