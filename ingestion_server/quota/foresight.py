"""What becomes of calls that somebody plans."""

from __future__ import annotations

import math
from typing import Final, final

import msgspec
from typing_extensions import override

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.budget import Budget
from ingestion_server.ports.quota import Lane, Planned, Turns
from ingestion_server.quota.admission import Outlook, Turn
from ingestion_server.quota.instant import Instant

_FARTHEST_SECONDS: Final = 400 * 86_400.0


class Foresight(msgspec.Struct, frozen=True):
    """Be the work of foreseeing planned calls, which may run in a thread."""

    planned: Planned
    budget: Budget
    outlook: Outlook
    now: Instant

    def done(self) -> tuple[int, Turn]:
        """Return how many are done in time, and the turn of the last."""
        planned, now = self.planned, self.now
        finish_by = math.inf
        if planned.finish_by_ns is not None:
            finish_by = now.seconds + (planned.finish_by_ns - now.wall_ns) / SECOND_NS
        farthest = now.seconds + _FARTHEST_SECONDS
        fits, last = 0, Turn(now.seconds, "")
        for part in planned.parts:
            units, left = self.budget.weight(part.endpoint) * part.times, part.calls
            while left:
                turn = self.outlook.book(planned.lane, units, now)
                if turn.at_seconds > farthest:
                    return fits, Turn(math.inf, turn.window)
                together = 1 + self.outlook.book_more(
                    planned.lane, units, left - 1, now.at(turn.at_seconds)
                )
                if turn.at_seconds <= finish_by:
                    fits += together
                left -= together
                last = turn
        return fits, last


@final
class Foretold(Turns):
    """Foretell turns one by one."""

    def __init__(self, budget: Budget, outlook: Outlook, now: Instant) -> None:
        """``outlook`` becomes its own, and counts what is asked for."""
        self._budget = budget
        self._outlook = outlook
        self._now = now

    @override
    def turn(
        self,
        endpoint: str,
        *,
        times: int = 1,
        asked_seconds: float,
        latest_seconds: float,
    ) -> float:
        """Return the turn of one more call, and count it unless that is too late."""
        began = self._now.seconds
        turn = self._outlook.book(
            Lane.BATCH,
            self._budget.weight(endpoint) * times,
            self._now.at(began + asked_seconds),
            began + latest_seconds,
        )
        return turn.at_seconds - began
