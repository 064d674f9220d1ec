"""Fixtures of the tests that go through the gRPC port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.port.house import UNMETERED, Build, House, house


@pytest.fixture
async def home(calendar_cache: Path) -> AsyncIterator[House]:
    """Serve with simulated vendors and default settings."""
    async with house(cache=calendar_cache) as built:
        yield built


@pytest.fixture
async def quick(calendar_cache: Path) -> AsyncIterator[House]:
    """Serve with simulated vendors of which Yahoo is not metered."""
    async with house(cache=calendar_cache, settings=UNMETERED) as built:
        yield built


@pytest.fixture
def build(calendar_cache: Path) -> Build:
    """Return what builds a house at another time, or with other settings."""
    return partial(house, cache=calendar_cache)
