"""The machine's own time."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final, final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", None)


def boot_id() -> str:
    """Return which start of the machine this is; empty where nobody tells."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except (OSError, UnicodeError):
        return ""


def _since_boot() -> float:
    # Not the usual monotonic clock of Linux: that stands still while a laptop sleeps,
    # and a vendor's day does not.
    if _BOOT_CLOCK is None:
        return time.monotonic()
    return time.clock_gettime(_BOOT_CLOCK)


@final
class SystemClock:
    """Tell the machine's time."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 UTC."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Return seconds since the machine started, time asleep included."""
        return _since_boot()

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        await asyncio.sleep(seconds)
