"""A vendor's stream, as metrics see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Stream:
    """Be one vendor's stream."""

    up: bool = True
    connections: int = 1
    wanted: int = 1
    reconnects: int = 0
    stale: bool = False
