"""What all tests share."""

from __future__ import annotations

import asyncio
import os

# As `ingestion-server serve` does, and for its reason: children of a process in which
# gRPC prepares for forks crash now and then. Only heard before gRPC is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # noqa: TID251 - see above

import grpc
import pytest


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
def calendar_cache(tmp_path_factory: pytest.TempPathFactory) -> os.PathLike[str]:
    """Keep computed calendars for all tests of a run: each takes two seconds."""
    return tmp_path_factory.mktemp("calendars")
