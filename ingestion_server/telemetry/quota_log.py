"""A line of log for each alert about a quota, but not for each of many alike."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from typing_extensions import override

from ingestion_server.ports.quota import Alert, AlertKind, OnAlert
from ingestion_server.telemetry.logs import suffix

_LOGGER: Final = logging.getLogger("ingestion_server.quota")
_LEVELS: Final[Mapping[AlertKind, int]] = MappingProxyType(
    {
        # There is still time to do something about it.
        AlertKind.USED_80_PERCENT: logging.WARNING,
        AlertKind.USED_95_PERCENT: logging.ERROR,
        AlertKind.VIOLATION: logging.ERROR,
    }
)
_WORDS: Final[Mapping[AlertKind, str]] = MappingProxyType(
    {
        AlertKind.USED_80_PERCENT: "80 % used",
        AlertKind.USED_95_PERCENT: "95 % used",
        AlertKind.VIOLATION: "the vendor refused a call that fitted",
    }
)


@dataclass(slots=True)
class _Gate:
    """Remember the last line about one window and kind, and who came since."""

    written_at_seconds: float
    left_out: int = 0


@final
class QuotaLog(OnAlert):
    """
    Log what an operator should know: 80 % as a warning, what is worse as an error.

    Of each vendor, window and kind one line is written in a stretch of time; the next
    one says how many were left out.
    """

    def __init__(
        self,
        logger: logging.Logger = _LOGGER,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        seconds: float = 60.0,
    ) -> None:
        """Write at most one line about the same per so many seconds."""
        self._logger = logger
        self._monotonic = monotonic
        self._seconds = seconds
        self._gates: dict[tuple[str, str, AlertKind], _Gate] = {}

    @override
    def __call__(self, alert: Alert) -> None:
        """Log one alert."""
        # A log that cannot be written is no reason to lose an answer.
        with contextlib.suppress(Exception):
            self._log(alert)

    def _log(self, alert: Alert) -> None:
        now = self._monotonic()
        key = (alert.provider, alert.window, alert.kind)
        gate = self._gates.get(key)
        if gate is not None and now - gate.written_at_seconds < self._seconds:
            gate.left_out += 1
            return
        left_out = 0 if gate is None else gate.left_out
        self._gates[key] = _Gate(now)
        self._logger.log(
            _LEVELS[alert.kind],
            "%s %s: %s, %d of %d%s%s",
            alert.provider,
            alert.window or "-",
            _WORDS[alert.kind],
            alert.used,
            alert.limit,
            suffix(alert.detail),
            f" (and {left_out} like it since the last line)" if left_out else "",
            extra={
                "facts": {
                    "number": alert.number,
                    "kind": alert.kind.value,
                    "provider": alert.provider,
                    "window": alert.window,
                    "used": alert.used,
                    "limit": alert.limit,
                    "left_out": left_out,
                }
            },
        )
