"""Jobs, their plans, units and results, from the house to the wire."""

from __future__ import annotations

from typing import Final

from marketdata.ingestion.v1 import (
    bar_pb2,
    ingestion_service_pb2,
    job_pb2,
    job_service_pb2,
    source_policy_pb2,
)

from ingestion_server.domain.adjustment import Adjustment
from ingestion_server.domain.errors import InvalidQueryError
from ingestion_server.domain.instrument import Instrument, instrument
from ingestion_server.domain.jobs import (
    Job,
    JobSpec,
    Plan,
    PlanFailure,
    Progress,
    ProviderPlan,
    Schedule,
    Unit,
)
from ingestion_server.domain.landed import LandedBars, LandedSource
from ingestion_server.domain.query import SourcePolicy
from ingestion_server.ports.jobs import JobNews, Result
from ingestion_server.service.encoding import missing_of
from ingestion_server.service.job_tokens import cursor_text
from ingestion_server.service.moments import duration, maybe_timestamp, timestamp
from ingestion_server.service.row_encoding import encoded_columns, framed
from ingestion_server.service.vocabulary import (
    ADJUSTMENT_CODES,
    ASSET_CLASS_CODES,
    HOURS_CODES,
    INTERVAL_CODES,
    JOB_STATE_CODES,
    MODE_CODES,
    UNIT_STATE_CODES,
)

_MOST_FAILURES: Final = 100
_SERIES: Final = job_service_pb2.ReadResultsResponse.SERIES_FIELD_NUMBER


def job_of(
    job: Job, progress: Progress | None, *, with_symbols: bool = True
) -> job_pb2.Job:
    """Return a job; without its symbols where many, or many times one, are told."""
    return job_pb2.Job(
        job_id=job.job_id,
        client_key=job.client_key,
        name=job.name,
        spec=_spec(job.spec, with_symbols=with_symbols),
        state=JOB_STATE_CODES[job.state],
        detail=job.detail,
        created_at=timestamp(job.created_ns),
        updated_at=timestamp(job.updated_ns),
        run=job.run,
        run_started_at=timestamp(job.run_started_ns),
        run_ended_at=maybe_timestamp(job.run_ended_ns),
        resumes_at=maybe_timestamp(job.resumes_at_ns),
        next_run_at=maybe_timestamp(job.next_run_ns),
        progress=None if progress is None else _progress(progress),
    )


def plan_of(plan: Plan) -> job_pb2.JobPlan:
    """Return what a run will do; of what it cannot do, the first hundred."""
    return job_pb2.JobPlan(
        units=plan.units,
        units_landed=plan.units_landed,
        calls=plan.calls,
        cost_usd=float(plan.cost_usd),
        finishes_at=maybe_timestamp(plan.finishes_at_ns),
        providers=map(_provider_plan, plan.providers),
        failures=map(_failure, plan.failures[:_MOST_FAILURES]),
    )


def unit_of(unit: Unit, spec: JobSpec) -> job_pb2.JobUnit:
    """Return one stretch of time of one instrument of a job."""
    found = _meant(unit, spec)
    return job_pb2.JobUnit(
        number=unit.number,
        run=unit.run,
        symbol=unit.symbol if found is None else found.symbol,
        start=timestamp(unit.start_ns),
        end=timestamp(unit.end_ns),
        state=UNIT_STATE_CODES[unit.state],
        attempts=unit.attempts,
        last_reason=unit.last_reason,
        retry_at=maybe_timestamp(unit.retry_at_ns),
        bars=unit.bars,
        providers=unit.providers,
        landed_at=maybe_timestamp(unit.landed_at_ns),
        already_landed=unit.already_landed,
        missing=map(missing_of, unit.missing),
    )


def news_of(news: JobNews) -> job_service_pb2.WatchJobResponse:
    """Return what has changed of a job."""
    job, progress = news.view
    return job_service_pb2.WatchJobResponse(
        job=job_of(job, progress, with_symbols=False),
        units=[unit_of(unit, job.spec) for unit in news.units],
    )


def result_of(result: Result, job: Job) -> job_service_pb2.ReadResultsResponse:
    """Return some bars of a unit that has landed."""
    head = job_service_pb2.ReadResultsResponse(
        cursor=cursor_text(result.cursor, job.job_id),
        unit=unit_of(result.unit, job.spec),
        sources=map(_source, result.bars.sources),
        more_of_unit=result.more,
    )
    series = _series(result.bars, result.unit, job.spec)
    return job_service_pb2.ReadResultsResponse.FromString(
        head.SerializeToString() + framed(_SERIES, series)
    )


def _series(bars: LandedBars, unit: Unit, spec: JobSpec) -> bytes:
    found = _meant(unit, spec)
    adjustable = found is not None and found.asset_class.adjustable
    head = bar_pb2.BarSeries(
        symbol=unit.symbol if found is None else found.symbol,
        interval=INTERVAL_CODES[spec.interval],
        adjustment=ADJUSTMENT_CODES[spec.adjustment if adjustable else Adjustment.RAW],
        currency=bars.currency,
        time_zone=bars.zone,
        exchange="" if found is None else found.exchange,
    ).SerializeToString()
    columns = encoded_columns(bars.series, bars.states)
    return head + framed(bar_pb2.BarSeries.COLUMNS_FIELD_NUMBER, columns)


def _source(source: LandedSource) -> job_service_pb2.ResultSource:
    return job_service_pb2.ResultSource(
        provider=source.provider,
        start=timestamp(source.start_ns),
        end=timestamp(source.end_ns),
        received_at=timestamp(source.received_at_ns),
        derived=source.derived,
    )


def _meant(unit: Unit, spec: JobSpec) -> Instrument | None:
    """Return what a unit is about; None if its symbol cannot be read."""
    try:
        return instrument(
            unit.symbol, asset_class=spec.asset_class, exchange=spec.exchange
        )
    except InvalidQueryError:
        return None


def _spec(spec: JobSpec, *, with_symbols: bool) -> job_pb2.JobSpec:
    return job_pb2.JobSpec(
        symbols=spec.symbols if with_symbols else (),
        asset_class=(
            ingestion_service_pb2.ASSET_CLASS_UNSPECIFIED
            if spec.asset_class is None
            else ASSET_CLASS_CODES[spec.asset_class]
        ),
        exchange=spec.exchange,
        interval=INTERVAL_CODES[spec.interval],
        start=timestamp(spec.start_ns),
        end=maybe_timestamp(spec.end_ns),
        adjustment=ADJUSTMENT_CODES[spec.adjustment],
        session=HOURS_CODES[spec.hours],
        source_policy=_policy(spec.policy),
        schedule=None if spec.schedule is None else _schedule(spec.schedule),
    )


def _policy(policy: SourcePolicy) -> source_policy_pb2.SourcePolicy:
    stale = policy.max_staleness_seconds
    return source_policy_pb2.SourcePolicy(
        mode=MODE_CODES[policy.mode],
        providers=policy.providers,
        allow_partial=policy.allow_partial,
        max_cost_usd=policy.max_cost_usd,
        max_staleness=None if stale is None else duration(stale),
    )


def _schedule(schedule: Schedule) -> job_pb2.Schedule:
    after = schedule.after_close
    if after is None:
        return job_pb2.Schedule(cron=schedule.cron, time_zone=schedule.zone)
    return job_pb2.Schedule(
        after_close=job_pb2.AfterClose(
            exchange=after.exchange, delay=duration(after.delay_seconds)
        )
    )


def _progress(progress: Progress) -> job_pb2.JobProgress:
    counts = progress.counts
    return job_pb2.JobProgress(
        units=counts.units,
        landed=counts.landed,
        partial=counts.partial,
        failed=counts.failed,
        running=counts.running,
        pending=counts.pending,
        bars=counts.bars,
        calls=counts.calls,
        cost_usd=float(counts.cost_usd),
        units_per_second=progress.units_per_second,
        finishes_at=maybe_timestamp(progress.finishes_at_ns),
    )


def _provider_plan(plan: ProviderPlan) -> job_pb2.ProviderPlan:
    return job_pb2.ProviderPlan(
        provider=plan.provider,
        units=plan.units,
        calls=plan.calls,
        cost_usd=float(plan.cost_usd),
        finishes_at=maybe_timestamp(plan.finishes_at_ns),
    )


def _failure(failure: PlanFailure) -> job_pb2.PlanFailure:
    return job_pb2.PlanFailure(symbol=failure.symbol, reason=failure.reason)
