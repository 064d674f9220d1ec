"""Jobs: what they are to bring, how far they have come, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.message import Message
from marketdata.ingestion.v1 import job_pb2, job_service_pb2

from ingestion_server.client import vocabulary, wire
from ingestion_server.client.provenance import MissingInterval
from ingestion_server.client.vocabulary import word
from ingestion_server.client.wire import maybe_moment, moment, span

_ENDED: Final = frozenset({"COMPLETED", "INCOMPLETE", "CANCELLED"})
_PAUSED: Final = frozenset({"PAUSED", "PAUSED_QUOTA"})


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Say what a job is to bring; the words are those of `JobOptions`."""

    symbols: tuple[str, ...]
    """As they were asked for; empty where many jobs are told, or changes of one."""
    start: datetime
    """Open time of the first bar, inclusive."""
    end: datetime | None
    """Open times of all bars are before this; None = what is final as a run begins."""
    interval: str
    """Length of a bar: ``1d``."""
    adjustment: str
    """``raw``, ``split`` or ``split_dividend``."""
    session: str
    """Trading hours of intraday bars: ``regular`` or ``extended``."""
    asset_class: str
    """Kind of the instruments; empty = told by each symbol."""
    exchange: str
    """Market identifier code; empty = the primary one."""
    providers: tuple[str, ...]
    """The vendors that may answer; empty = any."""
    mode: str
    """``any``, ``ordered`` or ``pinned``."""
    cron: str
    """When it runs again; empty if it does not by a cron expression."""
    time_zone: str
    """Zone of the cron expression; empty = UTC."""
    after_close: str
    """The exchange after whose close it runs again; empty = none."""
    after_close_delay: timedelta
    """How long after the close."""

    @property
    def scheduled(self) -> bool:
        """Whether it runs again by itself."""
        return bool(self.cron or self.after_close)


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Tell how far the present or latest run has come."""

    units: int
    """All units of work."""
    landed: int
    """Those of which everything is there, whether by this run or before."""
    partial: int
    """Those of which some bars are missing."""
    failed: int
    """Those of which nothing could be had."""
    running: int
    """Those being worked on."""
    pending: int
    """Those that wait."""
    bars: int
    """Bars that have landed by this run."""
    calls: int
    """Calls of vendors that were made."""
    cost_usd: float
    """What they cost beyond flat prices."""
    units_per_second: float
    """Units that were ended in a second, of late; 0 = unknown."""
    finishes_at: datetime | None
    """When the run ends if it goes on like this; None if that cannot be told."""

    @property
    def ended(self) -> int:
        """How many units nothing more is done about."""
        return self.landed + self.partial + self.failed


@dataclass(frozen=True, slots=True)
class Job:
    """Tell of a job as it stands."""

    job_id: str
    """Its id."""
    client_key: str
    """The key that it was created with; empty if it had none."""
    name: str
    """A name for people; empty if it has none."""
    spec: JobSpec
    """What it is to bring."""
    state: str
    """
    ``RUNNING``, ``PAUSED``, ``PAUSED_QUOTA``, ``SCHEDULED``, ``COMPLETED``,
    ``INCOMPLETE`` or ``CANCELLED``.
    """
    detail: str
    """Why it stands there, in plain words; empty if there is nothing to say."""
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When its state changed for the last time."""
    run: int
    """Number of the present or latest run, from 1."""
    run_started_at: datetime
    """When that began."""
    run_ended_at: datetime | None
    """When it ended; None while it lasts."""
    resumes_at: datetime | None
    """When it goes on by itself; None unless it waits for quota."""
    next_run_at: datetime | None
    """When the next run begins; None unless it has a schedule."""
    progress: JobProgress
    """How far the present or latest run has come."""
    _answer: job_pb2.Job = field(repr=False, compare=False)
    """The same on the wire."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in _ENDED

    @property
    def paused(self) -> bool:
        """Whether it waits for somebody, or for quota."""
        return self.state in _PAUSED

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the Job of the contract in protobuf's JSON; indent None = one line."""
        return wire.json(self._answer, indent)


@dataclass(frozen=True, slots=True)
class JobUnit:
    """Tell of one stretch of time of one instrument."""

    number: int
    """Its number within the job, from 1."""
    run: int
    """Number of the run that it belongs to."""
    symbol: str
    """The symbol in the server's spelling."""
    start: datetime
    """Open time of its first bar, inclusive."""
    end: datetime
    """Its end, exclusive."""
    state: str
    """``PENDING``, ``RUNNING``, ``LANDED``, ``PARTIAL``, ``FAILED``, ``CANCELLED``."""
    attempts: int
    """How often it was tried."""
    last_reason: str
    """Why the latest try failed: reason, a colon, and plain words; or empty."""
    retry_at: datetime | None
    """When it is tried again; None if it is not, or at once."""
    bars: int
    """Bars that have landed."""
    providers: tuple[str, ...]
    """The vendors that served them."""
    landed_at: datetime | None
    """When they landed."""
    already_landed: bool
    """Whether all had landed before: no vendor was asked."""
    missing: tuple[MissingInterval, ...]
    """What is missing; empty unless PARTIAL."""
    _answer: job_pb2.JobUnit = field(repr=False, compare=False)
    """The same on the wire."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the JobUnit of the contract in protobuf's JSON."""
        return wire.json(self._answer, indent)

    def lacking(self) -> tuple[MissingInterval, ...]:
        """Tell each stretch that is missing, and why: all of it, if it has failed."""
        if self.missing or self.state == "LANDED":
            return self.missing
        return (MissingInterval(self.start, self.end, self.last_reason or self.state),)


@dataclass(frozen=True, slots=True)
class JobChanges:
    """Tell what has changed of a job."""

    job: Job
    """The job as it is now, without its symbols."""
    units: tuple[JobUnit, ...]
    """Units that ended since the last message, at most the latest 100."""
    _answer: job_service_pb2.WatchJobResponse = field(repr=False, compare=False)
    """The same on the wire."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the WatchJobResponse in protobuf's JSON; indent None = one line."""
        return wire.json(self._answer, indent)


@dataclass(frozen=True, slots=True)
class ProviderPlan:
    """Tell what of a plan is meant for one vendor."""

    provider: str
    """Id of the vendor."""
    units: int
    """Units that it is first choice for."""
    calls: int
    """Calls that these need if nothing fails."""
    cost_usd: float
    """What these calls cost beyond a flat price."""
    finishes_at: datetime | None
    """When the last has its turn; None if that is farther than can be foreseen."""


@dataclass(frozen=True, slots=True)
class PlanFailure:
    """Name a symbol that a plan holds no work for."""

    symbol: str
    """The symbol as it was asked for."""
    reason: str
    """Reason, a colon, and plain words."""


@dataclass(frozen=True, slots=True)
class JobPlan:
    """Tell what a run will do, as far as it can be told before."""

    units: int
    """Units of work that are left to do."""
    units_landed: int
    """Units of which everything is there: no vendor is asked."""
    calls: int
    """Calls that are needed if nothing fails."""
    cost_usd: float
    """What they cost beyond flat prices."""
    finishes_at: datetime | None
    """When it ends if nothing fails; None if that is farther than can be foreseen."""
    providers: tuple[ProviderPlan, ...]
    """The same by vendor, the most units first."""
    failures: tuple[PlanFailure, ...]
    """What nobody can serve, or cannot be read; the first 100."""
    _answer: Message = field(repr=False, compare=False)
    """The answer on the wire that it came with."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the CreateJobResponse in protobuf's JSON; indent None = one line."""
        return wire.json(self._answer, indent)


@dataclass(frozen=True, slots=True)
class CreatedJob:
    """Tell of a job that was asked for."""

    job: Job
    """The job."""
    plan: JobPlan | None
    """What its first run does; None if the job was there before."""
    created: bool
    """Whether it was created by this call; if not, it has the same client key."""
    _answer: job_service_pb2.CreateJobResponse = field(repr=False, compare=False)
    """The same on the wire."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """Write the CreateJobResponse in protobuf's JSON; indent None = one line."""
        return wire.json(self._answer, indent)


def job_from(told: job_pb2.Job) -> Job:
    """Read a job."""
    return Job(
        job_id=told.job_id,
        client_key=told.client_key,
        name=told.name,
        spec=_spec(told.spec),
        state=wire.name(job_pb2.JobState.items(), told.state, "JOB_STATE_"),
        detail=told.detail,
        created_at=moment(told.created_at),
        updated_at=moment(told.updated_at),
        run=told.run,
        run_started_at=moment(told.run_started_at),
        run_ended_at=maybe_moment(told, "run_ended_at"),
        resumes_at=maybe_moment(told, "resumes_at"),
        next_run_at=maybe_moment(told, "next_run_at"),
        progress=_progress(told.progress),
        _answer=told,
    )


def unit_from(told: job_pb2.JobUnit) -> JobUnit:
    """Read a unit."""
    return JobUnit(
        number=told.number,
        run=told.run,
        symbol=told.symbol,
        start=moment(told.start),
        end=moment(told.end),
        state=wire.name(job_pb2.UnitState.items(), told.state, "UNIT_STATE_"),
        attempts=told.attempts,
        last_reason=told.last_reason,
        retry_at=maybe_moment(told, "retry_at"),
        bars=told.bars,
        providers=tuple(told.providers),
        landed_at=maybe_moment(told, "landed_at"),
        already_landed=told.already_landed,
        missing=tuple(
            MissingInterval(moment(gap.start), moment(gap.end), gap.reason)
            for gap in told.missing
        ),
        _answer=told,
    )


def changes_from(answer: job_service_pb2.WatchJobResponse) -> JobChanges:
    """Read what has changed."""
    return JobChanges(job_from(answer.job), tuple(map(unit_from, answer.units)), answer)


def plan_from(answer: job_service_pb2.CreateJobResponse) -> JobPlan:
    """Read what a run will do."""
    told = answer.plan
    return JobPlan(
        units=told.units,
        units_landed=told.units_landed,
        calls=told.calls,
        cost_usd=told.cost_usd,
        finishes_at=maybe_moment(told, "finishes_at"),
        providers=tuple(
            ProviderPlan(
                provider=each.provider,
                units=each.units,
                calls=each.calls,
                cost_usd=each.cost_usd,
                finishes_at=maybe_moment(each, "finishes_at"),
            )
            for each in told.providers
        ),
        failures=tuple(PlanFailure(each.symbol, each.reason) for each in told.failures),
        _answer=answer,
    )


def created_from(answer: job_service_pb2.CreateJobResponse) -> CreatedJob:
    """Read a job that was asked for."""
    return CreatedJob(
        job=job_from(answer.job),
        plan=plan_from(answer) if answer.HasField("plan") else None,
        created=answer.created,
        _answer=answer,
    )


def _spec(told: job_pb2.JobSpec) -> JobSpec:
    after = told.schedule.after_close
    return JobSpec(
        symbols=tuple(told.symbols),
        start=moment(told.start),
        end=maybe_moment(told, "end"),
        interval=word(vocabulary.INTERVALS, told.interval),
        adjustment=word(vocabulary.ADJUSTMENTS, told.adjustment),
        session=word(vocabulary.SESSIONS, told.session),
        asset_class=word(vocabulary.ASSET_CLASSES, told.asset_class),
        exchange=told.exchange,
        providers=tuple(told.source_policy.providers),
        mode=word(vocabulary.MODES, told.source_policy.mode),
        cron=told.schedule.cron,
        time_zone=told.schedule.time_zone,
        after_close=after.exchange,
        after_close_delay=span(after.delay),
    )


def _progress(told: job_pb2.JobProgress) -> JobProgress:
    return JobProgress(
        units=told.units,
        landed=told.landed,
        partial=told.partial,
        failed=told.failed,
        running=told.running,
        pending=told.pending,
        bars=told.bars,
        calls=told.calls,
        cost_usd=told.cost_usd,
        units_per_second=told.units_per_second,
        finishes_at=maybe_moment(told, "finishes_at"),
    )
