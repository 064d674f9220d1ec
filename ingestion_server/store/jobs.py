"""Jobs and their units, in an embedded database or in a PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, final

import msgspec
from sqlalchemy import (
    ColumnElement,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from typing_extensions import override

from ingestion_server.domain.jobs import (
    Job,
    JobState,
    JobTally,
    Unit,
    UnitCounts,
    UnitState,
)
from ingestion_server.ports.jobs import Cursor, JobStore
from ingestion_server.store.database import Database, opened_database
from ingestion_server.store.job_changes import (
    WITH_BARS,
    acknowledged_by,
    keep_run,
    latest_sums,
    locked,
    move_units,
    named,
    run_counts,
    run_sums,
    save_job,
    sum_up,
    tallied,
)
from ingestion_server.store.job_tables import (
    CONSUMER,
    JOB,
    RUN,
    UNIT,
    changed_unit,
    counts_of,
    exchanged,
    job_of,
    new_job,
    unit_of,
    words,
)
from ingestion_server.store.job_turns import due, hastening, landed, latest, taking
from ingestion_server.store.postgres_place import PostgresPlace
from ingestion_server.store.sqlite_place import SqlitePlace

P = ParamSpec("P")
T = TypeVar("T")
FILE_NAME: Final = "jobs.sqlite"
_UNIT_AND_RUN: Final = select(UNIT, RUN).join_from(
    UNIT, RUN, (RUN.c.job_id == UNIT.c.job_id) & (RUN.c.run == UNIT.c.run)
)


@asynccontextmanager
async def opened(where: Path | str, *, realm: str = "") -> AsyncIterator[JobStore]:
    """
    Open the jobs of this server, which has them for itself until the block ends.

    Args:
        where: a file, which is made if need be, or the URL of a PostgreSQL, as
            ``postgresql+asyncpg://user:password@host/database``.
        realm: whose vendors they are for: jobs for simulated ones are never run with
            others; empty = the world.

    Raises:
        StateUnavailableError: They cannot be used, and what to do about that.

    """
    place = SqlitePlace(where) if isinstance(where, Path) else PostgresPlace(where)
    async with opened_database(place, realm=realm) as database:
        yield SqlJobStore(database)


def _whole(
    method: Callable[Concatenate[SqlJobStore, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SqlJobStore, P], Coroutine[Any, Any, T]]:
    """Have a method done to its end, though whoever calls it may leave."""

    @wraps(method)
    async def done(self: SqlJobStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.database.whole(method(self, *args, **kwargs))

    return done


@final
class SqlJobStore(JobStore):
    """
    Keep jobs in tables.

    Who changes anything of a job locks its row first, so that changes of one job come
    one after the other, whichever the database is.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    @override
    @_whole
    async def create(self, job: Job, units: Sequence[Unit]) -> Job:
        """Keep a new job, unless its client key or its id is there."""
        try:
            async with self.database.transaction() as connection:
                await connection.execute(insert(JOB), new_job(job))
                await keep_run(connection, job, units)
        except IntegrityError:
            # Another request with the key, or this one, whose answer was lost.
            same = JOB.c.job_id == job.job_id
            if job.client_key:
                same |= JOB.c.client_key == words(job.client_key)
            async with self.database.transaction() as connection:
                found = await connection.execute(select(JOB).where(same))
                return job_of(found.one())
        return job

    @override
    @_whole
    async def job(self, job_id: str) -> Job | None:
        """Return a job, if there is one."""
        return await self._job(JOB.c.job_id == words(job_id))

    @override
    @_whole
    async def by_client_key(self, client_key: str) -> Job | None:
        """Return the job with a client key that is not empty, if there is one."""
        return await self._job(JOB.c.client_key == words(client_key))

    @override
    @_whole
    async def jobs(
        self,
        states: Collection[JobState],
        name_prefix: str,
        *,
        before: tuple[int, str] | None,
        limit: int,
        with_symbols: bool = True,
    ) -> Sequence[Job]:
        """Return jobs, the latest first; no states = all."""
        query = latest(before, limit=limit, with_symbols=with_symbols)
        if states:
            query = query.where(JOB.c.state.in_(named(states)))
        if name_prefix:
            prefix = words(name_prefix)
            # Unlike LIKE, this tells capitals from others in both databases.
            query = query.where(func.substr(JOB.c.name, 1, len(prefix)) == prefix)
        async with self.database.transaction() as connection:
            rows = await connection.execute(query)
        return [job_of(row) for row in rows]

    @override
    @_whole
    async def save(self, job: Job) -> None:
        """Keep a job instead of what was kept of it; its spec does not change."""
        async with self.database.transaction() as connection:
            await save_job(connection, job)

    @override
    @_whole
    async def begin_run(self, job: Job, units: Sequence[Unit]) -> None:
        """Keep a job that begins another run, unless that has begun already."""
        async with self.database.transaction() as connection:
            if await locked(connection, job.job_id) is None:
                return
            # This may have been done once, and the answer lost.
            if await run_counts(connection, job.job_id, job.run) is None:
                await save_job(connection, job)
                await keep_run(connection, job, units)

    @override
    @_whole
    async def last_number(self, job_id: str) -> int:
        """Return the highest number of its units, of any run; 0 = it has none."""
        query = select(func.max(UNIT.c.number)).where(UNIT.c.job_id == words(job_id))
        async with self.database.transaction() as connection:
            return (await connection.execute(query)).scalar_one() or 0

    @override
    @_whole
    async def units(
        self,
        job_id: str,
        run: int,
        states: Collection[UnitState],
        *,
        after: int,
        limit: int,
    ) -> Sequence[Unit]:
        """Return units of a run in some states with numbers after one, by number."""
        query = (
            select(UNIT)
            .where(
                UNIT.c.job_id == words(job_id),
                UNIT.c.run == run,
                UNIT.c.state.in_(named(states)),
                UNIT.c.number > after,
            )
            .order_by(UNIT.c.number)
            .limit(limit)
        )
        async with self.database.transaction() as connection:
            rows = await connection.execute(query)
        return [unit_of(row) for row in rows]

    @override
    @_whole
    async def take(
        self, job_id: str, run: int, *, now_ns: int, limit: int
    ) -> Sequence[Unit]:
        """Mark pending units that may be tried now as RUNNING, and return them."""
        query = taking(job_id, run, now_ns=now_ns, limit=limit).returning(UNIT)
        async with self.database.transaction() as connection:
            await locked(connection, job_id)
            counts = await run_counts(connection, job_id, run)
            if counts is None or not counts.pending:
                return []
            units = [unit_of(row) for row in await connection.execute(query)]
            if units:
                changed = msgspec.structs.replace(
                    counts,
                    pending=counts.pending - len(units),
                    running=counts.running + len(units),
                )
                await sum_up(connection, job_id, run, changed)
        return sorted(units, key=lambda unit: unit.number)

    @override
    @_whole
    async def keep_unit(self, unit: Unit) -> Unit:
        """
        Keep a unit instead of what was kept of it.

        One that was deleted meanwhile is returned as it is, and not kept.
        """
        here = (UNIT.c.job_id == unit.job_id, UNIT.c.number == unit.number)
        step = 1 if unit.state in WITH_BARS else 0
        async with self.database.transaction() as connection:
            landing = await locked(connection, unit.job_id, landings=step)
            row = (await connection.execute(_UNIT_AND_RUN.where(*here))).one_or_none()
            if landing is None or row is None:
                return unit
            old = unit_of(row)
            if not step:
                # What has landed of it before is still to be told.
                landing = old.landing
            await connection.execute(
                update(UNIT).where(*here).values(**changed_unit(unit), landing=landing)
            )
            counts = exchanged(counts_of(row), old, unit)
            await sum_up(connection, unit.job_id, old.run, counts)
        return msgspec.structs.replace(unit, landing=landing)

    @override
    @_whole
    async def release(self, job_id: str, *, to: UnitState) -> None:
        """Let units be in another state that are RUNNING; to CANCELLED, PENDING too."""
        states = {UnitState.RUNNING}
        if to is UnitState.CANCELLED:
            states.add(UnitState.PENDING)
        # Whoever was made to leave may be taking units at this moment.
        await self.database.settled()
        async with self.database.transaction() as connection:
            await locked(connection, job_id)
            some = or_(*(RUN.c[each.value] > 0 for each in states))
            rows = await connection.execute(
                select(RUN).where(RUN.c.job_id == job_id, some)
            )
            for row in rows:
                counts = counts_of(row)
                await move_units(connection, job_id, row.run, counts, states, to)

    @override
    @_whole
    async def retry(self, job_id: str, run: int) -> int:
        """
        Let units of a run that are FAILED or PARTIAL be PENDING; return how many.

        They are tried as often as if they were new.
        """
        states = {UnitState.FAILED, UnitState.PARTIAL}
        async with self.database.transaction() as connection:
            await locked(connection, job_id)
            counts = await run_counts(connection, job_id, run)
            if counts is None:
                return 0
            return await move_units(
                connection, job_id, run, counts, states, UnitState.PENDING, attempts=0
            )

    @override
    @_whole
    async def hasten(self, job_id: str, run: int, *, now_ns: int) -> None:
        """Let pending units of a run be tried now that were to be tried later."""
        async with self.database.transaction() as connection:
            await locked(connection, job_id)
            await connection.execute(hastening(job_id, run, now_ns=now_ns))

    @override
    @_whole
    async def first_due(self, job_id: str, run: int) -> Unit | None:
        """Return the pending unit of a run that may be tried first, if there is one."""
        query = select(UNIT).where(UNIT.c.number.in_(due(job_id, run, limit=1)))
        async with self.database.transaction() as connection:
            rows = await connection.execute(query.where(UNIT.c.job_id == job_id))
        return next((unit_of(row) for row in rows), None)

    @override
    @_whole
    async def counts(self, job_id: str, run: int) -> UnitCounts:
        """Sum up the units of a run."""
        async with self.database.transaction() as connection:
            return await run_sums(connection, words(job_id), run)

    @override
    @_whole
    async def counts_of(self, jobs: Sequence[Job]) -> Sequence[UnitCounts]:
        """Sum up the units of the latest run of each, in one go."""
        async with self.database.transaction() as connection:
            return await latest_sums(connection, jobs)

    @override
    @_whole
    async def tally(self) -> JobTally:
        """Count all jobs, and sum up the units of their latest runs."""
        async with self.database.transaction() as connection:
            return await tallied(connection)

    @override
    @_whole
    async def landings(self, job_id: str, *, after: int, limit: int) -> Sequence[Unit]:
        """Return units that have landed, of all runs, by their landing."""
        query = landed(job_id, after=after, limit=limit)
        async with self.database.transaction() as connection:
            rows = await connection.execute(query)
        return [unit_of(row) for row in rows]

    @override
    @_whole
    async def acknowledge(self, job_id: str, consumer: str, at: Cursor) -> None:
        """Keep how far a consumer has come; never backwards."""
        place = {"job_id": words(job_id), "consumer": words(consumer)}
        async with self.database.transaction() as connection:
            if await locked(connection, place["job_id"]) is None:
                return
            known = await acknowledged_by(connection, place)
            if known is None:
                await connection.execute(insert(CONSUMER), {**place, **at._asdict()})
            elif known < at:
                await connection.execute(
                    update(CONSUMER).filter_by(**place).values(**at._asdict())
                )

    @override
    @_whole
    async def acknowledged(self, job_id: str, consumer: str) -> Cursor:
        """Return how far a consumer has come."""
        place = {"job_id": words(job_id), "consumer": words(consumer)}
        async with self.database.transaction() as connection:
            return await acknowledged_by(connection, place) or Cursor()

    @override
    @_whole
    async def delete(self, job_id: str) -> None:
        """Forget a job, its units, and how far its consumers have come."""
        async with self.database.transaction() as connection:
            await locked(connection, words(job_id))
            for table in (CONSUMER, UNIT, RUN, JOB):
                await connection.execute(
                    delete(table).where(table.c.job_id == words(job_id))
                )

    async def _job(self, which: ColumnElement[bool]) -> Job | None:
        async with self.database.transaction() as connection:
            row = (await connection.execute(select(JOB).where(which))).one_or_none()
        return None if row is None else job_of(row)
