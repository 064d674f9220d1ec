"""Where the walk for one answer is, and whom it goes back to."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

from ingestion_server.domain.errors import (
    MalformedPayloadError,
    NoDataUnexplainedError,
    ProviderError,
    QuotaExhaustedError,
)
from ingestion_server.ingest.asked import Asked
from ingestion_server.ingest.asking import Question
from ingestion_server.ingest.candidates import Candidate
from ingestion_server.ingest.progress import Progress
from ingestion_server.ports.policy import CallTally
from ingestion_server.ports.tracing import event

_MOST_RESUMED: Final = 6
"""How often one vendor is asked again that has no quota at once."""
_PAUSE_SECONDS: Final = 0.1
_MOST_ROUNDS: Final = 3
"""How often it is gone back to vendors that failed, after all were asked."""


class Postponed(NamedTuple):
    """Be a vendor that had no quota at once."""

    candidate: Candidate
    error: QuotaExhaustedError


class Begun(NamedTuple):
    """Be a vendor that is being asked."""

    candidate: Candidate
    at_seconds: float
    due_at_seconds: float
    """When its call leaves, as far as quota goes."""
    hedge: bool
    tally: CallTally
    """Its calls."""
    boarded: CallTally | None
    """Calls that were begun for another request, and that this one waits for too."""

    @property
    def silent_since_seconds(self) -> float:
        """
        Return since when nothing has come of it; in the future while it is not due.

        A call that leaves shows that the one before has ended. Who waits for the call
        of another has waited for as long as that has been under way.
        """
        left = [
            tally.left_at_seconds
            for tally in (self.tally, self.boarded)
            if tally is not None and tally.left_at_seconds is not None
        ]
        return max(left, default=self.due_at_seconds)

    @property
    def held_seconds(self) -> float:
        """Return how long it waits for quota still; 0 = a call is out, or may leave."""
        if self.tally.under_way or (self.boarded and self.boarded.under_way):
            return 0.0
        return self.candidate.vendor.quota.available_in()


@dataclass(slots=True)
class Way:
    """Keep where the walk for one answer is."""

    progress: Progress
    question: Question
    deadline: float
    ahead: deque[Candidate]
    several: bool
    """Whether there was more than one to ask."""
    postponed: list[Postponed] = field(default_factory=list)
    under_way: dict[asyncio.Task[Asked], Begun] = field(default_factory=dict)
    failed: list[tuple[Candidate, ProviderError]] = field(default_factory=list)
    """Those who failed since all ahead were asked last."""
    resumed: Counter[str] = field(default_factory=Counter)
    """How often each was asked again that had no quota at once."""
    rounds: int = 0
    """How often it was gone back."""
    rests_until_seconds: float = 0.0
    """Until when those it was gone back to are left alone."""
    hedges_at_seconds: float | None = None
    """When somebody has quota to be asked early, since nobody had; None = not tried."""
    paid: int = 0
    """How many were asked early since the first of those under way was."""
    called: list[CallTally] = field(default_factory=list)
    """The calls of all who were asked since then."""

    @property
    def silent_since_seconds(self) -> Sequence[float]:
        """Return since when each of those under way has been silent."""
        return [begun.silent_since_seconds for begun in self.under_way.values()]

    def begins(self, task: asyncio.Task[Asked], begun: Begun) -> None:
        """Note that a vendor is being asked, perhaps beside others."""
        if self.under_way:
            event(
                "hedge" if begun.hedge else "failover",
                provider=begun.candidate.name,
                previous=[each.candidate.name for each in self.under_way.values()],
                reason="SILENT",
            )
        self.under_way[task] = begun

    def fails(self, candidate: Candidate, error: ProviderError) -> None:
        """Note that a vendor has failed."""
        self.failed.append((candidate, error))
        self._tell_failover(candidate, error)

    def postpones(self, postponed: Postponed) -> None:
        """Note that a vendor has no quota at once."""
        self.postponed.append(postponed)
        self._tell_failover(postponed.candidate, postponed.error)

    def _tell_failover(self, candidate: Candidate, error: ProviderError) -> None:
        if self.ahead:
            event(
                "failover",
                provider=self.ahead[0].name,
                previous=[candidate.name],
                reason=error.reason,
            )

    @property
    def held(self) -> bool:
        """Tell whether one of those under way is held up by its quota, and not slow."""
        return any(begun.held_seconds > 0 for begun in self.under_way.values())

    @property
    def needless(self) -> int:
        """Return how many who were asked early took no call beyond the one needed."""
        extra = sum(bool(tally.calls) for tally in self.called) - 1
        return max(self.paid - max(extra, 0), 0)

    def pause_seconds(self, share: float) -> float:
        """Return how long those it is gone back to rest, by a random share."""
        return share * _PAUSE_SECONDS * self.rounds

    def begin_anew(self) -> None:
        """Forget those who were asked beside each other before."""
        self.paid, self.hedges_at_seconds = 0, None
        self.called.clear()

    def favour(self, wanted: Callable[[Candidate], bool]) -> None:
        """Put the first of those ahead who is wanted before the others, if one is."""
        chosen = next(filter(wanted, self.ahead), None)
        if chosen is not None:
            self.ahead.remove(chosen)
            self.ahead.appendleft(chosen)

    def look_again(self, now_seconds: float) -> bool:
        """
        Hear that nobody ahead can be asked early now; tell whether one may be, later.

        That is once one has quota again, and looked at a single time.
        """
        looked = self.hedges_at_seconds is not None
        waits = (candidate.vendor.quota.available_in() for candidate in self.ahead)
        soonest = min((seconds for seconds in waits if seconds > 0), default=None)
        if looked or soonest is None:
            return False
        self.hedges_at_seconds = now_seconds + soonest
        return True

    @property
    def others(self) -> bool:
        """Return whether anybody else can be asked."""
        return bool(self.ahead or self.failed or self.postponed)

    def resume(self, *, most_calls: int, within_seconds: float) -> bool:
        """
        Put the one ahead that has quota first of those who had none at once.

        Return whether there is one that has some in time, and has neither been called
        ``most_calls`` times nor put off too often.
        """
        postponed, self.postponed = self.postponed, []
        calls = self._calls()
        able = [
            each
            for each in postponed
            if (each.error.retry_after_seconds or inf) < within_seconds
            and calls[each.candidate.name] < most_calls
            and self.resumed[each.candidate.name] < _MOST_RESUMED
        ]
        if not able:
            return False
        first = min(able, key=lambda each: each.candidate.vendor.quota.available_in())
        self.postponed = [each for each in able if each is not first]
        self.progress.errors.remove(first.error)
        self.resumed[first.candidate.name] += 1
        self.ahead.append(first.candidate)
        return True

    def back(
        self,
        *,
        most_calls: int,
        affordable: Callable[[Candidate], bool],
        doubtful: Callable[[Candidate], bool],
    ) -> bool:
        """
        Put those ahead once more that may do better; tell whether there are any.

        Those are vendors whose failure may pass in a moment and that were not called
        ``most_calls`` times yet; if there are such, also those who had nothing to say.
        Who had nothing to say, and of whose calls many fail, is one of the former.
        """
        failed, self.failed = self.failed, []
        if self.rounds >= _MOST_ROUNDS or not any(
            _may_pass(error)
            or (isinstance(error, NoDataUnexplainedError) and doubtful(candidate))
            for candidate, error in failed
        ):
            return False
        self.rounds += 1
        calls = self._calls()
        self.ahead.extend(
            candidate
            for candidate, error in failed
            if calls[candidate.name] < most_calls
            and (_may_pass(error) or isinstance(error, NoDataUnexplainedError))
            and affordable(candidate)
        )
        return bool(self.ahead)

    def _calls(self) -> Counter[str]:
        """Return how often each vendor was called, or another's call was waited for."""
        calls = Counter[str]()
        for attempt in self.progress.attempts:
            shared = max(attempt.shared_calls, int(attempt.shared))
            calls[attempt.provider] += max(attempt.calls, shared)
        return calls


def _may_pass(error: ProviderError) -> bool:
    """Tell whether a failure may be over in a moment."""
    return error.transient or isinstance(error, MalformedPayloadError)
