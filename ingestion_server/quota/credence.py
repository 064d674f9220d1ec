"""How far a vendor is believed that says what a call cost."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Final, final

from ingestion_server.ports.budget import Counts
from ingestion_server.quota.instant import Instant
from ingestion_server.quota.line import Line

_MOST_EXTRA_UNITS: Final = 1_000_000
"""No header makes a call cost more, where no window of units says what is too much."""
_REPEAT_SECONDS: Final = 60.0
"""How often the same nonsense of a vendor is told to the log, at most."""

_log: Final = logging.getLogger(__name__)


@final
class Credence:
    """Believe that calls cost more than was thought, but no nonsense."""

    def __init__(self, provider: str, lines: Sequence[Line]) -> None:
        """``lines`` are the vendor's windows: nothing costs more than one holds."""
        self._provider = provider
        self._lines = lines
        self._nonsense_until = -math.inf

    def units(self, extra: int, now: Instant) -> int:
        """Return how many units more a call may have cost of those that are told."""
        most = min(
            (
                line.window.limit
                for line in self._lines
                if line.window.counts is Counts.UNITS
            ),
            default=_MOST_EXTRA_UNITS,
        )
        if extra > most and now.seconds >= self._nonsense_until:
            self._nonsense_until = now.seconds + _REPEAT_SECONDS
            _log.warning(
                "%s says that a call cost %d units more than was thought; counted as "
                "%d more",
                self._provider,
                extra,
                most,
            )
        return min(extra, most)
