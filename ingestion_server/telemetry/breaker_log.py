"""A line of log for each move of a breaker, but never a flood."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never, final

from typing_extensions import override

from ingestion_server.domain.durations import in_words
from ingestion_server.ports.policy import BreakerPosition
from ingestion_server.ports.routing import BreakerChange, OnBreaker
from ingestion_server.telemetry.logs import suffix

_LOGGER: Final = logging.getLogger("ingestion_server.breakers")


@dataclass(slots=True)
class _Meter:
    """Count the lines about one breaker since a moment."""

    since_seconds: float
    lines: int = 0
    left_out: int = 0


@final
class BreakerLog(OnBreaker):
    """
    Log that a breaker opened as a warning, and its other moves as information.

    Of one breaker at most so many lines are written in a stretch of time; the first
    line after that says how many were left out.
    """

    def __init__(
        self,
        logger: logging.Logger = _LOGGER,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        lines: int = 12,
        seconds: float = 60.0,
    ) -> None:
        """Write at most so many lines per so many seconds."""
        self._logger = logger
        self._monotonic = monotonic
        self._lines = lines
        self._seconds = seconds
        self._meters: dict[tuple[str, str], _Meter] = {}

    @override
    def __call__(self, change: BreakerChange) -> None:
        """Log one move."""
        # A log that cannot be written is no reason to lose an answer.
        with contextlib.suppress(Exception):
            self._log(change)

    def _log(self, change: BreakerChange) -> None:
        now = self._monotonic()
        key = (change.provider, change.kind)
        left_out = 0
        meter = self._meters.get(key)
        if meter is None or now - meter.since_seconds >= self._seconds:
            left_out = 0 if meter is None else meter.left_out
            meter = self._meters[key] = _Meter(now)
        if meter.lines >= self._lines:
            meter.left_out += 1
            return
        meter.lines += 1
        self._logger.log(
            logging.WARNING if _rests(change) else logging.INFO,
            "%s %s: %s%s%s",
            change.provider,
            change.kind,
            _words(change),
            suffix(change.reason) if _rests(change) else "",
            f" (and {left_out} moves since the last line)" if left_out else "",
            extra={
                "facts": {
                    "provider": change.provider,
                    "kind": change.kind,
                    "position": change.position.value,
                    "reason": change.reason,
                    "rest_seconds": change.rest_seconds,
                    "left_out": left_out,
                }
            },
        )


def _rests(change: BreakerChange) -> bool:
    """Tell an opening from a probe that showed nothing, after which another goes."""
    return change.position is BreakerPosition.OPEN and change.rest_seconds > 0


def _words(change: BreakerChange) -> str:
    match change.position:
        case BreakerPosition.CLOSED:
            return "the breaker is closed again"
        case BreakerPosition.HALF_OPEN:
            return "the breaker lets one call through as a probe"
        case BreakerPosition.OPEN if _rests(change):
            return f"the breaker is open for {in_words(change.rest_seconds)}"
        case BreakerPosition.OPEN:
            return "the probe showed nothing, the next call is another"
        case _:
            assert_never(change.position)
