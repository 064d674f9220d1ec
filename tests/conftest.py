"""What all tests share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

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


@pytest.fixture(scope="session", autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Keep every ledger out of the user's state folder.

    A test that needs one names a folder; this is for the test that forgets to.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def calendar_cache(tmp_path_factory: pytest.TempPathFactory) -> os.PathLike[str]:
    """Keep computed calendars for all tests of a run: each takes two seconds."""
    return tmp_path_factory.mktemp("calendars")
