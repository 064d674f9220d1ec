"""The tables of the jobs, and what a row of them means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
)

from ingestion_server.domain.jobs import (
    Job,
    JobSpec,
    JobState,
    Unit,
    UnitCounts,
    UnitState,
)
from ingestion_server.domain.result import Missing

VERSION: Final = 1
"""
Of the tables.

Who changes them counts it up, and has ``database.py`` bring tables of the version
before up to it when they are opened.
"""
TABLES: Final = MetaData()
# In a PostgreSQL that others use as well, the names tell whose tables these are.
STORE: Final = Table(
    "ingestion_store",
    TABLES,
    Column("version", Integer, nullable=False),
    Column("realm", Text, nullable=False),
)
"""One row, by which everything else is understood."""
JOB: Final = Table(
    "ingestion_job",
    TABLES,
    Column("job_id", Text, primary_key=True),
    # Null if it has none: only those that are there are unique.
    Column("client_key", Text, unique=True),
    Column("name", Text, nullable=False),
    # Apart from the rest of the spec: there may be thousands.
    Column("symbols", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("run_started_ns", BigInteger, nullable=False),
    Column("run_ended_ns", BigInteger),
    Column("resumes_at_ns", BigInteger),
    Column("next_run_ns", BigInteger),
    # The highest place among its landings that was given away.
    Column("landings", BigInteger, nullable=False, default=0),
    Index("ingestion_job_latest", "created_ns", "job_id"),
)
RUN: Final = Table(
    "ingestion_run",
    TABLES,
    Column("job_id", Text, primary_key=True),
    Column("run", BigInteger, primary_key=True),
    # The units are summed up here, since counting thousands after each is no way. A
    # column is called what the state is.
    *(
        Column(str(each.value), BigInteger, nullable=False, default=0)
        for each in UnitState
    ),
    Column("bars", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("cost_usd", Text, nullable=False),
    sqlite_with_rowid=False,
)
UNIT: Final = Table(
    "ingestion_unit",
    TABLES,
    Column("job_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("run", BigInteger, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("last_reason", Text, nullable=False),
    # 0 = at once, so that these come first in both databases.
    Column("retry_at_ns", BigInteger, nullable=False),
    Column("bars", BigInteger, nullable=False),
    Column("providers", Text, nullable=False),
    Column("landed_at_ns", BigInteger),
    Column("already_landed", Boolean, nullable=False),
    Column("missing", Text, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("cost_usd", Text, nullable=False),
    Column("landing", BigInteger, nullable=False),
    Index("ingestion_unit_due", "job_id", "run", "state", "retry_at_ns", "number"),
    sqlite_with_rowid=False,
)
Index(
    "ingestion_unit_landing",
    UNIT.c.job_id,
    UNIT.c.landing,
    sqlite_where=UNIT.c.landing > 0,
    postgresql_where=UNIT.c.landing > 0,
)
CONSUMER: Final = Table(
    "ingestion_consumer",
    TABLES,
    Column("job_id", Text, primary_key=True),
    Column("consumer", Text, primary_key=True),
    Column("landing", BigInteger, nullable=False),
    Column("part", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How far each consumer has come."""

_Symbols = tuple[str, ...]
_Missing = tuple[Missing, ...]
Cells = Mapping[str, str | int | bool | None]
"""What is written into a row."""


def words(text: str) -> str:
    """Return a text without what no database takes: NUL, and halves of letters."""
    if text.isascii() and "\0" not in text:
        return text
    return (
        text.encode("utf-8", "replace")
        .decode()
        .replace("\0", "\N{REPLACEMENT CHARACTER}")
    )


def new_job(job: Job) -> Cells:
    """Return the row of a job that is new."""
    spec = msgspec.structs.replace(job.spec, symbols=())
    return {
        **changed_job(job),
        "job_id": job.job_id,
        "client_key": words(job.client_key) or None,
        "name": words(job.name),
        "symbols": _text(job.spec.symbols),
        "spec": _text(spec),
        "created_ns": job.created_ns,
    }


def changed_job(job: Job) -> Cells:
    """Return what of a job's row may change."""
    return {
        "state": str(job.state),
        "detail": words(job.detail),
        "updated_ns": job.updated_ns,
        "run": job.run,
        "run_started_ns": job.run_started_ns,
        "run_ended_ns": job.run_ended_ns,
        "resumes_at_ns": job.resumes_at_ns,
        "next_run_ns": job.next_run_ns,
    }


def job_of(row: Row[*tuple[object, ...]]) -> Job:
    """Return the job of a row; without its symbols if they were not read."""
    cells = row._mapping  # noqa: SLF001 - it is public, and named so against clashes
    spec = msgspec.json.decode(cells["spec"], type=JobSpec)
    if "symbols" in cells:
        symbols = msgspec.json.decode(cells["symbols"], type=_Symbols)
        spec = msgspec.structs.replace(spec, symbols=symbols)
    return Job(
        job_id=cells["job_id"],
        client_key=cells["client_key"] or "",
        name=cells["name"],
        spec=spec,
        state=JobState(cells["state"]),
        detail=cells["detail"],
        created_ns=cells["created_ns"],
        updated_ns=cells["updated_ns"],
        run=cells["run"],
        run_started_ns=cells["run_started_ns"],
        run_ended_ns=cells["run_ended_ns"],
        resumes_at_ns=cells["resumes_at_ns"],
        next_run_ns=cells["next_run_ns"],
    )


def new_unit(unit: Unit) -> Cells:
    """Return the row of a unit that is new."""
    return {
        **changed_unit(unit),
        "job_id": unit.job_id,
        "number": unit.number,
        "run": unit.run,
        "symbol": words(unit.symbol),
        "start_ns": unit.start_ns,
        "end_ns": unit.end_ns,
        "landing": unit.landing,
    }


def changed_unit(unit: Unit) -> Cells:
    """Return what of a unit's row may change, but for its place among the landings."""
    missing = tuple(
        msgspec.structs.replace(each, reason=words(each.reason))
        for each in unit.missing
    )
    return {
        # It grows where a split has changed all that came before.
        "start_ns": unit.start_ns,
        "state": str(unit.state),
        "attempts": unit.attempts,
        "last_reason": words(unit.last_reason),
        "retry_at_ns": unit.retry_at_ns or 0,
        "bars": unit.bars,
        "providers": _text(unit.providers),
        "landed_at_ns": unit.landed_at_ns,
        "already_landed": unit.already_landed,
        "missing": _text(missing),
        "calls": unit.calls,
        "cost_usd": str(unit.cost_usd),
    }


def unit_of(row: Row[*tuple[object, ...]]) -> Unit:
    """Return the unit of a row."""
    cells, columns = row._mapping, UNIT.c  # noqa: SLF001 - as above
    return Unit(
        job_id=cells[columns.job_id],
        number=cells[columns.number],
        run=cells[columns.run],
        symbol=cells[columns.symbol],
        start_ns=cells[columns.start_ns],
        end_ns=cells[columns.end_ns],
        state=UnitState(cells[columns.state]),
        attempts=cells[columns.attempts],
        last_reason=cells[columns.last_reason],
        retry_at_ns=cells[columns.retry_at_ns] or None,
        bars=cells[columns.bars],
        providers=msgspec.json.decode(cells[columns.providers], type=_Symbols),
        landed_at_ns=cells[columns.landed_at_ns],
        already_landed=cells[columns.already_landed],
        missing=msgspec.json.decode(cells[columns.missing], type=_Missing),
        calls=cells[columns.calls],
        cost_usd=Decimal(cells[columns.cost_usd]),
        landing=cells[columns.landing],
    )


def counts_of(
    row: Row[*tuple[object, ...]], retry_at_ns: int | None = None
) -> UnitCounts:
    """Return what the row of a run sums up."""
    cells, columns = row._mapping, RUN.c  # noqa: SLF001 - as above
    return UnitCounts(
        **{str(each.value): cells[columns[each.value]] for each in UnitState},
        bars=cells[columns.bars],
        calls=cells[columns.calls],
        cost_usd=Decimal(cells[columns.cost_usd]),
        retry_at_ns=retry_at_ns or None,
    )


def counted(units: Iterable[Unit]) -> UnitCounts:
    """Sum up units."""
    states = dict.fromkeys((str(each.value) for each in UnitState), 0)
    bars = calls = 0
    cost_usd = Decimal(0)
    for unit in units:
        states[unit.state.value] += 1
        bars += 0 if unit.already_landed else unit.bars
        calls += unit.calls
        cost_usd += unit.cost_usd
    return UnitCounts(**states, bars=bars, calls=calls, cost_usd=cost_usd)


def exchanged(counts: UnitCounts, old: Unit, new: Unit) -> UnitCounts:
    """Return the sum after a unit has taken the place of what it was."""
    less, more = counted([old]), counted([new])
    return UnitCounts(
        **{
            name: getattr(counts, name) - getattr(less, name) + getattr(more, name)
            for name in (*map(str, UnitState), "bars", "calls", "cost_usd")
        }
    )


def moved(
    counts: UnitCounts, states: Iterable[UnitState], to: UnitState
) -> tuple[UnitCounts, int]:
    """Return the sum after all units of some states went to another, and how many."""
    gone = {str(each.value): 0 for each in states}
    units = sum(getattr(counts, name) for name in gone)
    there = getattr(counts, to.value) + units
    return msgspec.structs.replace(counts, **gone, **{to.value: there}), units


def changed_run(counts: UnitCounts) -> Cells:
    """Return what of a run's row may change."""
    return {
        **{str(each.value): getattr(counts, each.value) for each in UnitState},
        "bars": counts.bars,
        "calls": counts.calls,
        "cost_usd": str(counts.cost_usd),
    }


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
