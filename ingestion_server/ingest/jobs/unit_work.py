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
from ingestion_server.ingest.jobs.limits import JobLimits
from ingestion_server.ports.clock import Clock
from ingestion_server.ports.jobs import BarLanding, Holding

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
_SOON_SECONDS: Final = 60.0
"""A quota that is there again so soon is waited for; nobody needs to be told."""
_OVERLAP_NS: Final = 7 * DAY_NS
"""There is hardly a week without a session."""
_PASSING_REASONS: Final = ("QUOTA_EXHAUSTED", "ALL_PROVIDERS_FAILED", "DEADLINE")


class Pause(NamedTuple):
    """Say that a job can do nothing for a while."""

    detail: str
    until_ns: int | None
    """None = until somebody has mended it."""


class Worked(NamedTuple):
    """Be a unit after a try, and whether its job has to pause."""

    unit: Unit
    pause: Pause | None = None


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
    ) -> None:
        """``random`` draws from [0, 1)."""
        self._fetch = fetch
        self._landing = landing
        self._clock = clock
        self._limits = limits
        self._random = random

    async def work(self, job: Job, unit: Unit) -> Worked:
        """Try a unit once; whatever happens is said of the unit."""
        tried = msgspec.structs.replace(
            unit, attempts=unit.attempts + 1, retry_at_ns=None, missing=()
        )
        try:
            return await self._work(job, tried)
        except QuotaExhaustedError as error:
            return self._without_quota(_charged(unit, error), error)
        except IngestionError as error:
            unit, tried = _charged(unit, error), _charged(tried, error)
            reason = f"{error.reason}: {error.message}"
            if _no_room(error):
                waiting = msgspec.structs.replace(
                    unit, state=UnitState.PENDING, last_reason=reason
                )
                told = f"{error.message}; then ResumeJob goes on"
                return Worked(waiting, Pause(told, None))
            if isinstance(error, _PASSING):
                return Worked(self._again(tried, reason, error.retry_after_seconds))
            return Worked(_failed(tried, reason))
        except Exception as error:  # noqa: BLE001 - the other units go on
            _log.exception("unit %s of job %s met a defect", unit.number, job.job_id)
            name = type(error).__name__
            reason = f"INTERNAL: a defect of this server ({name}); its log has it"
            return Worked(self._again(tried, reason, None))

    async def _work(self, job: Job, unit: Unit) -> Worked:
        holding = holding_of(job.spec, unit.symbol)
        span = Span(unit.start_ns, unit.end_ns)
        left = subtracted([span], await self._landing.covered(holding, span))
        results: list[BarResult] = []
        bars: int | None = None
        for stretch in left:
            asked = await self._overlapping(job, holding, stretch)
            # Before the next is asked for: what is safe is not asked for again.
            result = await self._ask(job.spec, holding, asked)
            landed = await self._landing.land(holding, asked, result)
            results.append(result)
            bars = landed.bars if asked == span else None
            if landed.rebased is not None:
                # All that had landed before has other prices by now.
                return Worked(_of_all(job, unit))
        if bars is None:
            bars = len((await self._landing.read(holding, span)).series)
        attempts = [each for result in results for each in result.attempts]
        missing = [each for result in results for each in result.missing]
        unit = msgspec.structs.replace(
            unit,
            bars=bars,
            providers=_served(unit, results),
            already_landed=not left and not unit.calls,
            calls=unit.calls + sum(each.calls for each in attempts),
            cost_usd=unit.cost_usd + sum((a.cost_usd for a in attempts), Decimal(0)),
        )
        if missing and unit.attempts < self._limits.attempts and _may_pass(attempts):
            return Worked(self._again(unit, _why(missing), None))
        return Worked(
            msgspec.structs.replace(
                unit,
                state=UnitState.PARTIAL if missing else UnitState.LANDED,
                missing=tuple(missing),
                last_reason=_why(missing) if missing else "",
                landed_at_ns=self._clock.now_ns(),
            )
        )

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

    def _without_quota(self, unit: Unit, error: QuotaExhaustedError) -> Worked:
        """Wait for the quota: this was no try."""
        seconds = error.retry_after_seconds
        seconds = self._limits.longest_seconds if seconds is None else seconds
        at_ns = self._clock.now_ns() + int(seconds * SECOND_NS)
        waiting = msgspec.structs.replace(
            unit,
            state=UnitState.PENDING,
            last_reason=f"{error.reason}: {error.message}",
            retry_at_ns=at_ns if seconds <= _SOON_SECONDS else None,
        )
        if seconds <= _SOON_SECONDS:
            return Worked(waiting)
        return Worked(waiting, Pause(error.message, at_ns))

    def _again(
        self, unit: Unit, reason: str, retry_after_seconds: float | None
    ) -> Unit:
        """Return a unit that is tried again later, unless it was tried enough."""
        if unit.attempts >= self._limits.attempts:
            return _failed(unit, reason)
        longest = min(
            self._limits.first_seconds * 2.0 ** (unit.attempts - 1),
            self._limits.longest_seconds,
        )
        seconds = longest * self._random() + (retry_after_seconds or 0.0)
        return msgspec.structs.replace(
            unit,
            state=UnitState.PENDING,
            last_reason=reason,
            retry_at_ns=self._clock.now_ns() + int(seconds * SECOND_NS),
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


def _failed(unit: Unit, reason: str) -> Unit:
    return msgspec.structs.replace(unit, state=UnitState.FAILED, last_reason=reason)


def _served(unit: Unit, results: Sequence[BarResult]) -> tuple[str, ...]:
    """Return who has served a unit, by this try and those before."""
    names = (source.provider for result in results for source in result.sources)
    return tuple(dict.fromkeys((*unit.providers, *names)))


def _may_pass(attempts: Sequence[Attempt]) -> bool:
    """Return whether somebody might have answered who could not at the moment."""
    return any(
        each.outcome is Outcome.FAILED
        or (
            each.outcome is Outcome.SKIPPED and each.reason.startswith(_PASSING_REASONS)
        )
        for each in attempts
    )


def _why(missing: Sequence[Missing]) -> str:
    return f"NO_DATA_UNEXPLAINED: {missing[0].reason}"
