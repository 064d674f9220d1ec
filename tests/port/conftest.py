"""Fixtures of the tests that go through the gRPC port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.port.house import UNMETERED, Build, House, house


@pytest.fixture
def usual() -> Mapping[str, str]:
    """Return the settings that all houses of a module have; none, unless it says so."""
    return {}


@pytest.fixture
async def home(build: Build) -> AsyncIterator[House]:
    """Serve with simulated vendors and default settings."""
    async with build() as built:
        yield built


@pytest.fixture
async def quick(build: Build) -> AsyncIterator[House]:
    """Serve with simulated vendors of which Yahoo is not metered."""
    async with build(settings=UNMETERED) as built:
        yield built


@pytest.fixture
def build(calendar_cache: Path, usual: Mapping[str, str]) -> Build:
    """Return what builds a house at another time, or with other settings."""

    def built(
        *, settings: Mapping[str, str] | None = None, **more: Any
    ) -> AbstractAsyncContextManager[House]:
        return house(
            cache=calendar_cache, settings={**usual, **(settings or {})}, **more
        )

    return built
