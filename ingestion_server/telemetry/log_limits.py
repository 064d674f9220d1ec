"""How often one event is written to the log: often enough to be seen, never a flood."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, NamedTuple, final

LINES: Final = 60
SECONDS: Final = 60.0
"""So many lines of one event are written in such a time."""
_MOST_EVENTS: Final = 1_000
"""Events that are counted apart; all others together are one more."""
_SPARSE: Final = ("opentelemetry",)
"""Loggers that have one line in that time, all that they tell together."""
_LONGEST_TEXT: Final = 200
_OTHERS: Final = ("", 0, "others", "", "")

_Event = tuple[str, int, str, str, str]
"""A logger, a level, a template, what it is about, and what was raised."""


@dataclass(slots=True)
class _Meter:
    level: int
    since_seconds: float
    lines: int = 0
    left_out: int = 0
    latest: str = ""


class LeftOut(NamedTuple):
    """Say how many lines of an event were not written."""

    logger: str
    level: int
    latest: str
    """What the latest of them says."""
    lines: int


@final
class LogLimits:
    """
    Count lines by their logger, level and template; threads may share it.

    So that a flood about one thing hides nothing else, they are counted apart by what
    was logged with ``extra={"about": …}``, and by the kind of what was raised. Of what
    is left out, the next line tells, whatever it is about.
    """

    def __init__(
        self,
        *,
        lines: int = LINES,
        seconds: float = SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Let so many lines of an event through in so many seconds."""
        self._lines = lines
        self._seconds = seconds
        self._clock = clock
        self._meters: dict[_Event, _Meter] = {}
        self._looked_at_seconds = clock()
        self._lock = threading.Lock()

    def admits(self, record: logging.LogRecord) -> bool:
        """Count a line, and return whether it is written."""
        key, most = self._event(record)
        now = self._clock()
        with self._lock:
            meter = self._meters.get(key)
            if meter is None and len(self._meters) >= _MOST_EVENTS:
                key = _OTHERS
                meter = self._meters.get(key)
            if meter is None or (
                now - meter.since_seconds >= self._seconds and not meter.left_out
            ):
                meter = self._meters[key] = _Meter(record.levelno, now)
            if meter.lines >= most:
                meter.left_out += 1
                meter.latest = _said(record)
                return False
            meter.lines += 1
            return True

    def left_out(self) -> Iterator[LeftOut]:
        """Yield what was left out and has not been told; that counts as a line."""
        now = self._clock()
        with self._lock:
            if now - self._looked_at_seconds < self._seconds / 10:
                return
            self._looked_at_seconds = now
            over = [
                (key, meter)
                for key, meter in self._meters.items()
                if now - meter.since_seconds >= self._seconds
            ]
            for key, meter in over:
                if meter.left_out:
                    self._meters[key] = _Meter(meter.level, now, lines=1)
                else:
                    del self._meters[key]
        for (logger, *_), meter in over:
            if meter.left_out:
                yield LeftOut(logger, meter.level, meter.latest, meter.left_out)

    def _event(self, record: logging.LogRecord) -> tuple[_Event, int]:
        for name in _SPARSE:
            if record.name == name or record.name.startswith(f"{name}."):
                return (name, 0, "", "", ""), 1
        template = str(record.msg)[:_LONGEST_TEXT]
        about = str(getattr(record, "about", ""))[:_LONGEST_TEXT]
        kind = record.exc_info[0] if record.exc_info else None
        raised = kind.__name__ if kind else ""
        return (record.name, record.levelno, template, about, raised), self._lines


def _said(record: logging.LogRecord) -> str:
    """Return what a line says, cut between words: half a secret is not recognised."""
    text = str(record.msg)
    with suppress(Exception):
        text = record.getMessage()
    if len(text) <= _LONGEST_TEXT:
        return text
    return text[:_LONGEST_TEXT].rpartition(" ")[0]
