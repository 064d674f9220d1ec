"""Fixtures of the tests that answer from recordings, through the gRPC port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from ingestion_server.app.mode import Mode
from tests.port.house import Build, House, house
from tests.replay.vendors import ABSENT, RECORDINGS

LATER = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""After the last of the recordings was made."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(calendar_cache: Path) -> AsyncIterator[House]:
    """Answer from the shared recordings, without a key in the settings."""
    if not RECORDINGS.is_dir():
        pytest.skip(ABSENT)
    mode = Mode(replay=RECORDINGS)
    async with house(cache=calendar_cache, start=LATER, mode=mode) as built:
        yield built


@pytest.fixture
def build(calendar_cache: Path) -> Build:
    """Return what builds a house at another time, or with other settings."""
    return partial(house, cache=calendar_cache)
