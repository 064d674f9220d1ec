"""The database of the jobs: one server's, and of a version that is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final, Protocol, TypeVar, final

from sqlalchemy import insert, inspect, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.store.job_tables import STORE, TABLES, VERSION

T = TypeVar("T")
POOL_SECONDS: Final = 10.0
"""How long to wait for a connection that others use."""
_Failure: Final = (SQLAlchemyError, OSError, OverflowError)
"""What a database may raise; that its numbers have 64 bits is its business, too."""


class Place(Protocol):
    """Be where a database is."""

    name: str
    """As people know it; without a secret."""

    def opened(self) -> AbstractAsyncContextManager[AsyncEngine]:
        """
        Have it for oneself until the block ends.

        Raises:
            StateUnavailableError: Another server has it, or it cannot be used.

        """
        ...

    async def check(self) -> None:
        """Raise ``StateUnavailableError`` if it is not ours any more."""
        ...

    def told(self, error: Exception) -> str:
        """Say in words what is wrong, and what to do; never a secret."""
        ...


@contextmanager
def in_words(place: Place) -> Iterator[None]:
    """
    Tell what is wrong with a database.

    Raises:
        IntegrityError: Something is there already that can only be there once.
        StateUnavailableError: Whatever else it says.

    """
    try:
        yield
    except IntegrityError:
        raise
    except PoolTimeoutError as error:
        raise StateUnavailableError(
            f"{place.name} is too slow: nothing came of what others want of it within "
            f"{POOL_SECONDS:g} s"
        ) from error
    except _Failure as error:
        raise StateUnavailableError(place.told(error)) from error


@final
class Database:
    """Do what is to be done in transactions."""

    def __init__(self, place: Place, engine: AsyncEngine) -> None:
        self._place = place
        self._engine = engine
        self._working: set[asyncio.Task[Any]] = set()
        self._abandoned: set[asyncio.Task[Any]] = set()

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        """
        Do some work to its end, though whoever wants it may leave.

        A transaction that is cut off leaves its connection to be collected some time,
        and SQLite locked until then.
        """
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                self._abandoned.add(task)
            raise

    async def settled(self) -> None:
        """Wait for the work of those who have left, whose effects are still to come."""
        await asyncio.gather(*self._abandoned, return_exceptions=True)

    async def quiet(self) -> None:
        """Wait for work that nobody waits for any more."""
        await asyncio.gather(*self._working, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        self._abandoned.discard(task)
        if not task.cancelled():
            # Whoever wanted it may have left, and is not told.
            task.exception()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """
        Do all of it or nothing.

        Raises:
            IntegrityError: Something is there already that can only be there once.
            StateUnavailableError: It cannot be done now.

        """
        with in_words(self._place):
            async with self._engine.begin() as connection:
                await self._place.check()
                yield connection


@asynccontextmanager
async def opened_database(place: Place, *, realm: str) -> AsyncIterator[Database]:
    """
    Have a database for oneself until the block ends; its tables are made if need be.

    Raises:
        StateUnavailableError: It cannot be used, and what to do about that.

    """
    async with place.opened() as engine:
        database = Database(place, engine)
        async with database.transaction() as connection:
            await _prepare(connection, place.name, realm)
        try:
            yield database
        finally:
            await database.quiet()


async def _prepare(connection: AsyncConnection, name: str, realm: str) -> None:
    there = await connection.run_sync(lambda each: inspect(each).has_table(STORE.name))
    if not there:
        await connection.run_sync(TABLES.create_all)
        row = {"version": VERSION, "realm": realm}
        await connection.execute(insert(STORE), row)
        return
    # Before anything else is read, which may be called otherwise in another version.
    version = (await connection.execute(select(STORE.c.version))).scalar_one()
    if version > VERSION:
        raise StateUnavailableError(
            f"the jobs in {name} were written by a newer version of this server "
            f"(their tables are of version {version}, not {VERSION}); use that one, or "
            "another place (--state DIR, store.url)"
        )
    known = (await connection.execute(select(STORE.c.realm))).scalar_one()
    if known != realm:
        raise StateUnavailableError(
            f"the jobs in {name} are for {_vendors(known)}, and would now be run with "
            f"{_vendors(realm)}; choose another place (--state DIR, store.url)"
        )


def _vendors(realm: str) -> str:
    return f"{realm or 'real'} vendors"
