"""What reports are made of, in an embedded database or in a PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, final

from sqlalchemy import Row, delete, func, insert, inspect, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import override

from ingestion_server.domain.errors import StateUnavailableError
from ingestion_server.domain.service_counts import (
    HOUR_MINUTES,
    MINUTE_NS,
    Stretch,
    hour_of,
)
from ingestion_server.domain.service_packing import packed, unpacked
from ingestion_server.ports.reporting import (
    CountedStretch,
    KeptCounts,
    ReportStore,
    Stint,
)
from ingestion_server.store.database import Database
from ingestion_server.store.report_places import ReportFile, ReportServer
from ingestion_server.store.report_tables import (
    STINT,
    STORE,
    STRETCH,
    TABLES,
    VERSION,
)

FILE_NAME: Final = "reports.sqlite"
MINUTES_DAYS: Final = 2
"""How long minutes are kept, and stints whose pause is shorter than a minute."""
_DAY_MINUTES: Final = 24 * 60
_MOST_HOURS: Final = 240
"""Made at a time; who has more to make goes on an hour later."""
_MOST_STINTS: Final = 1_000
_AT_ONCE: Final = 200
"""Rows that one statement names; databases bound their parameters."""
_CLOSING_SECONDS: Final = 1.0
_Cells = Row[*tuple[Any, ...]]


class _OvertakenError(Exception):
    """Take back what another server has done already."""


@asynccontextmanager
async def opened_reports(where: Path | str) -> AsyncIterator[ReportStore]:
    """
    Have counts kept in a file, or in a PostgreSQL, until the block ends.

    Neither is looked at before there is something to keep or to read.

    Raises:
        StateUnavailableError: The URL is none, or its driver is not installed.

    """
    place = ReportFile(where) if isinstance(where, Path) else ReportServer(where)
    async with place.opened() as engine:
        database = Database(place, engine)
        try:
            yield SqlReportStore(database, place)
        finally:
            # A database that hangs must not keep a server from stopping.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_SECONDS):
                    await database.quiet()


@final
class SqlReportStore(ReportStore):
    """
    Keep counts in tables.

    What a server writes has its stint's name, so that it may be written again: it is
    then put in the place of what was there.
    """

    def __init__(self, database: Database, place: ReportFile | ReportServer) -> None:
        self._database = database
        self._place = place

    @override
    async def keep(
        self, stints: Sequence[Stint], counted: Sequence[CountedStretch]
    ) -> None:
        """Keep these, in place of what was kept of the same."""
        await self._database.whole(self._keep(stints, counted))

    @override
    async def read(self, start_minute: int, end_minute: int) -> KeptCounts:
        """Return what overlaps ``[start, end)``, and stints an hour beyond."""
        return await self._database.whole(self._read(start_minute, end_minute))

    @override
    async def tidy(self, now_ns: int, retention_days: int) -> None:
        """Forget what is too old, and make hours of minutes of two days ago."""
        # Whoever was quicker does the rest as well.
        with suppress(_OvertakenError):
            await self._database.whole(self._tidy(now_ns, retention_days))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        await self._place.ready()
        try:
            async with self._database.transaction() as connection:
                await _prepare(connection, self._place.name)
                yield connection
        except IntegrityError as error:
            raise StateUnavailableError(
                f"another server writes the same into {self._place.name}"
            ) from error

    async def _keep(
        self, stints: Sequence[Stint], counted: Sequence[CountedStretch]
    ) -> None:
        async with self._transaction() as connection:
            await _replace_stints(connection, stints)
            for first in range(0, len(counted), _AT_ONCE):
                some = counted[first : first + _AT_ONCE]
                await _forget(connection, [_key(each) for each in some])
                await connection.execute(insert(STRETCH), [_cells(one) for one in some])

    async def _read(self, start_minute: int, end_minute: int) -> KeptCounts:
        margin = HOUR_MINUTES
        stretches = select(STRETCH).where(
            STRETCH.c.start_minute > start_minute - margin,
            STRETCH.c.start_minute < end_minute,
            STRETCH.c.start_minute + STRETCH.c.minutes > start_minute,
        )
        stints = select(STINT).where(
            STINT.c.until_ns >= (start_minute - margin) * MINUTE_NS,
            STINT.c.started_ns <= (end_minute + margin) * MINUTE_NS,
        )
        async with self._transaction() as connection:
            counted: list[CountedStretch] = []
            # By and by: a long stretch would hold up the loop, and with it all callers.
            async with connection.stream(stretches) as found:
                async for rows in found.partitions(_AT_ONCE):
                    counted += map(_counted, rows)
            ran = (await connection.execute(stints)).all()
            oldest = await connection.execute(select(func.min(STINT.c.started_ns)))
            since_ns = oldest.scalar_one()
        return KeptCounts(counted, [_stint(row) for row in ran], since_ns)

    async def _tidy(self, now_ns: int, retention_days: int) -> None:
        now = now_ns // MINUTE_NS
        oldest = _hour(now - retention_days * _DAY_MINUTES)
        async with self._transaction() as connection:
            await connection.execute(
                delete(STRETCH).where(STRETCH.c.start_minute < oldest)
            )
            await connection.execute(
                delete(STINT).where(STINT.c.until_ns < oldest * MINUTE_NS)
            )
        horizon = _hour(now - MINUTES_DAYS * _DAY_MINUTES)
        next_minute = oldest
        for _ in range(_MOST_HOURS):
            async with self._transaction() as connection:
                found = await _first_minute(connection, next_minute, horizon)
                if found is None:
                    break
                await _make_hour(connection, _hour(found))
                next_minute = _hour(found) + HOUR_MINUTES
        async with self._transaction() as connection:
            await _join_stints(connection, horizon * MINUTE_NS)


async def _prepare(connection: AsyncConnection, name: str) -> None:
    """Make the tables if need be: a file may be taken away at any time."""
    there = await connection.run_sync(lambda each: inspect(each).has_table(STORE.name))
    if not there:
        await connection.run_sync(TABLES.create_all)
        await connection.execute(insert(STORE), {"version": VERSION})
        return
    version = (await connection.execute(select(STORE.c.version))).scalar_one()
    if version > VERSION:
        raise StateUnavailableError(
            f"the counts in {name} were written by a newer version of this server "
            f"(their tables are of version {version}, not {VERSION})"
        )


async def _replace_stints(connection: AsyncConnection, stints: Sequence[Stint]) -> None:
    for first in range(0, len(stints), _AT_ONCE):
        some = stints[first : first + _AT_ONCE]
        names = [each.name for each in some]
        await connection.execute(delete(STINT).where(STINT.c.stint.in_(names)))
        await connection.execute(
            insert(STINT),
            [
                {
                    "stint": each.name,
                    "started_ns": each.started_ns,
                    "until_ns": each.until_ns,
                }
                for each in some
            ],
        )


async def _first_minute(
    connection: AsyncConnection, since: int, horizon: int
) -> int | None:
    """Return the first minute that is to become part of an hour."""
    found = await connection.execute(
        select(func.min(STRETCH.c.start_minute)).where(
            STRETCH.c.minutes == 1,
            STRETCH.c.start_minute >= since,
            STRETCH.c.start_minute < horizon,
        )
    )
    minute: int | None = found.scalar_one()
    return minute


async def _make_hour(connection: AsyncConnection, hour: int) -> None:
    """Put one row in the place of all of an hour, whichever servers they are of."""
    found = await connection.execute(
        select(STRETCH).where(
            STRETCH.c.start_minute >= hour, STRETCH.c.start_minute < hour + HOUR_MINUTES
        )
    )
    rows = [_counted(row) for row in found]
    whole = await asyncio.to_thread(_whole_hour, hour, rows)
    if whole is None:
        return
    gone = 0
    for first in range(0, len(rows), _AT_ONCE):
        some = [_key(each) for each in rows[first : first + _AT_ONCE]]
        gone += await _forget(connection, some)
    if gone != len(rows):
        # It must not count twice.
        raise _OvertakenError
    await connection.execute(insert(STRETCH), _cells(whole))


def _whole_hour(hour: int, rows: Sequence[CountedStretch]) -> CountedStretch | None:
    stretches = []
    for row in rows:
        facts = unpacked(row.packed)
        if facts is None:
            # It is told of in reports until it is too old.
            return None
        stretches.append(Stretch(row.start_minute, row.minutes, facts))
    return CountedStretch(
        hour, HOUR_MINUTES, "", packed(hour_of(hour, stretches).facts)
    )


async def _join_stints(connection: AsyncConnection, until_ns: int) -> None:
    """Forget pauses of less than a minute, so that many restarts are few rows."""
    found = await connection.execute(
        select(STINT)
        .where(STINT.c.until_ns < until_ns)
        # Those before were joined an hour ago.
        .order_by(STINT.c.started_ns.desc())
        .limit(_MOST_STINTS)
    )
    stints = [_stint(row) for row in found][::-1]
    joined: list[Stint] = []
    for each in stints:
        last = joined[-1] if joined else None
        if last is not None and each.started_ns - last.until_ns < MINUTE_NS:
            until = max(last.until_ns, each.until_ns)
            joined[-1] = Stint(last.name, last.started_ns, until)
        else:
            joined.append(each)
    if len(joined) == len(stints):
        return
    gone = await connection.execute(
        delete(STINT).where(STINT.c.stint.in_([each.name for each in stints]))
    )
    if gone.rowcount != len(stints):
        raise _OvertakenError
    await _replace_stints(connection, joined)


async def _forget(
    connection: AsyncConnection, keys: Sequence[tuple[int, int, str]]
) -> int:
    gone = await connection.execute(
        delete(STRETCH).where(
            tuple_(STRETCH.c.start_minute, STRETCH.c.minutes, STRETCH.c.stint).in_(keys)
        )
    )
    return gone.rowcount


def _key(counted: CountedStretch) -> tuple[int, int, str]:
    return counted.start_minute, counted.minutes, counted.stint


def _cells(counted: CountedStretch) -> dict[str, object]:
    return {
        "start_minute": counted.start_minute,
        "minutes": counted.minutes,
        "stint": counted.stint,
        "counted": counted.packed,
    }


def _counted(row: _Cells) -> CountedStretch:
    return CountedStretch(*row)


def _stint(row: _Cells) -> Stint:
    return Stint(*row)


def _hour(minute: int) -> int:
    return minute - minute % HOUR_MINUTES
