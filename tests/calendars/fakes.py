"""A made-up calendar, and an interpreter that answers as it is told."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ingestion_server.calendars import archive
from ingestion_server.domain.sessions import Sessions

HOUR_NS = 3_600_000_000_000
# Found once, and here: it reads files, which is not for the event loop.
LIBRARY = archive.library_version()


def label(text: str) -> int:
    """Give the nanoseconds of a date at 00:00 UTC."""
    return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days * archive.DAY_NS


def made_up(
    name: str = "XNYS", *, until: str = "2026-01-10", exhausted: bool = False
) -> archive.Computed:
    """Make a calendar of three sessions, the second of which has a break."""
    labels = np.array([label("2025-01-06") + i * archive.DAY_NS for i in range(3)])
    none = np.full(3, -1)
    starts, ends = none.copy(), none.copy()
    starts[1], ends[1] = labels[1] + 16 * HOUR_NS, labels[1] + 17 * HOUR_NS
    sessions = Sessions(
        calendar=name,
        zone="America/New_York",
        labels_ns=labels,
        opens_ns=labels + 14 * HOUR_NS,
        closes_ns=labels + 21 * HOUR_NS,
        break_starts_ns=starts,
        break_ends_ns=ends,
        covers_from_ns=label("2025-01-01"),
        covers_until_ns=label(until),
    )
    return archive.Computed(sessions, exhausted=exhausted)


def encoded(computed: archive.Computed) -> bytes:
    """Encode for the library that is installed."""
    return archive.encode(computed, LIBRARY)


@dataclass
class FakePython:
    """Stand in for the interpreter; a shell script, since that starts quickly."""

    folder: Path
    path: str = field(init=False)

    def __post_init__(self) -> None:
        """Start with a script that fails."""
        self.path = str(self.folder / "python")
        self.does("echo 'Traceback' >&2; echo 'KeyError: boom' >&2; exit 1")

    def does(self, script: str) -> None:
        """Run these lines; ``$4`` is the calendar."""
        path = Path(self.path)
        log = f'echo "$4 $$" >> {self.folder}/calls\n'
        # Replaced as a whole: a file that is running cannot be written to.
        path.with_suffix(".new").write_text(f"#!/bin/sh\n{log}{script}\n")
        path.with_suffix(".new").chmod(0o755)
        path.with_suffix(".new").replace(path)

    def answers(self, data: bytes, *, after: float = 0.0) -> None:
        """Print these bytes, after so many seconds."""
        (self.folder / "answer").write_bytes(data)
        self.does(f"sleep {after}; cat {self.folder}/answer")

    def calls(self) -> list[tuple[str, int]]:
        """List the calendars asked for, with the process that was."""
        try:
            lines = (self.folder / "calls").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(line.split()[0], int(line.split()[1])) for line in lines]


@dataclass
class Hands:
    """Two clocks that are moved by hand."""

    seconds: float = 1000.0
    ns: int = label("2025-01-10")

    def monotonic(self) -> float:
        """Tell the monotonic time."""
        return self.seconds

    def now_ns(self) -> int:
        """Tell the time of day."""
        return self.ns
