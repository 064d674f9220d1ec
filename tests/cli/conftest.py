"""Fixtures of the command line's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from ingestion_server.cli.main import app
from tests.client.fakes import FakeServer

Run = Callable[..., Result]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Run a server that answers as it is told."""
    with FakeServer() as fake:
        yield fake


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process, in a terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")
    runner = CliRunner()

    def invoke(*arguments: str) -> Result:
        return runner.invoke(app, arguments)

    return invoke


@pytest.fixture
def fetch(run: Run, server: FakeServer) -> Run:
    """Run the command `fetch` against the server."""

    def invoke(*arguments: str) -> Result:
        return run("fetch", "AAPL", "--target", server.target, *arguments)

    return invoke
