"""Where counts for reports are: a file of their own, or the PostgreSQL of the jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, final

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from typing_extensions import override

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.store.database import Place, in_words
from ingestion_server.store.postgres_place import PostgresPlace, pooled
from ingestion_server.store.sqlite_place import (
    WAIT_SECONDS,
    cause_of,
    embedded,
    sqlite_code,
)

_CONNECTIONS: Final = 2
"""One writes, one reads."""
_CONNECTING: Final = {
    "timeout": 5.0,
    "command_timeout": 15.0,
    "server_settings": {"application_name": "ingestion-server reports"},
}
"""Seconds to reach it, and to wait for an answer."""


@final
class ReportFile(Place):
    """
    Keep counts in an SQLite file, which is opened anew each time.

    So whoever moves it away, or puts another in its place, disturbs nobody.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; it and its folder are made when there is something to keep."""
        self.name = str(path)
        self._path = path

    @override
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[AsyncEngine]:
        """Have it until the block ends; nothing is opened yet."""
        engine = embedded(
            create_async_engine(
                URL.create("sqlite+aiosqlite", database=self.name),
                poolclass=NullPool,
                connect_args={"timeout": WAIT_SECONDS},
                hide_parameters=True,
            )
        )
        try:
            yield engine
        finally:
            await engine.dispose()

    @override
    async def check(self) -> None:
        """Find nothing wrong: a file that was taken away is made anew."""

    @override
    def told(self, error: Exception) -> str:
        """Say what is wrong, and what to do."""
        code = sqlite_code(error)
        # "SQLITE_IOERR_WRITE" is a kind of "SQLITE_IOERR".
        match code.split("_")[1:2]:
            case ["FULL"]:
                return f"{self.name} cannot be written: the disk is full; make room"
            case ["NOTADB" | "CORRUPT"]:
                return (
                    f"{self.name} is not a database, or a damaged one; restore it from "
                    f"a backup, or move {self._path.name}* away: then reports begin now"
                )
            case ["BUSY" | "LOCKED"]:
                return (
                    f"{self.name} is used by another program, which has kept us "
                    f"waiting for {WAIT_SECONDS:g} s; close that"
                )
            case _:
                return f"{self.name} cannot be used: {cause_of(error)}"

    async def ready(self) -> None:
        """
        Make the folder.

        Raises:
            StateUnavailableError: It cannot be made.

        """
        with in_words(self):
            await asyncio.to_thread(
                self._path.parent.mkdir, parents=True, exist_ok=True
            )


@final
class ReportServer(Place):
    """
    Keep counts in a PostgreSQL, which several servers may share.

    There is no lock: what each counts is its own, and is added up by who reads.
    """

    def __init__(self, url: str) -> None:
        """
        Name it by its URL.

        Raises:
            StateUnavailableError: It is no such URL.

        """
        # It knows how to tell what is wrong with the same database.
        self._words = PostgresPlace(url)
        self.name = self._words.name
        self._url = url

    @override
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[AsyncEngine]:
        """Have it until the block ends; nothing is connected yet."""
        try:
            engine = pooled(self._url, _CONNECTIONS, _CONNECTING)
        except ModuleNotFoundError as error:
            raise StateUnavailableError(f"{error.name} is not installed") from error
        try:
            yield engine
        finally:
            await engine.dispose()

    @override
    async def check(self) -> None:
        """Find nothing wrong: what is shared is nobody's."""

    @override
    def told(self, error: Exception) -> str:
        """Say what is wrong, and what to do."""
        return self._words.told(error)

    async def ready(self) -> None:
        """Be there: a database is made by whoever runs it."""
