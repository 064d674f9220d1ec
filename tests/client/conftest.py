"""Fixtures of the client's tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from tests.client.fakes import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Run a server that answers as it is told."""
    with FakeServer() as fake:
        yield fake


@pytest.fixture
def nowhere() -> Iterator[str]:
    """Name a port of this machine where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield "{}:{}".format(*bound.getsockname())


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[None]:
    """Fail a test whose event loop is blocked by the client's code."""
    modules = ["ingestion_server.client.aio", "ingestion_server.client.vendors_aio"]
    with blockbuster_ctx(modules):
        yield
