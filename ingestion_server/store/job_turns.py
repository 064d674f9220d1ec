"""Which unit of a job is tried next."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, Update, select, update

from ingestion_server.domain.jobs import UnitState
from ingestion_server.store.job_tables import UNIT


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
