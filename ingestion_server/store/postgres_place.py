"""A PostgreSQL, which may serve others as well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final, Protocol, final

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from typing_extensions import override

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.store.database import POOL_SECONDS, Place, in_words

DRIVER: Final = "postgresql+asyncpg"
_CONNECTIONS: Final = 8
"""Open at a time; who wants another waits."""
_CONNECTING: Final = {
    "timeout": 5.0,
    "command_timeout": 30.0,
    "server_settings": {"application_name": "ingestion-server"},
}
"""Seconds to reach it, and to wait for an answer."""
PATIENCE_SECONDS: Final = 3
"""How long PostgreSQL may take to notice that a server which had the lock is gone."""
_NOT_AVAILABLE: Final = "55P03"
_LOCK: Final = 0x494E474553544A42
"""A number that nobody else is likely to lock in the same database."""
_SETTING: Final = "store.url (INGESTION_STORE__URL)"


class _Wire(Protocol):
    def is_closed(self) -> bool: ...


def pooled(
    url: str | URL, connections: int, connecting: Mapping[str, object]
) -> AsyncEngine:
    """
    Return what connects when it is needed, with so many connections at most.

    Raises:
        ModuleNotFoundError: The driver is not installed.
        TypeError, ValueError: The driver does not know what the url asks of it.

    """
    return create_async_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        # So that nobody notices that it was restarted.
        pool_pre_ping=True,
        connect_args=dict(connecting),
        hide_parameters=True,
    )


@final
class PostgresPlace(Place):
    """
    Keep the database in a PostgreSQL.

    A connection of its own holds an advisory lock. If that is cut off, PostgreSQL
    lets the lock go, and nothing is done before it is ours again.
    """

    def __init__(self, url: str) -> None:
        """
        Name it by its URL, such as ``postgresql+asyncpg://user:password@host/name``.

        Raises:
            StateUnavailableError: It is no such URL.

        """
        self._url = _parsed(url)
        host = self._url.host or self._url.query.get("host") or "localhost"
        self.name = f"PostgreSQL {host}:{self._url.port or 5432}/{self._url.database}"
        self._keeper: AsyncConnection | None = None
        self._wire: _Wire | None = None
        self._keeping = asyncio.Lock()

    @override
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[AsyncEngine]:
        """Connect to it, and lock it."""
        async with AsyncExitStack() as stack:
            with in_words(self):
                try:
                    engine = pooled(self._url, _CONNECTIONS, _CONNECTING)
                    stack.push_async_callback(engine.dispose)
                    stack.push_async_callback(self._let_go)
                    await self._lock()
                except ModuleNotFoundError as error:
                    raise StateUnavailableError(
                        f"{_SETTING} needs {error.name}, which is not installed: "
                        "pip install 'ingestion-server[postgres]'"
                    ) from error
                except (TypeError, ValueError) as error:
                    raise StateUnavailableError(
                        f"{_SETTING} says something of {self.name} that the driver "
                        f"does not know ({error}); TLS is asked for by ?ssl=require"
                    ) from error
            yield engine

    @override
    async def check(self) -> None:
        """Raise if the lock was lost and somebody else has it."""
        async with self._keeping:
            if self._wire is None or self._wire.is_closed():
                await self._let_go()
                await self._lock()

    @override
    def told(self, error: Exception) -> str:
        """Say what is wrong, and what to do."""
        cause = _cause(error)
        if isinstance(cause, OSError):
            why = cause.strerror or str(cause) or "no answer in time"
            return f"{self.name} cannot be reached: {why}; start it, or mend {_SETTING}"
        match getattr(cause, "sqlstate", None):
            case "28P01" | "28000":
                return f"{self.name} refuses the user or the password of {_SETTING}"
            case "3D000":
                return (
                    f"{self.name} is not there; create the database, or mend {_SETTING}"
                )
            case "42501":
                return (
                    f"{self.name} does not let the user of {_SETTING} do that: {cause}"
                )
            case "53100":
                return f"{self.name} cannot be written: its disk is full; make room"
            case _:
                return f"{self.name} cannot be used: {cause}"

    async def _lock(self) -> None:
        engine = create_async_engine(
            self._url,
            poolclass=NullPool,
            # No transaction, which would last as long as the server runs.
            isolation_level="AUTOCOMMIT",
            connect_args=_CONNECTING,
        )
        keeper = await engine.connect()
        try:
            await keeper.execute(
                text("select set_config('lock_timeout', :patience, false)"),
                {"patience": f"{PATIENCE_SECONDS}s"},
            )
            await keeper.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK})
            self._wire = (await keeper.get_raw_connection()).driver_connection
        except BaseException as error:
            await _ended(keeper)
            if getattr(_cause(error), "sqlstate", None) != _NOT_AVAILABLE:
                raise
            raise StateUnavailableError(
                f"another server has the jobs in {self.name}: two would do the same "
                f"work; stop it, or choose another database by {_SETTING}"
            ) from error
        self._keeper = keeper

    async def _let_go(self) -> None:
        keeper, self._keeper, self._wire = self._keeper, None, None
        if keeper is not None:
            await _ended(keeper)


async def _ended(connection: AsyncConnection) -> None:
    """Close a connection, and its lock with it, whatever has become of it."""
    with suppress(SQLAlchemyError, OSError):
        await connection.invalidate()
    with suppress(SQLAlchemyError, OSError):
        await connection.close()


def _parsed(url: str) -> URL:
    with suppress(ArgumentError, ValueError):
        parsed = make_url(url)
        if parsed.drivername == DRIVER:
            return parsed
    # Not told what it is: there may be a password in it.
    raise StateUnavailableError(
        f"{_SETTING} must be {DRIVER}://USER:PASSWORD@HOST:PORT/DATABASE"
    )


def _cause(error: BaseException) -> BaseException:
    """Return what the driver said, or the network, behind what was made of it."""
    found: BaseException = error
    while True:
        if isinstance(found, OSError):
            return found
        behind = getattr(found, "orig", None) or found.__cause__
        if behind is None:
            return found
        found = behind
