"""What tests of the doors to the network share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from tests.transport.fakes import FakeClock


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[None]:
    """Fail whatever blocks the event loop."""
    with blockbuster_ctx(scanned_modules=["ingestion_server"]):
        yield


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies of whoever runs the tests out of them."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def clock() -> FakeClock:
    """Stand still."""
    return FakeClock()
