"""Fixtures of the tests of `telemetry`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from tests.clocks import ManualClock

# How /proc is read, which the kernel answers from memory.
_PROCFS = ("io.BufferedReader.read", "os.listdir")


@pytest.fixture
def clock() -> ManualClock:
    """Start at 2025-01-10 14:30 UTC; time stands still until it is advanced."""
    return ManualClock(runs=False)


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[None]:
    """Fail a test whose event loop is blocked by the server's code."""
    with blockbuster_ctx("ingestion_server") as blocker:
        for read in _PROCFS:
            blocker.functions[read].can_block_in("process_collector.py", "collect")
            blocker.functions[read].can_block_in("loop_lag.py", "processor_wait")
        yield
