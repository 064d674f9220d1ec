"""Where the walk for one answer is, and whom it goes back to."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
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
    postponed: list[Postponed] = field(default_factory=list)
    under_way: dict[asyncio.Task[Asked], Begun] = field(default_factory=dict)
    failed: list[tuple[Candidate, ProviderError]] = field(default_factory=list)
    """Those who failed since all ahead were asked last."""
    rounds: int = 0
    """How often it was gone back."""
    heard: int = 0
    """How many calls of those under way were answered when it was looked last."""
    heard_at: float = 0.0
    """When one was, or a call was begun."""

    def back(self, *, most_calls: int, affordable: Callable[[Candidate], bool]) -> bool:
        """
        Put those ahead once more that may do better; tell whether there are any.

        Those are vendors whose failure may pass in a moment and that were not called
        ``most_calls`` times yet; if there are such, also those who had nothing to say.
        """
        failed, self.failed = self.failed, []
        if self.rounds >= _MOST_ROUNDS or not any(_may_pass(e) for _, e in failed):
            return False
        self.rounds += 1
        calls = Counter[str]()
        for attempt in self.progress.attempts:
            calls[attempt.provider] += max(attempt.calls, 1)
        self.ahead.extend(
            candidate
            for candidate, error in failed
            if calls[candidate.name] < most_calls
            and (_may_pass(error) or isinstance(error, NoDataUnexplainedError))
            and affordable(candidate)
        )
        return bool(self.ahead)


def _may_pass(error: ProviderError) -> bool:
    """Tell whether a failure may be over in a moment."""
    return error.transient or isinstance(error, MalformedPayloadError)
