"""What is done to jobs within transactions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestion_server.domain.jobs import (
    Job,
    JobState,
    JobTally,
    Unit,
    UnitCounts,
    UnitState,
)
from ingestion_server.ports.jobs import Cursor
from ingestion_server.store.job_tables import (
    CONSUMER,
    JOB,
    RUN,
    UNIT,
    changed_job,
    changed_run,
    counted,
    counts_of,
    moved,
    new_unit,
)

WITH_BARS: Final = frozenset({UnitState.LANDED, UnitState.PARTIAL})
"""What is told to those who read results."""
_SUMS: Final = select(
    RUN,
    select(func.min(UNIT.c.retry_at_ns))
    .where(
        UNIT.c.job_id == RUN.c.job_id,
        UNIT.c.run == RUN.c.run,
        UNIT.c.state == UnitState.PENDING.value,
    )
    .scalar_subquery()
    .label("retry_at_ns"),
)
_AT_ONCE: Final = 500
"""Rows that are written in one go: nobody else is served while they are made."""


def named(states: Collection[JobState] | Collection[UnitState]) -> list[str]:
    """Return what states are called in a row."""
    return [str(each) for each in states]


async def locked(
    connection: AsyncConnection, job_id: str, *, landings: int = 0
) -> int | None:
    """
    Let nobody else change a job; return its landings, or None if it is gone.

    Args:
        connection: with a transaction.
        job_id: of the job.
        landings: how many there are more from now on.

    """
    # SQLite, which knows no such lock, has locked all there is.
    query = (
        update(JOB)
        .where(JOB.c.job_id == job_id)
        .values(landings=JOB.c.landings + landings)
        .returning(JOB.c.landings)
        if landings
        else select(JOB.c.landings).where(JOB.c.job_id == job_id).with_for_update()
    )
    return (await connection.execute(query)).scalar_one_or_none()


async def save_job(connection: AsyncConnection, job: Job) -> None:
    """Keep a job instead of what was kept of it."""
    await connection.execute(
        update(JOB).where(JOB.c.job_id == job.job_id).values(**changed_job(job))
    )


async def keep_run(
    connection: AsyncConnection, job: Job, units: Sequence[Unit]
) -> None:
    """Keep the units of a run, and their sum; what has landed is given its place."""
    place = {"job_id": job.job_id, "run": job.run}
    await connection.execute(insert(RUN), {**place, **changed_run(counted(units))})
    landed = sum(unit.state in WITH_BARS for unit in units)
    last = await locked(connection, job.job_id, landings=landed) if landed else 0
    landing = (last or 0) - landed
    for at in range(0, len(units), _AT_ONCE):
        rows = []
        for unit in units[at : at + _AT_ONCE]:
            if unit.state in WITH_BARS:
                landing += 1
                rows.append(new_unit(msgspec.structs.replace(unit, landing=landing)))
            else:
                rows.append(new_unit(unit))
        await connection.execute(insert(UNIT), rows)


async def run_counts(
    connection: AsyncConnection, job_id: str, run: int
) -> UnitCounts | None:
    """Return the sum of a run's units; None if there is no such run."""
    query = select(RUN).where(RUN.c.job_id == job_id, RUN.c.run == run)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else counts_of(row)


async def run_sums(connection: AsyncConnection, job_id: str, run: int) -> UnitCounts:
    """Return the sum of a run, with the earliest time at which a unit may be tried."""
    query = _SUMS.where(RUN.c.job_id == job_id, RUN.c.run == run)
    row = (await connection.execute(query)).one_or_none()
    return UnitCounts() if row is None else counts_of(row, row.retry_at_ns)


async def latest_sums(
    connection: AsyncConnection, jobs: Sequence[Job]
) -> Sequence[UnitCounts]:
    """Return the same of the run that each job was in when it was read."""
    latest = (JOB.c.job_id == RUN.c.job_id) & (JOB.c.run == RUN.c.run)
    names = [job.job_id for job in jobs]
    rows = await connection.execute(
        _SUMS.join_from(JOB, RUN, latest).where(JOB.c.job_id.in_(names))
    )
    found = {(row.job_id, row.run): counts_of(row, row.retry_at_ns) for row in rows}
    for place in ((job.job_id, job.run) for job in jobs):
        if place not in found:
            # Another run has begun meanwhile.
            found[place] = await run_sums(connection, *place)
    return [found[job.job_id, job.run] for job in jobs]


async def tallied(connection: AsyncConnection) -> JobTally:
    """Count all jobs, and sum up the units of their latest runs."""
    latest = (JOB.c.job_id == RUN.c.job_id) & (JOB.c.run == RUN.c.run)
    counting = select(JOB.c.state, func.count()).group_by(JOB.c.state)
    jobs = {JobState(state): n for state, n in await connection.execute(counting)}
    sums = [func.coalesce(func.sum(RUN.c[each.value]), 0) for each in UnitState]
    units = (await connection.execute(select(*sums).join_from(JOB, RUN, latest))).one()
    return JobTally(jobs, dict(zip(UnitState, map(int, units), strict=True)))


async def sum_up(
    connection: AsyncConnection, job_id: str, run: int, counts: UnitCounts
) -> None:
    """Keep the sum of a run's units."""
    await connection.execute(
        update(RUN)
        .where(RUN.c.job_id == job_id, RUN.c.run == run)
        .values(**changed_run(counts))
    )


async def move_units(
    connection: AsyncConnection,
    job_id: str,
    run: int,
    counts: UnitCounts,
    states: Collection[UnitState],
    to: UnitState,
    **also: int,
) -> int:
    """Let all units of a run in some states be in another; return how many."""
    changed, units = moved(counts, states, to)
    if units:
        await connection.execute(
            update(UNIT)
            .where(
                UNIT.c.job_id == job_id,
                UNIT.c.run == run,
                UNIT.c.state.in_(named(states)),
            )
            .values(state=to.value, retry_at_ns=0, **also)
        )
        await sum_up(connection, job_id, run, changed)
    return units


async def acknowledged_by(
    connection: AsyncConnection, place: Mapping[str, str]
) -> Cursor | None:
    """Return how far a consumer has come; None if it has never said."""
    query = select(CONSUMER.c.landing, CONSUMER.c.part).filter_by(**place)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Cursor(row.landing, row.part)
