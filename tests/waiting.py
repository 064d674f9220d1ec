"""Waiting for what another process does, of which it tells nobody."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 40.0
_POLL_SECONDS = 0.05


def eventually(
    holds: Callable[[], object], seconds: float = PATIENCE_SECONDS, what: str = ""
) -> None:
    """Look again and again until something is so; ``what`` says what was wanted."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not in time: {what or holds}"
        time.sleep(_POLL_SECONDS)
