"""In which order jobs and their units are told, and which unit is tried next."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    Update,
    literal_column,
    select,
    tuple_,
    update,
)

from ingestion_server.domain.jobs import UnitState
from ingestion_server.store.job_tables import JOB, UNIT, words

_BRIEF: Final = [column for column in JOB.c if column is not JOB.c.symbols]


def latest(
    before: tuple[int, str] | None, *, limit: int, with_symbols: bool
) -> Select[Any]:
    """Select so many jobs, the latest first, from before a creation time and id."""
    query = (
        select(*(JOB.c if with_symbols else _BRIEF))
        .order_by(JOB.c.created_ns.desc(), JOB.c.job_id.desc())
        .limit(limit)
    )
    if before is None:
        return query
    created_ns, job_id = before
    place = tuple_(JOB.c.created_ns, JOB.c.job_id)
    return query.where(place < (created_ns, words(job_id)))


def landed(job_id: str, *, after: int, limit: int) -> Select[Any]:
    """Select so many units of a job that have landed, by their landing."""
    return (
        select(UNIT)
        .where(
            UNIT.c.job_id == words(job_id),
            # The index holds only these, and is used only if that is said.
            UNIT.c.landing > literal_column("0"),
            UNIT.c.landing > after,
        )
        .order_by(UNIT.c.landing)
        .limit(limit)
    )


def due(job_id: str, run: int, *, limit: int) -> Select[tuple[int]]:
    """Select the numbers of so many pending units, by when they may be tried."""
    return (
        select(UNIT.c.number)
        .where(*_pending(job_id, run))
        .order_by(UNIT.c.retry_at_ns, UNIT.c.number)
        .limit(limit)
    )


def taking(job_id: str, run: int, *, now_ns: int, limit: int) -> Update:
    """Let so many units be RUNNING that may be tried now."""
    now_due = due(job_id, run, limit=limit).where(UNIT.c.retry_at_ns <= now_ns)
    return (
        update(UNIT)
        .where(UNIT.c.job_id == job_id, UNIT.c.number.in_(now_due))
        .values(state=UnitState.RUNNING.value, retry_at_ns=0)
    )


def hastening(job_id: str, run: int, *, now_ns: int) -> Update:
    """Let units be tried now that were to be tried later."""
    return (
        update(UNIT)
        .where(*_pending(job_id, run), UNIT.c.retry_at_ns > now_ns)
        .values(retry_at_ns=now_ns)
    )


def _pending(job_id: str, run: int) -> tuple[ColumnElement[bool], ...]:
    return (
        UNIT.c.job_id == job_id,
        UNIT.c.run == run,
        UNIT.c.state == UnitState.PENDING.value,
    )
