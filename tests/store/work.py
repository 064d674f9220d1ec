"""Jobs and units to keep."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ingestion_server.domain.jobs import (
    AfterClose,
    Job,
    JobSpec,
    Schedule,
    Unit,
    UnitCounts,
    UnitState,
)
from ingestion_server.domain.query import SourceMode, SourcePolicy
from ingestion_server.ports.jobs import JobStore

SPEC = JobSpec(
    ("AAPL", "BRK.B", "не\U0001f4c8"),
    1_262_304_000_000_000_000,
    policy=SourcePolicy(SourceMode.PINNED, ("yahoo",), max_cost_usd=0.1),
    schedule=Schedule(after_close=AfterClose("XNYS", 1800.0)),
)


def job(job_id: str = "one", *, created_ns: int = 5, **changes: object) -> Job:
    """Return a job."""
    made = Job(
        job_id=job_id,
        spec=SPEC,
        created_ns=created_ns,
        updated_ns=created_ns,
        run_started_ns=created_ns,
    )
    return msgspec.structs.replace(made, **changes)


def units(
    amount: int, job_id: str = "one", *, run: int = 1, first: int = 1
) -> list[Unit]:
    """Return units of a job that wait for their turn."""
    return [
        Unit(
            job_id=job_id,
            number=number,
            run=run,
            symbol=f"S{number}",
            start_ns=number * 1000,
            end_ns=number * 1000 + 999,
        )
        for number in range(first, first + amount)
    ]


def landed(unit: Unit, *, bars: int = 7, cost_usd: str = "0.0000125") -> Unit:
    """Return a unit after all of its bars have landed."""
    return msgspec.structs.replace(
        unit,
        state=UnitState.LANDED,
        attempts=unit.attempts + 1,
        bars=bars,
        providers=("yahoo", "finnhub"),
        landed_at_ns=99,
        calls=unit.calls + 2,
        cost_usd=unit.cost_usd + Decimal(cost_usd),
    )


def ended(unit: Unit, state: UnitState, reason: str = "SYMBOL_UNKNOWN: no") -> Unit:
    """Return a unit that has ended otherwise."""
    return msgspec.structs.replace(
        unit, state=state, attempts=unit.attempts + 1, last_reason=reason
    )


async def all_units(store: JobStore, job_id: str = "one", run: int = 1) -> list[Unit]:
    """Return all units of a run."""
    return [
        *await store.units(job_id, run, list(UnitState), after=0, limit=100_000),
    ]


def summed(known: list[Unit]) -> UnitCounts:
    """Sum up units, one by one."""
    states = [unit.state for unit in known]
    times = [unit.retry_at_ns for unit in known if unit.state is UnitState.PENDING]
    later = [each for each in times if each is not None]
    return UnitCounts(
        **{str(state): states.count(state) for state in UnitState},
        bars=sum(unit.bars for unit in known if not unit.already_landed),
        calls=sum(unit.calls for unit in known),
        cost_usd=sum((unit.cost_usd for unit in known), Decimal(0)),
        retry_at_ns=min(later) if times and len(later) == len(times) else None,
    )
