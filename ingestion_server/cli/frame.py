"""What stands around a picture of something that changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from ingestion_server.cli.writing import clock

LATEST: Final = 5
"""How many lines about what has happened are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Be the paper that a picture is drawn on, and what is said beside it."""

    width: int
    """Columns of the paper."""
    age_seconds: float = 0.0
    """
    How long ago the state was told.

    Until then it is as it was, but what was to come is nearer.
    """
    lines: Sequence[str] = ()
    """What has happened, oldest first."""
    note: str = ""
    """What keeps the server from telling more; empty = nothing does."""

    def now(self, as_of: datetime) -> datetime:
        """Return the moment, given when the state was told by the server's clock."""
        return as_of + timedelta(seconds=self.age_seconds)

    def around(
        self, subject: str, as_of: datetime, parts: Iterable[RenderableType]
    ) -> RenderableType:
        """Put a picture between its title and what is said beside it."""
        # A server that is gone vouches only for what it told.
        moment = as_of if self.note else self.now(as_of)
        below = [Text(line, "yellow") for line in self.lines[-LATEST:]]
        if self.note:
            below.append(Text(self.note, "bold red"))
        return Group(
            Text(f"{subject} at {clock(moment)}", "bold"), Text(), *parts, *below
        )
