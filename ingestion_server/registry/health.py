"""How one vendor has done of late with one kind of data; told the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Reversible, Sequence
from itertools import count, islice, takewhile
from math import exp2
from typing import Final, NamedTuple, TypeVar, final

import msgspec

from ingestion_server.domain.durations import in_words
from ingestion_server.domain.instrument import Instrument

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
"""
A failure that took so long tells how slow the vendor is; a quick one does not.

It is also what a call may take of a vendor whose usual time nobody knows.
"""
_LEAST_PATIENCE_SECONDS: Final = 1.0
_PATIENCE: Final = 3.0
"""
A call is overdue after so many times what nearly all answers took, if not sooner.

Nearly no call that is going to be answered takes so long.
"""
_FADED: Final = tuple(exp2(-later / _HALF_LIFE_CALLS) for later in range(_KEPT))
"""What a call weighs after so many others."""
_VIEW_SECONDS: Final = 0.005
"""For so long nothing fades that anybody could tell; a fetch looks several times."""


class _Call(NamedTuple):
    at_seconds: float
    ok: bool
    seconds: float | None


class _Answer(NamedTuple):
    at_seconds: float
    completeness: float | None
    soundness: float | None


_Heard = TypeVar("_Heard", _Call, _Answer)


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """Be how a vendor has done, at one moment."""

    samples: float = 0.0
    """Weight of the calls that the figures rest on."""
    success: float | None = None
    """Share of calls that succeeded; None if there is none to tell by."""
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    """Of calls that were answered, or took long and were not, overdue ones included."""
    answered_p95_seconds: float | None = None
    """Of calls that were answered alone; None if they are too few to judge by."""
    under_way: int = 0
    """How many calls have left and are not over."""
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
        # When each call left that is not over, in that order. Each takes itself out,
        # so there are no more of them than there are calls.
        self._under_way: dict[int, float] = {}
        self._numbers = count()
        self._last_success_ns: int | None = None
        self._last_failure_ns: int | None = None
        self._last_failure = ""
        # What was seen last; None = something was heard since.
        self._seen: HealthView | None = None
        self._seen_at_seconds = 0.0
        # The same of what nearly all answers take: a call that leaves changes nothing.
        self._usual_seconds: float | None = None
        self._usual_at_seconds: float | None = None
        self.asked_at_seconds: float | None = None
        """When it was called last, however that ended; None = never."""
        self.served: Instrument | None = None
        """What it gave something of last."""

    def asked(self, now_seconds: float) -> None:
        """Hear of a call that says nothing, or of one that is about to leave."""
        self.asked_at_seconds = now_seconds
        self._seen = None

    def left(self, now_seconds: float) -> Callable[[], None]:
        """Hear that a call leaves; return what to call when it is over."""
        self.asked(now_seconds)
        number = next(self._numbers)
        self._under_way[number] = now_seconds

        def over() -> None:
            self._under_way.pop(number, None)
            self._seen = None

        return over

    def succeeded(self, now_seconds: float, wall_ns: int, seconds: float) -> None:
        """Hear of a call that was answered as it should."""
        self.asked(now_seconds)
        self._calls.append(_Call(now_seconds, ok=True, seconds=seconds))
        self._usual_at_seconds = None
        self._last_success_ns = wall_ns

    def failed(
        self, now_seconds: float, wall_ns: int, seconds: float, reason: str
    ) -> None:
        """Hear of a call that the vendor failed."""
        self.asked(now_seconds)
        slow = seconds if seconds >= _SILENCE_SECONDS else None
        self._calls.append(_Call(now_seconds, ok=False, seconds=slow))
        self._usual_at_seconds = None
        self._last_failure_ns, self._last_failure = wall_ns, reason

    def given_up(self, now_seconds: float, wall_ns: int, seconds: float) -> None:
        """
        Hear of a call that somebody gave up.

        It says nothing of the vendor unless it was overdue: then it goes on counting
        as it did while it was under way.
        """
        self.asked(now_seconds)
        if seconds > _patience_seconds(self.usual_seconds(now_seconds)):
            self._calls.append(_Call(now_seconds, ok=False, seconds=seconds))
            self._usual_at_seconds = None
            self._last_failure_ns = wall_ns
            self._last_failure = f"no answer within {in_words(seconds)}"

    def gave(
        self, now_seconds: float, completeness: float | None, soundness: float | None
    ) -> None:
        """Hear what was in an answer, each from 0 to 1, or None if nobody can know."""
        self._answers.append(_Answer(now_seconds, completeness, soundness))
        self._seen = None

    def view(self, now_seconds: float) -> HealthView:
        """
        Return how it has done.

        A call under way that is overdue counts like one that fails now: a vendor that
        hangs is known to before the first call has timed out.
        """
        seen_ago = now_seconds - self._seen_at_seconds
        if self._seen is None or not 0 <= seen_ago < _VIEW_SECONDS:
            self._seen = self._view(now_seconds)
            self._seen_at_seconds = now_seconds
        return self._seen

    def _view(self, now_seconds: float) -> HealthView:
        answered = self.usual_seconds(now_seconds)
        overdue = [
            _Call(now_seconds, ok=False, seconds=age_seconds)
            for age_seconds in self._overdue(now_seconds, _patience_seconds(answered))
        ]
        calls = _weighed([*self._calls, *overdue], now_seconds)
        answers = _weighed(self._answers, now_seconds)
        times = [(c.seconds, weight) for weight, c in calls if c.seconds is not None]
        return HealthView(
            samples=sum(weight for weight, _ in calls),
            success=_mean([(float(call.ok), weight) for weight, call in calls]),
            p50_seconds=_quantile(times, 0.5),
            p95_seconds=_quantile(times, 0.95),
            answered_p95_seconds=answered,
            under_way=len(self._under_way),
            completeness=_mean([(a.completeness, weight) for weight, a in answers]),
            soundness=_mean([(a.soundness, weight) for weight, a in answers]),
            answers=sum(weight for weight, _ in answers),
            last_success_ns=self._last_success_ns,
            last_failure_ns=self._last_failure_ns,
            last_failure=self._last_failure,
        )

    def usual_seconds(self, now_seconds: float) -> float | None:
        """Return what nearly all answers take; None if nobody can know."""
        looked_at = self._usual_at_seconds
        if looked_at is None or not 0 <= now_seconds - looked_at < _VIEW_SECONDS:
            self._usual_seconds = self._answered_p95_seconds(now_seconds)
            self._usual_at_seconds = now_seconds
        return self._usual_seconds

    def _answered_p95_seconds(self, now_seconds: float) -> float | None:
        answered = [call for call in self._calls if call.ok]
        times = [
            (call.seconds, weight)
            for weight, call in _weighed(answered, now_seconds)
            if call.seconds is not None
        ]
        if sum(weight for _, weight in times) < LEAST_SAMPLES:
            return None
        return _quantile(times, 0.95)

    def _overdue(self, now_seconds: float, patience_seconds: float) -> list[float]:
        """Return how old the calls are that should be over, the youngest last."""
        ages = (now_seconds - at_seconds for at_seconds in self._under_way.values())
        overdue = takewhile(lambda age: age > patience_seconds, ages)
        return list(islice(overdue, _KEPT))


def _patience_seconds(answered_p95_seconds: float | None) -> float:
    if answered_p95_seconds is None:
        return _SILENCE_SECONDS
    return max(_LEAST_PATIENCE_SECONDS, _PATIENCE * answered_p95_seconds)


def _weighed(
    heard: Reversible[_Heard], now_seconds: float
) -> list[tuple[float, _Heard]]:
    """Return what was heard, oldest first, with weights, the newest first."""
    # As many as there are weights; each route looks, so it is spelled out.
    return [
        (
            faded * exp2(min(each.at_seconds - now_seconds, 0.0) / _HALF_LIFE_SECONDS),
            each,
        )
        for faded, each in zip(_FADED, reversed(heard), strict=False)
    ]


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
