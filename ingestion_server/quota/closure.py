"""How long a vendor is left alone that said: not now."""

from __future__ import annotations

from typing import Final, final

import msgspec

from ingestion_server.quota.admission import LONG_AGO, Turn
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.meter import State

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
        # By whether they are about the key, which another one does not care about;
        # else they are about the vendor, whatever the key.
        self._turns = {False: LONG_AGO, True: LONG_AGO}
        # Refusals without a time, since the last success.
        self._refusals = {False: 0, True: 0}

    def holds(self, now: Instant) -> bool:
        """Return whether nothing may leave."""
        return now.seconds < self.turn.at_seconds

    def cooldown_ends(self, now: Instant, *, of_key: bool) -> float:
        """Hear of a refusal without a time; return until when to be quiet."""
        # More doublings than this only overflow.
        doublings = min(self._refusals[of_key], 60)
        self._refusals[of_key] += 1
        seconds = self._cooldown.first_seconds * 2.0**doublings
        return now.seconds + min(seconds, self._cooldown.most_seconds)

    def extend(
        self, until_seconds: float, window: str, now: Instant, *, of_key: bool
    ) -> bool:
        """Let nothing leave until then; return whether that is later than before."""
        until = min(until_seconds, now.seconds + _LONGEST_SECONDS)
        turn = Turn(until, window)
        if until > self._turns[of_key].at_seconds:
            self._turns[of_key] = turn
        if until <= self.turn.at_seconds:
            return False
        self.turn = turn
        return True

    def forgive(self, now_seconds: float) -> None:
        """Hear of a success; one from before a refusal is none."""
        if now_seconds >= self.turn.at_seconds and any(self._refusals.values()):
            self._refusals = {False: 0, True: 0}

    def dump(self, *, of_key: bool) -> State:
        """Return what is known of the key, or of the vendor."""
        return dumped(self._turns[of_key], self._refusals[of_key])

    def resume(self, turn: Turn, refusals: int, *, of_key: bool) -> None:
        """Go on after an earlier run."""
        self._turns[of_key], self._refusals[of_key] = turn, refusals
        self.turn = max(self._turns.values())


def dumped(turn: Turn, refusals: int) -> State:
    """Return what is known of one that may have ended."""
    closed = turn.at_seconds > LONG_AGO.at_seconds
    return {"turn": tuple(turn) if closed else None, "count": refusals}
