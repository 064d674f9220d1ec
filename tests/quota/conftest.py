"""Fixtures of the tests of `quota`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from tests.clocks import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """Start at 2025-01-10 14:30 UTC; time stands still until it is advanced."""
    return ManualClock(runs=False)


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[None]:
    """Fail a test whose event loop is blocked by the server's code."""
    with blockbuster_ctx("ingestion_server") as watch:
        for name, function in watch.functions.items():
            # A call must be written down before it leaves, and that takes 10 µs: the
            # journal never waits for the disk where the loop waits for it.
            if name.startswith("sqlite3."):
                function.deactivate()
        yield
