"""Jobs, without asyncio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Unpack

import grpc
from marketdata.ingestion.v1 import job_service_pb2, job_service_pb2_grpc

from ingestion_server.client.job_reading import Reading
from ingestion_server.client.job_request import (
    JobOptions,
    job_spec,
    list_request,
    units_request,
    watch_request,
)
from ingestion_server.client.job_results import SyncResults
from ingestion_server.client.job_values import (
    CreatedJob,
    Job,
    JobChanges,
    JobPlan,
    JobUnit,
    changes_from,
    created_from,
    job_from,
    plan_from,
    unit_from,
)
from ingestion_server.client.request import When
from ingestion_server.client.status import failures_of


class SyncJobs:
    """
    Have histories brought that are too long to wait for; see `Jobs`.

        created = client.jobs.create(["AAPL", "MSFT"], "2010-01-01")
        for changes in client.jobs.watch(created.job.job_id):
            print(changes.job.progress)

    Each method raises `IngestionClientError`, one subclass per reason, and takes
    `timeout_seconds`, which bounds the call, retries included; None = the client's.
    """

    def __init__(
        self, channel: grpc.Channel, target: str, timeout_seconds: float
    ) -> None:
        """Name the server, and the channel to it."""
        self._channel: Final = channel
        self._target: Final = target
        self._timeout: Final = timeout_seconds
        self._stub: Final = job_service_pb2_grpc.JobServiceStub(channel)

    def create(
        self,
        symbols: str | Sequence[str],
        start: When,
        *,
        name: str = "",
        client_key: str = "",
        timeout_seconds: float | None = None,
        **options: Unpack[JobOptions],
    ) -> CreatedJob:
        """
        Have bars brought from `start` on, and return the job and its plan.

        Args:
            symbols: at most 10,000; what cannot be read becomes a failed unit.
            start: open time of the first bar.
            name: for people, at most 128 characters.
            client_key: the same key means the same job, so that a call can be made
                again; empty = always another job.
            timeout_seconds: see the class.
            options: see `JobOptions`; without any, daily bars, once.

        Raises:
            ValueError: an option is none of those that exist (InvalidOptionError).

        """
        request = job_service_pb2.CreateJobRequest(
            client_key=client_key, name=name, spec=job_spec(symbols, start, **options)
        )
        with failures_of(self._target):
            answer = self._stub.CreateJob(
                request, timeout=timeout_seconds or self._timeout
            )
        return created_from(answer)

    def plan(
        self,
        symbols: str | Sequence[str],
        start: When,
        *,
        timeout_seconds: float | None = None,
        **options: Unpack[JobOptions],
    ) -> JobPlan:
        """Tell what a job would do; nothing is created, no vendor asked."""
        request = job_service_pb2.CreateJobRequest(
            spec=job_spec(symbols, start, **options), dry_run=True
        )
        with failures_of(self._target):
            answer = self._stub.CreateJob(
                request, timeout=timeout_seconds or self._timeout
            )
        return plan_from(answer)

    def get(self, job_id: str, *, timeout_seconds: float | None = None) -> Job:
        """Tell of a job."""
        request = job_service_pb2.GetJobRequest(job_id=job_id)
        with failures_of(self._target):
            answer = self._stub.GetJob(
                request, timeout=timeout_seconds or self._timeout
            )
        return job_from(answer.job)

    def units(
        self,
        job_id: str,
        states: str | Sequence[str] = ("partial", "failed"),
        *,
        page_size: int = 1_000,
        timeout_seconds: float | None = None,
    ) -> Iterator[JobUnit]:
        """
        Tell of the units of a job's latest run, by number.

        Only those in `states`, such as ``landed``; without any, those of which
        something is missing. `timeout_seconds` bounds each page.
        """
        token = ""
        while True:
            request = units_request(
                job_id, states, page_size=page_size, page_token=token
            )
            with failures_of(self._target):
                answer = self._stub.GetJob(
                    request, timeout=timeout_seconds or self._timeout
                )
            for unit in answer.units:
                yield unit_from(unit)
            token = answer.next_page_token
            if not token:
                return

    def list(
        self,
        states: str | Sequence[str] = (),
        *,
        name_prefix: str = "",
        page_size: int = 100,
        timeout_seconds: float | None = None,
    ) -> Iterator[Job]:
        """
        Tell of all jobs, the latest first, without their symbols.

        Only those in `states`, such as ``paused``, whose name begins so; empty = all.
        `timeout_seconds` bounds each page.
        """
        token = ""
        while True:
            request = list_request(
                states, name_prefix, page_size=page_size, page_token=token
            )
            with failures_of(self._target):
                answer = self._stub.ListJobs(
                    request, timeout=timeout_seconds or self._timeout
                )
            for job in answer.jobs:
                yield job_from(job)
            token = answer.next_page_token
            if not token:
                return

    def watch(
        self,
        job_id: str,
        *,
        min_interval_seconds: float = 1.0,
        timeout_seconds: float | None = None,
    ) -> Iterator[JobChanges]:
        """
        Tell a job as it is, and then whenever it has changed, until it has ended.

        It ends with an error if the server stops. Leaving the loop early ends the
        call. Only `timeout_seconds`
        bounds it.
        """
        request = watch_request(job_id, min_interval_seconds)
        call = self._stub.WatchJob(request, timeout=timeout_seconds)
        try:
            with failures_of(self._target):
                for response in call:
                    yield changes_from(response)
        finally:
            call.cancel()

    def pause(self, job_id: str, *, timeout_seconds: float | None = None) -> Job:
        """Let what is under way finish, and begin nothing more."""
        request = job_service_pb2.PauseJobRequest(job_id=job_id)
        with failures_of(self._target):
            answer = self._stub.PauseJob(
                request, timeout=timeout_seconds or self._timeout
            )
        return job_from(answer.job)

    def resume(self, job_id: str, *, timeout_seconds: float | None = None) -> Job:
        """Go on with a job that is paused."""
        request = job_service_pb2.ResumeJobRequest(job_id=job_id)
        with failures_of(self._target):
            answer = self._stub.ResumeJob(
                request, timeout=timeout_seconds or self._timeout
            )
        return job_from(answer.job)

    def cancel(self, job_id: str, *, timeout_seconds: float | None = None) -> Job:
        """End a job for good; what has landed stays."""
        request = job_service_pb2.CancelJobRequest(job_id=job_id)
        with failures_of(self._target):
            answer = self._stub.CancelJob(
                request, timeout=timeout_seconds or self._timeout
            )
        return job_from(answer.job)

    def retry_failed(
        self, job_id: str, *, timeout_seconds: float | None = None
    ) -> tuple[Job, int]:
        """Try again what is missing; return the job and how many units that is."""
        request = job_service_pb2.RetryFailedRequest(job_id=job_id)
        with failures_of(self._target):
            answer = self._stub.RetryFailed(
                request, timeout=timeout_seconds or self._timeout
            )
        return job_from(answer.job), answer.units

    def delete(self, job_id: str, *, timeout_seconds: float | None = None) -> None:
        """Forget a job that is not running; the bars that have landed stay."""
        request = job_service_pb2.DeleteJobRequest(job_id=job_id)
        with failures_of(self._target):
            self._stub.DeleteJob(request, timeout=timeout_seconds or self._timeout)

    def results(
        self,
        job_id: str,
        *,
        consumer: str = "",
        follow: bool = False,
        acknowledge: bool = True,
        after: str = "",
    ) -> SyncResults:
        """
        Read what has landed, in that order, as bars; see `SyncResults`.

        Args:
            job_id: id of the job.
            consumer: who reads, at most 64 characters: each has a place of its own.
            follow: whether to wait for more until the job ends.
            acknowledge: whether what was read is not to be told again.
            after: the cursor of a result that reading begins after; empty = after
                what this consumer has acknowledged.

        """
        reading = Reading(
            job_id,
            self._target,
            consumer=consumer,
            follow=follow,
            acknowledge=acknowledge,
            after=after,
        )
        return SyncResults(reading, self._channel, self._timeout)
