"""When a second vendor is asked because the first one is slow, and how often."""

from __future__ import annotations

from typing import Final, final

from ingestion_server.domain.query import Priority, SourceMode
from ingestion_server.ingest.candidates import Candidate, kind_of
from ingestion_server.ingest.progress import Progress
from ingestion_server.registry.standing import Standings

SHARE: Final = 0.05
"""Extra calls that are made at most, of all."""
LONGEST_DELAY_SECONDS: Final = 1.0
"""Nobody is waited for longer before another is asked, if there is one to ask."""
_SHORTEST_DELAY_SECONDS: Final = 0.05
_MOST_SAVED: Final = 10.0
"""Extra calls that may be saved up; a vendor that falls silent is not slow rarely."""
_LEAST_HEADROOM: Final = 0.2
"""With less quota than this left, none of it is spent on haste."""
_PATIENCE_SECONDS: Final = 5.0
_LEAST_PATIENCE_SECONDS: Final = 2.5
_PATIENCE_TIMES: Final = 4
"""How long silence is borne while another vendor is left, by its usual time."""


@final
class Hedges:
    """Bound the calls that are made only since another is slow."""

    def __init__(
        self,
        standings: Standings,
        *,
        share: float = SHARE,
        longest_delay_seconds: float = LONGEST_DELAY_SECONDS,
    ) -> None:
        """
        Set up.

        Args:
            standings: tell how long a vendor usually takes.
            share: extra calls that are made at most, of all; 0 = none.
            longest_delay_seconds: how long a vendor is waited for at most before
                another is asked; used where its usual time is not known.

        """
        self._standings = standings
        self._share = share
        self._longest_seconds = longest_delay_seconds
        self._saved = _MOST_SAVED if share else 0.0

    def asked(self) -> None:
        """Hear that a vendor is asked in its turn."""
        if self._share:
            self._saved = min(self._saved + self._share, _MOST_SAVED)

    def delay_seconds(
        self, candidate: Candidate, progress: Progress, *, chosen: bool
    ) -> float | None:
        """
        Return how long a vendor is waited for; None = until it has had its time.

        Args:
            candidate: the vendor.
            progress: what it is asked for.
            chosen: whether an operator wants it to be asked before others.

        """
        query = progress.query
        if query.policy.mode is not SourceMode.ANY or query.priority is Priority.BATCH:
            return None
        if self._saved < 1:
            return None
        usual = self._usual_seconds(candidate, progress)
        if usual is None or chosen:
            return self._longest_seconds
        return min(max(usual, _SHORTEST_DELAY_SECONDS), self._longest_seconds)

    def patience_seconds(self, candidate: Candidate, progress: Progress) -> float:
        """Return how long one call may be silent while another vendor is left."""
        usual = self._usual_seconds(candidate, progress)
        if usual is None:
            return _PATIENCE_SECONDS
        return max(usual * _PATIENCE_TIMES, _LEAST_PATIENCE_SECONDS)

    def spent(self, candidate: Candidate, progress: Progress) -> bool:
        """Take one extra call, if there is one and the vendor has quota for it."""
        vendor = candidate.vendor
        ready = (
            self._saved >= 1
            and vendor.breaker(kind_of(progress.query.instrument)).admits
            and not vendor.quota.charges
            and vendor.quota.available_in() <= 0
            and vendor.quota.headroom() >= _LEAST_HEADROOM
        )
        if ready:
            self._saved -= 1
        return ready

    def _usual_seconds(self, candidate: Candidate, progress: Progress) -> float | None:
        kind = kind_of(progress.query.instrument)
        return self._standings.view(candidate.name, kind).answered_p95_seconds
