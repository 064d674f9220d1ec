"""One stretch of work on a job, until there is nothing to do or it is halted."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, final

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.jobs import Unit
from ingestion_server.ingest.jobs.unit_work import Pause

MOST_DRY: Final = 200
"""So many units in a row find no quota before it is taken that no other would."""


@final
class Course:
    """Keep how far one stretch of work has come, and what ends it."""

    def __init__(self, due_ns: int, at_once: int) -> None:
        self.at_once = at_once
        """How many units are worked on at a time."""
        self.due_ns = due_ns
        """Units that may be tried then have been waited for, whatever the wall says."""
        self.halted = False
        self.pause: Pause | None = None
        self.failure: StateUnavailableError | None = None
        self.waiting: deque[Unit] = deque()
        self.taking = asyncio.Lock()
        self._dry = 0
        self._drought: Pause | None = None

    def halt(self, pause: Pause) -> None:
        """Begin nothing more; of several pauses, the first to end is kept."""
        self.halted = True
        self.pause = _first(self.pause, pause)

    def note(self, drought: Pause | None) -> None:
        """Note whether a unit found no quota; too many in a row halt it."""
        if drought is None:
            self._dry, self._drought = 0, None
            return
        self._dry += 1
        self._drought = _first(self._drought, drought)
        if self._dry >= MOST_DRY:
            self.halt(self._drought)


def _first(known: Pause | None, other: Pause) -> Pause:
    return other if known is None else min(known, other, key=_until)


def _until(pause: Pause) -> float:
    """Return when a pause ends; one that somebody has to end stands before others."""
    return float("-inf") if pause.until_ns is None else pause.until_ns
