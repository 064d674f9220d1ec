"""Fixtures of the tests that go through the gRPC port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import grpc
import pytest

from tests.port.house import UNMETERED, Build, House, house


@pytest.fixture(scope="session", autouse=True)
def _poller() -> None:
    """
    Keep one poller of grpc.aio for all tests.

    Otherwise each test's last channel ends it, and it leaves its sockets unclosed.
    """

    async def start() -> None:
        grpc.aio.init_grpc_aio()

    asyncio.run(start())


@pytest.fixture(scope="session")
def calendar_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep computed calendars for all tests of a run: each takes two seconds."""
    return tmp_path_factory.mktemp("calendars")


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
