"""One moment by all the clocks there are."""

from __future__ import annotations

from typing import NamedTuple, final

from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.ports.clock import Clock


class Instant(NamedTuple):
    """Name one moment."""

    seconds: float
    """By the clock that never goes back."""
    wall_ns: int
    """By the wall clock, which somebody may set; nanoseconds since 1970 UTC."""
    steady_ns: int
    """What the wall clock would say if nobody had set it since the anchor."""

    def at(self, seconds: float) -> Instant:
        """Return another moment, if no clock is touched until then."""
        shift_ns = round((seconds - self.seconds) * SECOND_NS)
        return Instant(seconds, self.wall_ns + shift_ns, self.steady_ns + shift_ns)


@final
class Timekeeper:
    """
    Tell the moment.

    Where somebody sets the wall clock, nobody can tell which of the two the vendor
    agrees with. So both go on being told, and what must not happen twice a day must
    not by either of them.
    """

    def __init__(self, clock: Clock, *, anchor_ns: int | None = None) -> None:
        """
        Set up.

        Args:
            clock: tells the time.
            anchor_ns: what the wall clock said when the steady one stood at zero;
                None = what can be told from both now.

        """
        self._clock = clock
        if anchor_ns is None:
            anchor_ns = clock.now_ns() - round(clock.monotonic() * SECOND_NS)
        self.anchor_ns = anchor_ns

    def now(self) -> Instant:
        """Return the present moment."""
        seconds = self._clock.monotonic()
        return Instant(
            seconds,
            self._clock.now_ns(),
            self.anchor_ns + round(seconds * SECOND_NS),
        )
