"""Requests about jobs, from the wire; every wrong field is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from marketdata.ingestion.v1 import job_service_pb2

from ingestion_server.domain.errors import (
    InvalidQueryError,
    JobUnknownError,
    Violation,
)
from ingestion_server.domain.jobs import JobSpec, JobState, UnitState
from ingestion_server.ports.jobs import Cursor
from ingestion_server.service.decoding import word
from ingestion_server.service.job_spec_decoding import check_text, spec_of
from ingestion_server.service.job_tokens import (
    cursor_read,
    job_page_read,
    unit_page_read,
)
from ingestion_server.service.vendor_decoding import interval_seconds_of, refuse
from ingestion_server.service.vocabulary import JOB_STATES, UNIT_STATES

_LONGEST_KEY: Final = 128
_LONGEST_NAME: Final = 128
_LONGEST_CONSUMER: Final = 64
_LONGEST_JOB_ID: Final = 64
_USUAL_PAGE: Final = 100
_MOST_PAGE: Final = 1_000
_BESIDE_SPEC: Final = job_service_pb2.CreateJobRequest.DESCRIPTOR.fields_by_name
_AboutPage = job_service_pb2.GetJobRequest | job_service_pb2.ListJobsRequest
_AboutJob = (
    job_service_pb2.GetJobRequest
    | job_service_pb2.WatchJobRequest
    | job_service_pb2.PauseJobRequest
    | job_service_pb2.ResumeJobRequest
    | job_service_pb2.CancelJobRequest
    | job_service_pb2.RetryFailedRequest
    | job_service_pb2.ReadResultsRequest
    | job_service_pb2.DeleteJobRequest
)


class Submission(NamedTuple):
    """Be a job that somebody wants."""

    spec: JobSpec
    client_key: str
    name: str
    dry_run: bool


class UnitPage(NamedTuple):
    """Say which units of a job are wanted."""

    job_id: str
    states: frozenset[UnitState]
    """None of them = no units."""
    after: int
    """The number that they come after."""
    size: int


class JobPage(NamedTuple):
    """Say which jobs are wanted."""

    states: frozenset[JobState]
    """None of them = all."""
    name_prefix: str
    before: tuple[int, str] | None
    """Creation time and id of the job that they come before; None = the latest."""
    size: int


class Reading(NamedTuple):
    """Say which results are wanted, and which need not be told again."""

    job_id: str
    consumer: str
    acknowledged: Cursor | None
    after: Cursor | None
    follow: bool


def submission_of(request: job_service_pb2.CreateJobRequest) -> Submission:
    """
    Return the job that a request wants.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    check_text(request.client_key, "client_key", _LONGEST_KEY, wrong)
    check_text(request.name, "name", _LONGEST_NAME, wrong)
    wrong_in_spec: list[Violation] = []
    spec = spec_of(request.spec, wrong_in_spec)
    wrong += map(_within_spec, wrong_in_spec)
    refuse(wrong)
    return Submission(spec, request.client_key, request.name, request.dry_run)


@contextmanager
def named_as_sent() -> Iterator[None]:
    """Name the wrong fields of a spec as they stand in the request for the job."""
    try:
        yield
    except InvalidQueryError as error:
        raise InvalidQueryError(
            [
                one if _first(one.field) in _BESIDE_SPEC else _within_spec(one)
                for one in error.violations
            ]
        ) from error


def job_id_of(request: _AboutJob) -> str:
    """
    Return the job that a request is about.

    Raises:
        InvalidQueryError: It names none.
        JobUnknownError: No job has such an id.

    """
    wrong: list[Violation] = []
    _check_named(request, wrong)
    return _plausible(request, wrong)


def unit_page_of(request: job_service_pb2.GetJobRequest) -> UnitPage:
    """
    Return which units of a job are wanted.

    Raises:
        InvalidQueryError: Names every field that is wrong.
        JobUnknownError: No job has such an id.

    """
    wrong: list[Violation] = []
    _check_named(request, wrong)
    named = [
        word(UNIT_STATES, code, f"unit_states[{place}]", wrong)
        for place, code in enumerate(request.unit_states)
    ]
    states = frozenset(state for state in named if state)
    size = _page_size(request, wrong)
    after: int | None = 0
    if request.page_token:
        after = unit_page_read(request.page_token, request.job_id, states)
        if after is None:
            wrong.append(_foreign_page("GetJob", "job_id and unit_states"))
    job_id = _plausible(request, wrong)
    return UnitPage(job_id, states, after or 0, size)


def job_page_of(request: job_service_pb2.ListJobsRequest) -> JobPage:
    """
    Return which jobs are wanted.

    Raises:
        InvalidQueryError: Names every field that is wrong.

    """
    wrong: list[Violation] = []
    named = [
        word(JOB_STATES, code, f"states[{place}]", wrong)
        for place, code in enumerate(request.states)
    ]
    states = frozenset(state for state in named if state)
    check_text(request.name_prefix, "name_prefix", _LONGEST_NAME, wrong)
    size = _page_size(request, wrong)
    before = None
    if request.page_token:
        before = job_page_read(request.page_token, states, request.name_prefix)
        if before is None:
            wrong.append(_foreign_page("ListJobs", "states and name_prefix"))
    refuse(wrong)
    return JobPage(states, request.name_prefix, before, size)


def job_watch_of(request: job_service_pb2.WatchJobRequest) -> tuple[str, float]:
    """
    Return the job that is watched, and the seconds between two messages.

    Raises:
        InvalidQueryError: Names every field that is wrong.
        JobUnknownError: No job has such an id.

    """
    wrong: list[Violation] = []
    _check_named(request, wrong)
    interval_seconds = interval_seconds_of(request, wrong)
    return _plausible(request, wrong), interval_seconds


def reading_of(request: job_service_pb2.ReadResultsRequest) -> Reading:
    """
    Return which results are wanted.

    Raises:
        InvalidQueryError: Names every field that is wrong.
        JobUnknownError: No job has such an id.

    """
    wrong: list[Violation] = []
    _check_named(request, wrong)
    check_text(request.consumer, "consumer", _LONGEST_CONSUMER, wrong)
    acknowledged = _cursor(request, "acknowledged_cursor", wrong)
    after = _cursor(request, "after_cursor", wrong)
    job_id = _plausible(request, wrong)
    return Reading(job_id, request.consumer, acknowledged, after, request.follow)


def _within_spec(one: Violation) -> Violation:
    return Violation(f"spec.{one.field}", one.description)


def _first(field: str) -> str:
    return field.partition(".")[0]


def _check_named(request: _AboutJob, wrong: list[Violation]) -> None:
    if not request.job_id:
        wrong.append(Violation("job_id", "is required"))


def _plausible(request: _AboutJob, wrong: list[Violation]) -> str:
    """Return an id that is worth looking up, unless something else is wrong."""
    refuse(wrong)
    if len(request.job_id) > _LONGEST_JOB_ID or not request.job_id.isprintable():
        # Not every database can be asked for such a text.
        raise JobUnknownError(request.job_id[:_LONGEST_JOB_ID])
    return request.job_id


def _page_size(request: _AboutPage, wrong: list[Violation]) -> int:
    if request.page_size < 0:
        wrong.append(Violation("page_size", "must not be negative; 0 means 100"))
    return min(request.page_size or _USUAL_PAGE, _MOST_PAGE)


def _foreign_page(call: str, alike: str) -> Violation:
    told = f"is no next_page_token that {call} has answered with for the same {alike}"
    return Violation("page_token", told)


def _cursor(
    request: job_service_pb2.ReadResultsRequest, field: str, wrong: list[Violation]
) -> Cursor | None:
    text = getattr(request, field)
    if not text:
        return None
    cursor = cursor_read(text, request.job_id)
    if cursor is None:
        told = "is no cursor that ReadResults has answered with for this job"
        wrong.append(Violation(field, told))
    return cursor
