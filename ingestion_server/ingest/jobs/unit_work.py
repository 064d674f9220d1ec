"""One unit of work: ask for what has not landed, land it, and say what became of it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple, Protocol, final

import msgspec

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import (
    AllProvidersFailedError,
    CallerThrottledError,
    DeadlineExceededError,
    IngestionError,
    LedgerUnavailableError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    PinnedProviderFailedError,
    QuotaExhaustedError,
    StateUnavailableError,
)
from ingestion_server.domain.instrument import instrument
from ingestion_server.domain.interval import DAY_NS, SECOND_NS
from ingestion_server.domain.jobs import Job, JobSpec, Unit, UnitState
from ingestion_server.domain.query import BarQuery, Priority, Span
from ingestion_server.domain.result import Attempt, BarResult, Missing, Outcome
from ingestion_server.domain.spans import subtracted
from ingestion_server.ingest.batch import MOST_BATCH_BARS
from ingestion_server.ingest.jobs.hindrances import Hindrances, hindrances
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.jobs import BarLanding, Holding
from ingestion_server.ports.tracing import Tracer, rooted

_log: Final = logging.getLogger(__name__)
_PASSING: Final = (
    AllProvidersFailedError,
    CallerThrottledError,
    DeadlineExceededError,
    LedgerUnavailableError,
    MalformedPayloadError,
    NoDataUnexplainedError,
    PinnedProviderFailedError,
)
"""After these, the same question may be answered a while later."""
_NO_ROOM: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
)
"""What no unit can do anything about: each would be downloaded for nothing."""
_OVERLAP_NS: Final = 7 * DAY_NS
"""There is hardly a week without a session."""
_LEAST_SECONDS: Final = 0.25
"""So long a unit waits for quota at least, so that it is never tried in a circle."""
_BRIEF_REST_SECONDS: Final = 5.0
"""Who is about to be tried by somebody rests for no longer."""


class Pause(NamedTuple):
    """Say that a job can do nothing for a while."""

    detail: str
    until_ns: int | None
    """None = until somebody has mended it."""


class Worked(NamedTuple):
    """Be a unit after a try, and whether its job has to pause."""

    unit: Unit
    pause: Pause | None = None


class _Brought(NamedTuple):
    """Be the answer to one question of a try."""

    stretch: Span
    """What had not landed."""
    result: BarResult


class Fetch(Protocol):
    """Answer a query, as ``Fetcher.fetch`` does."""

    async def __call__(
        self, query: BarQuery, *, budget_seconds: float, most_bars: int
    ) -> BarResult:
        """Return the bars; raises ``IngestionError``."""
        ...


def holding_of(spec: JobSpec, symbol: str) -> Holding:
    """
    Return the series that a symbol of a job means.

    Raises:
        InvalidQueryError: The symbol cannot be read.

    """
    return Holding(
        instrument(symbol, asset_class=spec.asset_class, exchange=spec.exchange),
        spec.interval,
        spec.adjustment,
        spec.hours,
    )


@final
class UnitWork:
    """Try units."""

    def __init__(
        self,
        fetch: Fetch,
        landing: BarLanding,
        clock: Clock,
        limits: JobLimits,
        random: Callable[[], float],
        *,
        tracer: Tracer | None = None,
    ) -> None:
        """``random`` draws from [0, 1); without a tracer nothing is recorded."""
        self._fetch = fetch
        self._landing = landing
        self._clock = clock
        self._limits = limits
        self._random = random
        self._tracer = tracer

    async def work(self, job: Job, unit: Unit) -> Worked:
        """Try a unit once; whatever happens is said of the unit."""
        with rooted(self._tracer, "job unit") as span:
            if span.is_recorded:
                span.set("ingestion.job_id", job.job_id)
                span.set("ingestion.unit", unit.number)
                span.set("ingestion.symbol", unit.symbol)
            worked = await self._tried(job, unit)
            if span.is_recorded:
                span.set("ingestion.outcome", worked.unit.state.value)
                span.set("ingestion.reason", worked.unit.last_reason)
            return worked

    async def _tried(self, job: Job, unit: Unit) -> Worked:
        unit = msgspec.structs.replace(
            unit, attempts=unit.attempts + 1, retry_at_ns=None, missing=()
        )
        brought: list[_Brought] = []
        try:
            return await self._work(job, unit, brought)
        except IngestionError as error:
            unit = _charged(_with(unit, brought), error)
            return await self._failed(job, unit, error, gained=_gained(brought))
        except Exception as error:  # noqa: BLE001 - the other units go on
            _log.exception("unit %s of job %s met a defect", unit.number, job.job_id)
            name = type(error).__name__
            reason = f"INTERNAL: a defect of this server ({name}); its log has it"
            return Worked(await self._again(job, _with(unit, brought), reason, 0.0))

    async def _work(self, job: Job, unit: Unit, brought: list[_Brought]) -> Worked:
        holding = holding_of(job.spec, unit.symbol)
        span = Span(unit.start_ns, unit.end_ns)
        left = subtracted([span], await self._landing.covered(holding, span))
        bars: int | None = None
        for stretch in left:
            asked = await self._overlapping(job, holding, stretch)
            result = await self._ask(job.spec, holding, asked)
            brought.append(_Brought(stretch, result))
            # Before the next is asked for: what is safe is not asked for again.
            landed = await self._landing.land(holding, asked, result)
            bars = landed.bars if asked == span else None
            if landed.rebased is not None:
                # All that had landed before has other prices by now.
                return Worked(_of_all(job, _with(unit, brought)))
        if bars is None:
            bars = len((await self._landing.read(holding, span)).series)
        missing = [hole for each in brought for hole in each.result.missing]
        already_landed = not left and not unit.calls
        unit = msgspec.structs.replace(
            _with(unit, brought), bars=bars, already_landed=already_landed
        )
        if missing and unit.attempts < self._limits.attempts:
            why = _why(missing)
            holes = hindrances(
                each.result.attempts for each in brought if each.result.missing
            )
            if self._quota_helps(unit, holes, gained=_gained(brought)):
                return Worked(self._without_quota(unit, holes.told(), holes))
            if holes.quota or holes.failed:
                return Worked(await self._again(job, unit, why, holes.rest_seconds))
        return Worked(self._ended(unit, missing, _why(missing) if missing else ""))

    async def _failed(
        self, job: Job, unit: Unit, error: IngestionError, *, gained: bool
    ) -> Worked:
        reason = f"{error.reason}: {error.message}"
        if _no_room(error):
            waiting = msgspec.structs.replace(
                unit,
                attempts=unit.attempts - 1,
                state=UnitState.PENDING,
                last_reason=reason,
            )
            return Worked(
                waiting, Pause(f"{error.message}; then ResumeJob goes on", None)
            )
        found = hindrances([error.tried])
        if isinstance(error, QuotaExhaustedError):
            found = found if found.quota else _unexplained(error)
            return Worked(self._without_quota(unit, reason, found))
        if self._quota_helps(unit, found, gained=gained):
            return Worked(self._without_quota(unit, found.told(), found))
        seconds = error.retry_after_seconds or 0.0
        if found.resting and seconds <= _BRIEF_REST_SECONDS:
            # Nobody was asked, and somebody else is about to find out: this was no try.
            unit = msgspec.structs.replace(unit, attempts=unit.attempts - 1)
        if found.quota or isinstance(error, _PASSING):
            return Worked(await self._again(job, unit, reason, seconds))
        return Worked(await self._given_up(job, unit, reason))

    async def _overlapping(self, job: Job, holding: Holding, span: Span) -> Span:
        """
        Return a span with a few bars before it that have landed, if there are any.

        Only so can be seen that a split or dividend has changed them since. It is for
        runs that continue others: the first brings all of a series at about one time.
        """
        if job.run == 1 or holding.adjustment is Adjustment.RAW:
            return span
        before = Span(span.start_ns - _OVERLAP_NS, span.start_ns)
        known = await self._landing.covered(holding, before)
        return span if not known else Span(known[-1].start_ns, span.end_ns)

    async def _ask(self, spec: JobSpec, holding: Holding, span: Span) -> BarResult:
        query = BarQuery(
            holding.instrument,
            spec.interval,
            start_ns=span.start_ns,
            end_ns=span.end_ns,
            adjustment=spec.adjustment,
            hours=spec.hours,
            policy=spec.policy,
            priority=Priority.BATCH,
        )
        return await self._fetch(
            query,
            budget_seconds=self._limits.unit_seconds,
            most_bars=MOST_BATCH_BARS,
        )

    def _quota_helps(self, unit: Unit, found: Hindrances, *, gained: bool) -> bool:
        """Return whether a unit only has to wait for quota, as far as can be told."""
        return bool(found.quota) and (gained or not found.in_vain(unit.providers))

    def _without_quota(self, unit: Unit, reason: str, found: Hindrances) -> Unit:
        """Wait for the quota, or for others who may be back before: this was no try."""
        longest = self._limits.longest_seconds
        seconds = found.quota_seconds
        seconds = longest if seconds is None else seconds
        if found.passing:
            # Not all of them at once.
            seconds = min(seconds, longest * (1 + self._random()) / 2)
        seconds = max(seconds, _LEAST_SECONDS)
        return msgspec.structs.replace(
            unit,
            state=UnitState.PENDING,
            attempts=unit.attempts - 1,
            last_reason=reason,
            retry_at_ns=self._clock.now_ns() + int(seconds * SECOND_NS),
        )

    async def _again(
        self, job: Job, unit: Unit, reason: str, retry_after_seconds: float
    ) -> Unit:
        """Return a unit that is tried again later, unless it was tried enough."""
        if unit.attempts >= self._limits.attempts:
            return await self._given_up(job, unit, reason)
        longest = min(
            self._limits.first_seconds * 2.0 ** (unit.attempts - 1),
            self._limits.longest_seconds,
        )
        seconds = longest * self._random() + retry_after_seconds
        return msgspec.structs.replace(
            unit,
            state=UnitState.PENDING,
            last_reason=reason,
            retry_at_ns=self._clock.now_ns() + int(seconds * SECOND_NS),
        )

    async def _given_up(self, job: Job, unit: Unit, reason: str) -> Unit:
        """Return a unit that is not tried again, with what has landed of it."""
        span, bars = Span(unit.start_ns, unit.end_ns), 0
        left: Sequence[Span] = [span]
        try:
            holding = holding_of(job.spec, unit.symbol)
            left = subtracted([span], await self._landing.covered(holding, span))
            if left != [span]:
                bars = len((await self._landing.read(holding, span)).series)
        except Exception as error:  # noqa: BLE001 - the other units go on
            # What cannot be read cannot be told either.
            _log.debug("unit %s of job %s: %s", unit.number, job.job_id, error)
        if not bars:
            return msgspec.structs.replace(
                unit, state=UnitState.FAILED, last_reason=reason
            )
        missing = [Missing(each.start_ns, each.end_ns, reason) for each in left]
        unit = msgspec.structs.replace(unit, bars=bars)
        return self._ended(unit, missing, reason if missing else "")

    def _ended(self, unit: Unit, missing: Sequence[Missing], reason: str) -> Unit:
        """Return a unit of which bars have landed, or none were to be had."""
        return msgspec.structs.replace(
            unit,
            state=UnitState.PARTIAL if missing else UnitState.LANDED,
            missing=tuple(missing),
            last_reason=reason,
            landed_at_ns=self._clock.now_ns(),
        )


def _of_all(job: Job, unit: Unit) -> Unit:
    """Return a unit that is tried again with all that the job wants of its symbol."""
    return msgspec.structs.replace(
        unit,
        start_ns=min(job.spec.start_ns, unit.start_ns),
        state=UnitState.PENDING,
        attempts=unit.attempts - 1,
        last_reason="a split or dividend has changed all prices before it since",
    )


def _no_room(error: IngestionError) -> bool:
    """Return whether nothing at all can be kept."""
    cause = error.__cause__
    return (
        isinstance(error, StateUnavailableError)
        and isinstance(cause, OSError)
        and cause.errno in _NO_ROOM
    )


def _charged(unit: Unit, error: IngestionError) -> Unit:
    """Return a unit with what was asked for it in vain."""
    return msgspec.structs.replace(
        unit,
        calls=unit.calls + error.calls,
        cost_usd=unit.cost_usd + error.cost_usd,
    )


def _with(unit: Unit, brought: Sequence[_Brought]) -> Unit:
    """Return a unit with who has served it, by this try and those before, and how."""
    names = (source.provider for each in brought for source in each.result.sources)
    attempts = [attempt for each in brought for attempt in each.result.attempts]
    return msgspec.structs.replace(
        unit,
        providers=tuple(dict.fromkeys((*unit.providers, *names))),
        calls=unit.calls + sum(each.calls for each in attempts),
        cost_usd=unit.cost_usd + sum((a.cost_usd for a in attempts), Decimal(0)),
    )


def _gained(brought: Sequence[_Brought]) -> bool:
    """Return whether less is missing than before."""
    missing = (hole for each in brought for hole in each.result.missing)
    before_ns = sum(each.stretch.end_ns - each.stretch.start_ns for each in brought)
    return sum(hole.end_ns - hole.start_ns for hole in missing) < before_ns


def _unexplained(error: QuotaExhaustedError) -> Hindrances:
    """Return what is known of a lack of quota by its error alone."""
    reason, seconds = f"{error.reason}: {error.message}", error.retry_after_seconds
    attempt = Attempt(
        error.provider, Outcome.SKIPPED, reason, retry_after_seconds=seconds
    )
    return Hindrances([attempt], [])


def _why(missing: Sequence[Missing]) -> str:
    return f"NO_DATA_UNEXPLAINED: {missing[0].reason}"
