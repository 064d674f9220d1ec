"""The machine's own time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return which start of the machine this is; empty where nobody tells."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except (OSError, UnicodeError):
        return ""


def since_boot(clock: int | None) -> Callable[[], float]:
    """Return what tells the seconds of a clock; of the usual one if there is none."""
    return time.monotonic if clock is None else partial(time.clock_gettime, clock)


@final
class SystemClock:
    """Tell the machine's time; no frame of Python stands before the system's call."""

    now_ns = staticmethod(time.time_ns)
    # Not the usual monotonic clock of Linux: that stands still while a laptop sleeps,
    # and a vendor's day does not.
    monotonic = staticmethod(since_boot(getattr(time, "CLOCK_BOOTTIME", None)))

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        await asyncio.sleep(seconds)
