"""How long a vendor is left alone that said: not now."""

from __future__ import annotations

from typing import Final, final

import msgspec

from ingestion_server.quota.admission import LONG_AGO, Turn
from ingestion_server.quota.instant import Instant

_LONGEST_SECONDS: Final = 32 * 86_400.0
"""No vendor's word closes it for longer: a wrong number must not do so for years."""


class Cooldown(msgspec.Struct, frozen=True):
    """Say how long a vendor is left alone that says "not now" but not until when."""

    first_seconds: float = 300.0
    most_seconds: float = 3600.0
    """Each refusal doubles the pause up to this; a success starts anew."""


@final
class Closure:
    """Remember until when nothing may leave."""

    def __init__(self, cooldown: Cooldown) -> None:
        """Start open."""
        self.turn = LONG_AGO
        """The end of the last closure, and the window it was about."""
        self._cooldown = cooldown
        # Refusals without a time, since the last success.
        self._refusals = 0

    def holds(self, now: Instant) -> bool:
        """Return whether nothing may leave."""
        return now.seconds < self.turn.at_seconds

    def cooldown_ends(self, now: Instant) -> float:
        """Hear of a refusal without a time; return until when to be quiet."""
        # More doublings than this only overflow.
        doubled = self._cooldown.first_seconds * 2.0 ** min(self._refusals, 60)
        self._refusals += 1
        return now.seconds + min(doubled, self._cooldown.most_seconds)

    def extend(self, until_seconds: float, window: str, now: Instant) -> bool:
        """Let nothing leave until then; return whether that is later than before."""
        until = min(until_seconds, now.seconds + _LONGEST_SECONDS)
        if until <= self.turn.at_seconds:
            return False
        self.turn = Turn(until, window)
        return True

    def forgive(self, now_seconds: float) -> None:
        """Hear of a success; one from before a refusal is none."""
        if self._refusals and now_seconds >= self.turn.at_seconds:
            self._refusals = 0

    def dump(self) -> dict[str, object]:
        """Return what is known."""
        closed = self.turn is not LONG_AGO
        return {"turn": tuple(self.turn) if closed else None, "count": self._refusals}

    def resume(self, turn: Turn, refusals: int) -> None:
        """Go on after an earlier run."""
        self.turn, self._refusals = turn, refusals
