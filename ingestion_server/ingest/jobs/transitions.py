"""What becomes of a job: by itself, unless its state is another, and by request."""

from __future__ import annotations

from typing import Final

import msgspec

from ingestion_server.domain.errors import JobStateConflictError
from ingestion_server.domain.interval import SECOND_NS
from ingestion_server.domain.jobs import Job, JobState, Unit, UnitCounts, UnitState
from ingestion_server.ingest.jobs.hindrances import OUT_OF_QUOTA
from ingestion_server.ingest.jobs.unit_work import Pause

_RETRY: Final = "RetryFailed tries again what is missing"
_SOON_SECONDS: Final = 60.0
"""A quota that is there again so soon is waited for; nobody needs to be told."""


def drought(unit: Unit, now_ns: int) -> Pause | None:
    """Return the pause of a unit that waits long for quota; None if it does not."""
    at_ns, reason = unit.retry_at_ns, unit.last_reason
    waits = unit.state is UnitState.PENDING and reason.startswith(OUT_OF_QUOTA)
    if not waits or at_ns is None or at_ns <= now_ns + _SOON_SECONDS * SECOND_NS:
        return None
    return Pause(reason.removeprefix(OUT_OF_QUOTA), at_ns)


def resumed(job: Job) -> Job:
    """Return a job that has waited for its quota."""
    if job.state is not JobState.PAUSED_QUOTA:
        return job
    return msgspec.structs.replace(
        job, state=JobState.RUNNING, detail="", resumes_at_ns=None
    )


def paused(job: Job, pause: Pause) -> Job:
    """Return a job that can do nothing for a while."""
    if job.state is not JobState.RUNNING:
        return job
    state = JobState.PAUSED if pause.until_ns is None else JobState.PAUSED_QUOTA
    return msgspec.structs.replace(
        job, state=state, detail=pause.detail, resumes_at_ns=pause.until_ns
    )


def not_planned(job: Job, reason: str, next_run_ns: int | None) -> Job:
    """Return a job whose run was due and cannot begin."""
    if job.state is not JobState.SCHEDULED:
        return job
    return msgspec.structs.replace(
        job,
        detail=f"the latest run could not be planned ({reason}); the next one may be",
        next_run_ns=next_run_ns,
    )


def finished(job: Job, counts: UnitCounts, now_ns: int) -> Job:
    """Return a job all of whose units have ended."""
    lost = []
    if counts.failed:
        lost.append(f"of {_units(counts.failed)} nothing could be had")
    if counts.partial:
        lost.append(f"of {_units(counts.partial)} some bars are missing")
    detail = ", ".join(lost) + ("; the units tell why" if lost else "")
    state = JobState.INCOMPLETE if lost else JobState.COMPLETED
    if job.next_run_ns is not None:
        # Which may have passed: what was missed meanwhile is made up for by one run.
        state = JobState.SCHEDULED
    return msgspec.structs.replace(
        job, state=state, detail=detail, run_ended_ns=now_ns, updated_ns=now_ns
    )


def halted(job: Job) -> Job:
    """
    Return a job that somebody pauses.

    Raises ``JobStateConflictError`` if it has ended.
    """
    _refuse_ended(job, "paused", _RETRY)
    return msgspec.structs.replace(
        job,
        state=JobState.PAUSED,
        detail="paused by request; ResumeJob goes on",
        resumes_at_ns=None,
    )


def going_on(job: Job, left: int) -> Job:
    """
    Return a job that somebody resumes, with so many units left.

    Raises ``JobStateConflictError`` if it has ended.
    """
    _refuse_ended(job, "resumed", _RETRY)
    if job.state not in {JobState.PAUSED, JobState.PAUSED_QUOTA}:
        return job
    # One that was paused between two runs waits for the next.
    between = job.next_run_ns is not None and job.run_ended_ns is not None and not left
    return msgspec.structs.replace(
        job,
        state=JobState.SCHEDULED if between else JobState.RUNNING,
        detail="",
        resumes_at_ns=None,
        run_ended_ns=job.run_ended_ns if between else None,
    )


def cancelled(job: Job, now_ns: int) -> Job:
    """
    Return a job that somebody cancels, perhaps once more.

    Raises ``JobStateConflictError`` if it has ended otherwise.
    """
    if job.state is not JobState.CANCELLED:
        _refuse_ended(job, "cancelled", "DeleteJob forgets it")
    return msgspec.structs.replace(
        job,
        state=JobState.CANCELLED,
        detail="cancelled by request; what has landed stays",
        resumes_at_ns=None,
        next_run_ns=None,
        run_ended_ns=job.run_ended_ns or now_ns,
    )


def tried_again(job: Job, left: int) -> Job:
    """Return a job whose failures somebody has tried again: so many units are left."""
    if not left or job.state not in {JobState.INCOMPLETE, JobState.SCHEDULED}:
        return job
    return msgspec.structs.replace(
        job, state=JobState.RUNNING, detail="", run_ended_ns=None
    )


def conflict(job: Job, done: str, instead: str) -> JobStateConflictError:
    """Say that something cannot be done to a job, and what can."""
    return JobStateConflictError(
        f"job {job.job_id} is {job.state} and cannot be {done}; {instead}",
        job_id=job.job_id,
        state=job.state,
    )


def _refuse_ended(job: Job, done: str, instead: str) -> None:
    if job.state.ended:
        raise conflict(job, done, instead)


def _units(count: int) -> str:
    return "one unit" if count == 1 else f"{count} units"
