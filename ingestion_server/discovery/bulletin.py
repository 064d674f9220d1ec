"""Log lines about something that may fail again and again."""

from __future__ import annotations

import logging
from typing import final

from ingestion_server.ports.clock import Clock


@final
class Bulletin:
    """
    Write at most one line in a stretch of time, and the present state in the end.

    What is left out is counted in the next line. A recovery soon after a failure is
    told once the stretch is over, if it lasts.
    """

    def __init__(
        self, logger: logging.Logger, clock: Clock, *, seconds: float = 60.0
    ) -> None:
        """Write to this logger."""
        self._logger = logger
        self._clock = clock
        self._seconds = seconds
        self._written_at: float | None = None
        self._well = False
        self._failures = 0

    def well(self, sentence: str) -> None:
        """Hear that all is well, as often as anybody likes."""
        if self._well and not self._failures:
            return
        self._write(logging.INFO, sentence, self._failures)

    def failed(self, sentence: str) -> None:
        """Hear of a failure."""
        self._failures += 1
        self._write(logging.WARNING, sentence, self._failures - 1)

    def _write(self, level: int, sentence: str, left_out: int) -> None:
        now = self._clock.monotonic()
        if self._written_at is not None and now - self._written_at < self._seconds:
            return
        more = f" (failures since the last line: {left_out})" if left_out else ""
        self._logger.log(level, "%s%s", sentence, more)
        self._written_at = now
        self._well = level == logging.INFO
        self._failures = 0
