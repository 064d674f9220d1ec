"""JobService: let people have histories brought, look on, and take what has landed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from marketdata.ingestion.v1 import job_service_pb2, job_service_pb2_grpc
from typing_extensions import override

from ingestion_server.ports.jobs import Jobs, JobView
from ingestion_server.service.admission import Context, Door
from ingestion_server.service.job_decoding import (
    Reading,
    job_id_of,
    job_page_of,
    job_watch_of,
    named_as_sent,
    reading_of,
    submission_of,
    unit_page_of,
)
from ingestion_server.service.job_encoding import (
    job_of,
    news_of,
    plan_of,
    result_of,
    unit_of,
)
from ingestion_server.service.job_tokens import job_page_text, unit_page_text
from ingestion_server.service.streaming import told


class JobServicer(job_service_pb2_grpc.JobServiceServicer):
    """Answer the RPCs of JobService."""

    def __init__(self, jobs: Jobs, door: Door) -> None:
        """Name who has the jobs done, and who lets callers in."""
        self._jobs = jobs
        self._door = door

    @override
    async def CreateJob(
        self, request: job_service_pb2.CreateJobRequest, context: Context
    ) -> job_service_pb2.CreateJobResponse:
        """Answer with the job and its plan, or only with the plan."""
        async with self._door.call(context, "JobService/CreateJob"):
            # Reading 10,000 symbols takes longer than anybody else should wait.
            wanted = await asyncio.to_thread(submission_of, request)
            with named_as_sent():
                done = await self._jobs.create(
                    wanted.spec,
                    client_key=wanted.client_key,
                    name=wanted.name,
                    dry_run=wanted.dry_run,
                )
            return job_service_pb2.CreateJobResponse(
                job=None if done.job is None else job_of(done.job, done.progress),
                plan=None if done.plan is None else plan_of(done.plan),
                created=done.created,
            )
        raise AssertionError

    @override
    async def GetJob(
        self, request: job_service_pb2.GetJobRequest, context: Context
    ) -> job_service_pb2.GetJobResponse:
        """Answer with a job and some of its units."""
        async with self._door.call(context, "JobService/GetJob"):
            job_id, states, after, size = unit_page_of(request)
            job, progress = await self._jobs.get(job_id)
            # One more than is told says whether there is another page.
            found = (
                await self._jobs.units(job_id, states, after=after, limit=size + 1)
                if states
                else ()
            )
            units, more = found[:size], found[size:]
            return job_service_pb2.GetJobResponse(
                job=job_of(job, progress),
                units=[unit_of(unit, job.spec) for unit in units],
                next_page_token=(
                    unit_page_text(units[-1].number, job_id, states) if more else ""
                ),
            )
        raise AssertionError

    @override
    async def ListJobs(
        self, request: job_service_pb2.ListJobsRequest, context: Context
    ) -> job_service_pb2.ListJobsResponse:
        """Answer with jobs, the latest first."""
        async with self._door.call(context, "JobService/ListJobs"):
            states, name_prefix, before, size = job_page_of(request)
            found = await self._jobs.list(
                states, name_prefix, before=before, limit=size + 1
            )
            views, more = found[:size], found[size:]
            return job_service_pb2.ListJobsResponse(
                jobs=[
                    job_of(view.job, view.progress, with_symbols=False)
                    for view in views
                ],
                next_page_token=(
                    job_page_text(_place(views[-1]), states, name_prefix)
                    if more
                    else ""
                ),
            )
        raise AssertionError

    @override
    async def WatchJob(  # type: ignore[override]  # gRPC takes what writes, too
        self, request: job_service_pb2.WatchJobRequest, context: Context
    ) -> None:
        """Answer with a job as it is, and then whenever it has changed."""
        async with self._door.watch(context, "JobService/WatchJob"):
            job_id, interval_seconds = job_watch_of(request)
            await self._door.while_open(
                self._tell_changes(job_id, interval_seconds, context)
            )

    @override
    async def PauseJob(
        self, request: job_service_pb2.PauseJobRequest, context: Context
    ) -> job_service_pb2.PauseJobResponse:
        """Begin nothing more of a job, and answer with it."""
        async with self._door.call(context, "JobService/PauseJob"):
            view = await self._jobs.pause(job_id_of(request))
            return job_service_pb2.PauseJobResponse(job=job_of(*view))
        raise AssertionError

    @override
    async def ResumeJob(
        self, request: job_service_pb2.ResumeJobRequest, context: Context
    ) -> job_service_pb2.ResumeJobResponse:
        """Go on with a job, and answer with it."""
        async with self._door.call(context, "JobService/ResumeJob"):
            view = await self._jobs.resume(job_id_of(request))
            return job_service_pb2.ResumeJobResponse(job=job_of(*view))
        raise AssertionError

    @override
    async def CancelJob(
        self, request: job_service_pb2.CancelJobRequest, context: Context
    ) -> job_service_pb2.CancelJobResponse:
        """End a job for good, and answer with it."""
        async with self._door.call(context, "JobService/CancelJob"):
            view = await self._jobs.cancel(job_id_of(request))
            return job_service_pb2.CancelJobResponse(job=job_of(*view))
        raise AssertionError

    @override
    async def RetryFailed(
        self, request: job_service_pb2.RetryFailedRequest, context: Context
    ) -> job_service_pb2.RetryFailedResponse:
        """Have tried anew what is missing, and answer with the job."""
        async with self._door.call(context, "JobService/RetryFailed"):
            view, units = await self._jobs.retry_failed(job_id_of(request))
            return job_service_pb2.RetryFailedResponse(job=job_of(*view), units=units)
        raise AssertionError

    @override
    async def ReadResults(  # type: ignore[override]  # gRPC takes what writes, too
        self, request: job_service_pb2.ReadResultsRequest, context: Context
    ) -> None:
        """Answer with bars that have landed, each message once the last is gone."""
        async with self._door.watch(context, "JobService/ReadResults"):
            await self._door.while_open(
                self._tell_results(reading_of(request), context)
            )

    @override
    async def DeleteJob(
        self, request: job_service_pb2.DeleteJobRequest, context: Context
    ) -> job_service_pb2.DeleteJobResponse:
        """Forget a job."""
        async with self._door.call(context, "JobService/DeleteJob"):
            await self._jobs.delete(job_id_of(request))
            return job_service_pb2.DeleteJobResponse()
        raise AssertionError

    # Neither is a generator that yields: who leaves while a message waits to be sent
    # would not be noticed, and what it looks at stay open until it is collected.

    async def _tell_changes(
        self, job_id: str, interval_seconds: float, context: Context
    ) -> None:
        async with self._jobs.watch(job_id, interval_seconds=interval_seconds) as news:
            async for one in news:
                await told(news_of(one), context)

    async def _tell_results(self, reading: Reading, context: Context) -> None:
        job, _ = await self._jobs.get(reading.job_id)
        results = self._jobs.results(
            reading.job_id,
            reading.consumer,
            acknowledged=reading.acknowledged,
            after=reading.after,
            follow=reading.follow,
        )
        async with aclosing(results):
            async for one in results:
                await told(result_of(one, job), context)


def _place(view: JobView) -> tuple[int, str]:
    """Return where a job stands in the list."""
    return view.job.created_ns, view.job.job_id
