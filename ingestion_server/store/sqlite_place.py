"""An embedded database in a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, final

from sqlalchemy import URL, Connection, event, inspect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from typing_extensions import override

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.store.database import POOL_SECONDS, Place, in_words
from ingestion_server.store.job_tables import STORE

WAIT_SECONDS: Final = 5.0
"""How long to wait for a program of somebody else that writes."""
_LOG_BYTES: Final = 4 * 1024 * 1024
"""What SQLite's log shrinks to; it may be longer for a while."""
_ELSEWHERE: Final = "choose another folder with --state DIR (state.folder)"


@final
class SqlitePlace(Place):
    """
    Keep the database in a file.

    Its one connection does one thing after the other, as SQLite would among several,
    but in the order in which they were asked for. A commit waits for the disk: what
    is there after it survives ``kill -9`` and a power failure.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; it and its folder are made if need be."""
        self.name = str(path)
        self._path = path
        self._inode: tuple[int, int] | None = None

    @override
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[AsyncEngine]:
        """Lock it, as long as the process lives, and open it."""
        async with AsyncExitStack() as stack:
            with in_words(self):
                await asyncio.to_thread(
                    self._path.parent.mkdir, parents=True, exist_ok=True
                )
                await self._lock(stack)
                await self._look()
                engine = self._engine()
                stack.push_async_callback(engine.dispose)
                async with engine.connect():
                    # Makes the file, if there is none.
                    pass
                self._inode = await asyncio.to_thread(self._found)
            yield engine

    @override
    async def check(self) -> None:
        """Raise if the file was taken away: what it is told would be forgotten."""
        if await asyncio.to_thread(self._found) != self._inode:
            raise StateUnavailableError(
                f"{self._path} was deleted, moved or replaced while the server was "
                "running; put it back, or restart the server, which will then know "
                "only what is in its place"
            )

    @override
    def told(self, error: Exception) -> str:
        """Say what is wrong, and what to do."""
        # "SQLITE_IOERR_WRITE" is a kind of "SQLITE_IOERR".
        match sqlite_code(error).split("_")[1:2]:
            case ["FULL"]:
                return f"{self._path} cannot be written: the disk is full; make room"
            case ["NOTADB" | "CORRUPT"]:
                return (
                    f"{self._path} is not a database, or a damaged one; restore it "
                    f"from a backup, or move {self._path.name}* away: then no job is "
                    "known any more, but what has landed is, and is not asked again"
                )
            case ["BUSY" | "LOCKED"]:
                return (
                    f"{self._path} is used by another program, which has kept us "
                    f"waiting for {WAIT_SECONDS:g} s; close that"
                )
            case _:
                return (
                    f"cannot keep jobs in {self._path}: {cause_of(error)}; {_ELSEWHERE}"
                )

    async def _lock(self, stack: AsyncExitStack) -> None:
        path = self._path.with_name(f"{self._path.name}.lock")
        engine = create_async_engine(
            _url(path), poolclass=NullPool, connect_args={"timeout": 0.0}
        )
        lock = await stack.enter_async_context(engine.connect())
        try:
            # Nothing is ever written into it, so it needs no file to take that back.
            await lock.exec_driver_sql("pragma journal_mode = memory")
            await lock.exec_driver_sql("begin exclusive")
        except OperationalError as error:
            if sqlite_code(error) != "SQLITE_BUSY":
                raise
            raise StateUnavailableError(
                f"another server has the jobs in {self._path}: two would do the same "
                "work; stop it, or give this one a folder of its own with --state DIR "
                "(state.folder)"
            ) from error

    async def _look(self) -> None:
        """Look before anything is changed: it may belong to somebody else."""
        engine = create_async_engine(_url(self._path), poolclass=NullPool)
        async with engine.connect() as connection:
            names = await connection.run_sync(
                lambda each: inspect(each).get_table_names()
            )
        if names and STORE.name not in names:
            raise StateUnavailableError(
                f"{self._path} is a database of another program; move it away, or "
                f"{_ELSEWHERE}"
            )

    def _engine(self) -> AsyncEngine:
        return embedded(
            create_async_engine(
                _url(self._path),
                pool_size=1,
                max_overflow=0,
                pool_timeout=POOL_SECONDS,
                connect_args={"timeout": WAIT_SECONDS},
                hide_parameters=True,
            ),
            "pragma synchronous = full",
            f"pragma journal_size_limit = {_LOG_BYTES}",
        )

    def _found(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_dev, stat.st_ino


def embedded(engine: AsyncEngine, *pragmas: str) -> AsyncEngine:
    """
    Return the engine of a file, told how its connections and transactions begin.

    A transaction begins by taking the right to write, so that none fails half-way
    because another program took it.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: DBAPIConnection, _: object) -> None:
        # Python would begin transactions of its own, and not before tables.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("pragma journal_mode = wal", *pragmas):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql("begin immediate")

    return engine


def _url(path: Path) -> URL:
    return URL.create("sqlite+aiosqlite", database=str(path))


def sqlite_code(error: BaseException | None) -> str:
    """Return SQLite's name for what has happened; empty if it was not SQLite."""
    while error is not None:
        if name := getattr(error, "sqlite_errorname", ""):
            return str(name)
        error = getattr(error, "orig", None) or error.__cause__
    return ""


def cause_of(error: Exception) -> str:
    """Return what the system or the database says itself of a failure."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(getattr(error, "orig", None) or error)
