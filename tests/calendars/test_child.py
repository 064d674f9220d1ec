"""A child process is started wholly or not at all, and ended with all it started."""

import asyncio
import time

import pytest

from ingestion_server.calendars import child


@pytest.mark.parametrize("pause_ms", [0, 1, 2, 3, 5, 8])
async def test_a_command_that_is_cancelled_while_it_starts_ends_at_once(
    pause_ms: int,
) -> None:
    """What it has started would keep its pipes open for as long as it lives."""
    command = ["/bin/sh", "-c", "sleep 30 & wait"]
    running = asyncio.create_task(child.run(command, seconds=60))
    await asyncio.sleep(pause_ms / 1000)  # somewhere on the way of starting
    begun = time.monotonic()

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - begun < 1
