"""What users ask about jobs, as the messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

from marketdata.ingestion.v1 import job_pb2, job_service_pb2

from ingestion_server.client import vocabulary
from ingestion_server.client.errors import InvalidOptionError
from ingestion_server.client.request import When, length, moment, several, usual_mode
from ingestion_server.client.vocabulary import number

_LARGEST: Final = 2**31 - 1


JOB_STATES: Final[Mapping[str, job_pb2.JobState.ValueType]] = {
    name.removeprefix("JOB_STATE_").lower(): value
    for name, value in job_pb2.JobState.items()
    if value
}
"""The states of jobs by their words, such as ``paused_quota``."""
UNIT_STATES: Final[Mapping[str, job_pb2.UnitState.ValueType]] = {
    name.removeprefix("UNIT_STATE_").lower(): value
    for name, value in job_pb2.UnitState.items()
    if value
}
"""The states of units by their words, such as ``partial``."""


class JobOptions(TypedDict, total=False):
    """Everything that can be said about a job's bars, besides symbols and start."""

    interval: str
    """Length of a bar: 1m, 5m, 15m, 30m, 1h, 1d, 1w or 1mo."""
    end: When | None
    """
    Open times of all bars are before this; None = what is final when a run begins.
    Not for jobs with a schedule.
    """
    adjustment: str
    """Prices adjusted for nothing (raw), split, or split_dividend."""
    session: str
    """Trading hours of intraday bars: regular or extended."""
    asset_class: str | None
    """equity, fx, crypto, index or future; None = told by each symbol."""
    exchange: str
    """Market identifier code, for example XLON; empty = the primary one."""
    providers: str | Sequence[str]
    """The vendors that may answer; empty = any."""
    mode: str | None
    """any, ordered or pinned; None = any, pinned for one provider, else ordered."""
    max_cost_usd: float | None
    """Most that the calls of one unit may cost, in US dollars; None = no limit."""
    cron: str
    """
    When it runs again, in five fields: ``30 18 * * mon-fri``; empty = see
    ``after_close``.
    """
    time_zone: str
    """Zone of ``cron`` in the tz database; empty = UTC."""
    after_close: str
    """
    Market identifier code of an exchange after whose close it runs again; empty, and
    no ``cron`` = it runs once.
    """
    after_close_delay_seconds: float
    """How long after the close, up to a day."""


def job_spec(  # noqa: PLR0913 - these are the fields of the contract
    symbols: str | Sequence[str],
    start: When,
    *,
    interval: str = "1d",
    end: When | None = None,
    adjustment: str = "split",
    session: str = "regular",
    asset_class: str | None = None,
    exchange: str = "",
    providers: str | Sequence[str] = (),
    mode: str | None = None,
    max_cost_usd: float | None = None,
    cron: str = "",
    time_zone: str = "",
    after_close: str = "",
    after_close_delay_seconds: float = 0.0,
) -> job_pb2.JobSpec:
    """
    Say what a job is to bring.

    Raises:
        InvalidOptionError: an option does not exist, or two exclude each other.

    """
    spec = job_pb2.JobSpec(
        symbols=several(symbols),
        interval=number(vocabulary.INTERVALS, interval, "interval"),
        adjustment=number(vocabulary.ADJUSTMENTS, adjustment, "adjustment"),
        session=number(vocabulary.SESSIONS, session, "session"),
        exchange=exchange,
        start=moment(start, "start"),
        end=None if end is None else moment(end, "end"),
    )
    if asset_class is not None:
        spec.asset_class = number(vocabulary.ASSET_CLASSES, asset_class, "asset_class")
    policy = spec.source_policy
    policy.providers.extend(several(providers))
    policy.mode = number(
        vocabulary.MODES, mode or usual_mode(len(policy.providers)), "mode"
    )
    if max_cost_usd is not None:
        policy.max_cost_usd = max_cost_usd
    if cron and after_close:
        raise InvalidOptionError("cron and after_close exclude each other")
    if time_zone and not cron:
        raise InvalidOptionError("time_zone is only for cron")
    if after_close_delay_seconds and not after_close:
        raise InvalidOptionError("after_close_delay_seconds is only for after_close")
    if cron:
        spec.schedule.cron = cron
        spec.schedule.time_zone = time_zone
    elif after_close:
        spec.schedule.after_close.exchange = after_close
        spec.schedule.after_close.delay.CopyFrom(
            length(after_close_delay_seconds, "after_close_delay_seconds")
        )
    return spec


def units_request(
    job_id: str, states: str | Sequence[str], *, page_size: int, page_token: str
) -> job_service_pb2.GetJobRequest:
    """Ask for a job and a page of its units."""
    return job_service_pb2.GetJobRequest(
        job_id=job_id,
        unit_states=[number(UNIT_STATES, each, "states") for each in several(states)],
        page_size=_page(page_size),
        page_token=page_token,
    )


def list_request(
    states: str | Sequence[str], name_prefix: str, *, page_size: int, page_token: str
) -> job_service_pb2.ListJobsRequest:
    """Ask for a page of jobs."""
    return job_service_pb2.ListJobsRequest(
        states=[number(JOB_STATES, each, "states") for each in several(states)],
        name_prefix=name_prefix,
        page_size=_page(page_size),
        page_token=page_token,
    )


def watch_request(
    job_id: str, min_interval_seconds: float
) -> job_service_pb2.WatchJobRequest:
    """Ask to be told of changes."""
    return job_service_pb2.WatchJobRequest(
        job_id=job_id,
        min_interval=length(min_interval_seconds, "min_interval_seconds"),
    )


def _page(size: int) -> int:
    if not 0 < size <= _LARGEST:
        raise InvalidOptionError(f"page_size {size} is no number of entries")
    return size
