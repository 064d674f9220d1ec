"""A line of log for each call of a vendor, but never a flood."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from typing_extensions import override

from ingestion_server.ports.hooks import CallDetails, OnCall
from ingestion_server.telemetry.logs import suffix

# No verdict on the vendor, so nothing to warn of.
_QUIET: Final = frozenset({"ok", "CANCELLED"})
_LOGGER: Final = logging.getLogger("ingestion_server.calls")


@dataclass(slots=True)
class _Meter:
    """Count the lines of one vendor and level since a moment."""

    since_seconds: float
    lines: int = 0
    suppressed: int = 0


@final
class CallLog(OnCall):
    """
    Log each failed call as a warning, and each good one for debugging.

    Of one vendor and level at most so many lines are written in a stretch of time;
    the first line after that says how many there would have been.
    """

    def __init__(
        self,
        logger: logging.Logger = _LOGGER,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        lines: int = 20,
        seconds: float = 10.0,
    ) -> None:
        """Write at most so many lines per so many seconds."""
        self._logger = logger
        self._monotonic = monotonic
        self._lines = lines
        self._seconds = seconds
        self._meters: dict[tuple[str, int], _Meter] = {}

    @override
    def __call__(self, details: CallDetails) -> None:
        """Log one call."""
        # A log that cannot be written is no reason to lose an answer.
        with contextlib.suppress(Exception):
            level = logging.DEBUG if details.outcome in _QUIET else logging.WARNING
            if self._logger.isEnabledFor(level):
                self._log(level, details)

    def _log(self, level: int, details: CallDetails) -> None:
        now = self._monotonic()
        key = (details.provider, level)
        meter = self._meters.get(key)
        about = {"about": details.provider}
        if meter is None or now - meter.since_seconds >= self._seconds:
            if meter is not None and meter.suppressed:
                self._logger.log(
                    level,
                    "%s: … %d more suppressed",
                    details.provider,
                    meter.suppressed,
                    extra=about,
                )
            meter = self._meters[key] = _Meter(now)
        if meter.lines >= self._lines:
            meter.suppressed += 1
            return
        meter.lines += 1
        self._logger.log(
            level,
            "%s %s: %s after %.3f s%s",
            details.provider,
            details.feature or "-",
            details.outcome,
            details.seconds,
            suffix(details.detail),
            extra=about,
        )
