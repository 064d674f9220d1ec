"""Where the walk for one answer is, and whom it goes back to."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
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

_MOST_RESUMED: Final = 6
"""How often one vendor is asked again that has no quota at once."""
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
    hedge: bool


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
    heard: int = 0
    """How many calls of those under way were answered when it was looked last."""
    heard_at: float = 0.0
    """When one was, or a call was begun."""

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
            calls[attempt.provider] += max(attempt.calls, int(attempt.shared))
        return calls


def _may_pass(error: ProviderError) -> bool:
    """Tell whether a failure may be over in a moment."""
    return error.transient or isinstance(error, MalformedPayloadError)
