"""What kept vendors from serving a unit, and whether that may pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ingestion_server.domain.errors import (
    DeadlineExceededError,
    LedgerUnavailableError,
    MalformedPayloadError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from ingestion_server.domain.result import Attempt, Outcome

OUT_OF_QUOTA: Final = f"{QuotaExhaustedError.reason}: "
"""What the reason of a unit begins with that waits for quota."""
_RESTING: Final = f"{ProviderUnavailableError.reason}: "
_PASSING: Final = (
    _RESTING,
    f"{DeadlineExceededError.reason}: ",
    f"{LedgerUnavailableError.reason}: ",
    f"{MalformedPayloadError.reason}: ",
)
"""Failures of the moment."""


class Hindrances(NamedTuple):
    """Be how it ended with each vendor, where not all that was asked for came."""

    quota: Sequence[Attempt]
    """Those that had no quota, or not enough."""
    others: Sequence[Attempt]

    @property
    def quota_seconds(self) -> float | None:
        """Return when the first of them has quota again; None if nobody knows."""
        waits = [each.retry_after_seconds for each in self.quota]
        return min((each for each in waits if each is not None), default=None)

    @property
    def failed(self) -> bool:
        """Return whether another vendor might have answered that could not then."""
        return any(
            each.outcome is Outcome.FAILED or each.reason.startswith(_PASSING)
            for each in self.others
        )

    @property
    def passing(self) -> bool:
        """Return whether another vendor may be back before the quota is."""
        return any(each.reason.startswith(_PASSING) for each in self.others)

    @property
    def resting(self) -> bool:
        """Return whether nobody was asked, since vendors rest after failures."""
        asked = any(each.outcome is not Outcome.SKIPPED for each in self.others)
        rests = any(each.reason.startswith(_RESTING) for each in self.others)
        return rests and not asked and not self.quota

    @property
    def rest_seconds(self) -> float:
        """Return when the first vendor may be back that failed."""
        waits = (
            each.retry_after_seconds or 0.0
            for each in self.others
            if each.reason.startswith(_PASSING)
        )
        return min(waits, default=0.0)

    def told(self) -> str:
        """Return the reason of a unit that waits for quota, others' reasons last."""
        first, *rest = (*self.quota, *self.others)
        said = [f"{each.provider}: {each.reason}" for each in rest if each.reason]
        return "; ".join(dict.fromkeys((first.reason, *said)))

    def in_vain(self, served: Sequence[str]) -> bool:
        """
        Return whether quota would not help a unit, of which nothing new came.

        So it is if one was asked and then had too little of it. And if one of those
        who have ``served`` the rest of the unit says that it has no more, since then
        others are only a second opinion.
        """
        second = any(
            each.provider in served
            and each.outcome in {Outcome.SERVED, Outcome.NO_DATA}
            for each in self.others
        )
        return second or any(each.calls for each in self.quota)


def hindrances(answers: Iterable[Sequence[Attempt]]) -> Hindrances:
    """Return how it ended with each vendor, by the attempts of some answers."""
    # A vendor may have been asked several times for one: what it said last counts.
    ended = [
        last
        for attempts in answers
        for last in {each.provider: each for each in attempts}.values()
    ]
    return Hindrances(
        [each for each in ended if each.reason.startswith(OUT_OF_QUOTA)],
        [each for each in ended if not each.reason.startswith(OUT_OF_QUOTA)],
    )
