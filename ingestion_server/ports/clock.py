"""Time, handed in."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Tell the time, and let it pass."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 UTC; the wall clock, which may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, those since the machine started."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        ...
