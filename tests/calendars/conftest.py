"""Fixtures of the calendars' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from tests.calendars.fakes import FakePython, Hands


@pytest.fixture
def python(tmp_path: Path) -> FakePython:
    """Make an interpreter that fails until it is told otherwise."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return FakePython(folder)


@pytest.fixture
def hands() -> Hands:
    """Stop the clocks at 2025-01-10."""
    return Hands()


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[None]:
    """Fail a test whose event loop is blocked by the server's code."""
    with blockbuster_ctx("ingestion_server"):
        yield
