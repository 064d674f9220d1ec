"""When a second vendor is asked because the first one is slow, and how often."""

from __future__ import annotations

from typing import Final, final

from ingestion_server.domain.query import SourceMode
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
_PLENTY_SAVED: Final = 5.0
_LEAST_HEADROOM: Final = 0.2
"""With less quota than this left, none of it is spent on haste."""
_PATIENCE_SECONDS: Final = 1.0
_PATIENCE_WITH_THE_UNKNOWN_SECONDS: Final = 1.5
_PATIENCE_WITH_THE_CHOSEN_SECONDS: Final = 5.0
_PATIENCE_TIMES: Final = 4
"""
How long silence is borne at least while another vendor is left, longer with one whose
usual time nobody knows or that somebody chose to be asked first, and how many times
its usual time.

The first is when a call becomes overdue for the vendor's health as well.
"""


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
        Return after which silence another vendor may be asked early; None = never.

        Args:
            candidate: the vendor that is silent.
            progress: what it is asked for.
            chosen: whether an operator wants it to be asked before others.

        """
        if progress.query.policy.mode is not SourceMode.ANY or self._saved < 1:
            return None
        usual = self._usual_seconds(candidate, progress)
        if usual is None or chosen:
            return self._longest_seconds
        if self._saved < _PLENTY_SAVED:
            # One answer in twenty takes longer than usual, and would use up what is
            # there for those that never come.
            usual *= 2
        return min(max(usual, _SHORTEST_DELAY_SECONDS), self._longest_seconds)

    def patience_seconds(
        self, candidate: Candidate, progress: Progress, *, chosen: bool
    ) -> float:
        """Return after which silence the next vendor is asked in any case."""
        chosen = chosen or progress.query.policy.mode is not SourceMode.ANY
        least = _PATIENCE_WITH_THE_CHOSEN_SECONDS if chosen else _PATIENCE_SECONDS
        usual = self._usual_seconds(candidate, progress)
        if usual is None:
            return max(least, _PATIENCE_WITH_THE_UNKNOWN_SECONDS)
        return max(usual * _PATIENCE_TIMES, least)

    def spare_seconds(self, candidate: Candidate, progress: Progress) -> float | None:
        """
        Return how long a call may take that nobody waits for any more.

        None = as long as any other: nobody knows how long the vendor usually takes,
        and it would never be known if its calls were ended before they are answered.
        """
        usual = self._usual_seconds(candidate, progress)
        return None if usual is None else usual * _PATIENCE_TIMES

    def spent(self, candidate: Candidate, progress: Progress) -> bool:
        """Take one extra call, if there is one and the vendor has quota for it."""
        ready = self._saved >= 1 and self.affordable(candidate, progress)
        if ready:
            self._saved -= 1
        return ready

    def given_back(self, calls: int) -> None:
        """Take back extra calls that turned out to be none."""
        self._saved = min(self._saved + calls, _MOST_SAVED)

    @staticmethod
    def affordable(
        candidate: Candidate, progress: Progress, *, within_seconds: float = 0.0
    ) -> bool:
        """Tell whether a vendor has calls to spare so soon, and nothing against one."""
        vendor = candidate.vendor
        return (
            vendor.breaker(kind_of(progress.query.instrument)).admits
            and not vendor.quota.charges
            and vendor.quota.available_in() <= within_seconds
            and vendor.quota.headroom() >= _LEAST_HEADROOM
        )

    def _usual_seconds(self, candidate: Candidate, progress: Progress) -> float | None:
        kind = kind_of(progress.query.instrument)
        return self._standings.usual_seconds(candidate.name, kind)
