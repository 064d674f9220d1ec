"""Jobs of a house under test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import grpc.aio
from google.protobuf import json_format
from marketdata.ingestion.v1 import job_pb2, job_service_pb2

from tests.port.house import House, RefusedError

_PATIENCE_SECONDS: Final = 60
ENDED: Final = frozenset(
    {
        job_pb2.JOB_STATE_COMPLETED,
        job_pb2.JOB_STATE_INCOMPLETE,
        job_pb2.JOB_STATE_CANCELLED,
    }
)
ALL_UNITS: Final = tuple(job_pb2.UnitState.values()[1:])


class JobDesk:
    """Ask for jobs as a client does; requests are written as in JSON."""

    def __init__(self, home: House) -> None:
        self._stub = home.jobs

    async def create(self, **request: Any) -> job_service_pb2.CreateJobResponse:
        """Create a job. Raises ``RefusedError``."""
        message = json_format.ParseDict(request, job_service_pb2.CreateJobRequest())
        return await self._told(self._stub.CreateJob(message, timeout=20))

    async def begun(self, *symbols: str, **spec: Any) -> str:
        """Create a job of some symbols, and return its id."""
        told = await self.create(spec={"symbols": symbols, **spec})
        return told.job.job_id

    async def get(self, job_id: str) -> job_pb2.Job:
        """Return a job. Raises ``RefusedError``."""
        message = job_service_pb2.GetJobRequest(job_id=job_id)
        told = await self._told(self._stub.GetJob(message, timeout=20))
        return told.job

    async def units(
        self, job_id: str, states: Sequence[int] = ALL_UNITS
    ) -> list[job_pb2.JobUnit]:
        """Return the units of its latest run in some states."""
        found: list[job_pb2.JobUnit] = []
        token = ""
        while True:
            message = job_service_pb2.GetJobRequest(
                job_id=job_id,
                unit_states=states,  # type: ignore[arg-type]  # its own
                page_size=1000,
                page_token=token,
            )
            told = await self._told(self._stub.GetJob(message, timeout=20))
            found.extend(told.units)
            token = told.next_page_token
            if not token:
                return found

    async def list(self, **request: Any) -> job_service_pb2.ListJobsResponse:
        """Return jobs. Raises ``RefusedError``."""
        message = json_format.ParseDict(request, job_service_pb2.ListJobsRequest())
        return await self._told(self._stub.ListJobs(message, timeout=20))

    async def pause(self, job_id: str) -> job_pb2.Job:
        """Pause. Raises ``RefusedError``."""
        message = job_service_pb2.PauseJobRequest(job_id=job_id)
        return (await self._told(self._stub.PauseJob(message, timeout=20))).job

    async def resume(self, job_id: str) -> job_pb2.Job:
        """Go on. Raises ``RefusedError``."""
        message = job_service_pb2.ResumeJobRequest(job_id=job_id)
        return (await self._told(self._stub.ResumeJob(message, timeout=20))).job

    async def cancel(self, job_id: str) -> job_pb2.Job:
        """Cancel. Raises ``RefusedError``."""
        message = job_service_pb2.CancelJobRequest(job_id=job_id)
        return (await self._told(self._stub.CancelJob(message, timeout=20))).job

    async def retry(self, job_id: str) -> job_service_pb2.RetryFailedResponse:
        """Try again what failed. Raises ``RefusedError``."""
        message = job_service_pb2.RetryFailedRequest(job_id=job_id)
        return await self._told(self._stub.RetryFailed(message, timeout=20))

    async def delete(self, job_id: str) -> None:
        """Forget a job. Raises ``RefusedError``."""
        message = job_service_pb2.DeleteJobRequest(job_id=job_id)
        await self._told(self._stub.DeleteJob(message, timeout=20))

    async def watched(self, job_id: str) -> list[job_service_pb2.WatchJobResponse]:
        """Watch a job until it ends."""
        message = json_format.ParseDict(
            {"jobId": job_id, "minInterval": "0.05s"},
            job_service_pb2.WatchJobRequest(),
        )
        call = self._stub.WatchJob(message, timeout=_PATIENCE_SECONDS)
        return [news async for news in call]

    async def ended(self, job_id: str) -> job_pb2.Job:
        """Wait until a job has ended, and return it."""
        return (await self.watched(job_id))[-1].job

    async def until(self, job_id: str, *states: int) -> job_pb2.Job:
        """Wait until a job is in one of some states, and return it."""
        message = json_format.ParseDict(
            {"jobId": job_id, "minInterval": "0.05s"},
            job_service_pb2.WatchJobRequest(),
        )
        call = self._stub.WatchJob(message, timeout=_PATIENCE_SECONDS)
        try:
            async for news in call:
                if news.job.state in states:
                    return news.job
        finally:
            call.cancel()
        raise AssertionError(f"it never was {states}")

    async def results(
        self, job_id: str, **request: Any
    ) -> list[job_service_pb2.ReadResultsResponse]:
        """Read results until the stream ends. Raises ``RefusedError``."""
        message = json_format.ParseDict(
            {"jobId": job_id, **request}, job_service_pb2.ReadResultsRequest()
        )
        call = self._stub.ReadResults(message, timeout=_PATIENCE_SECONDS)
        try:
            return [result async for result in call]
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from error

    @staticmethod
    async def _told(call: Any) -> Any:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise RefusedError(error) from error


def bars_of(
    results: Sequence[job_service_pb2.ReadResultsResponse],
) -> dict[str, dict[int, tuple[float, ...]]]:
    """Return all bars by symbol and open time; a repeated one must be the same."""
    found: dict[str, dict[int, tuple[float, ...]]] = {}
    for result in results:
        columns = result.series.columns
        kept = found.setdefault(result.unit.symbol, {})
        for row in zip(
            columns.open_time_ns,
            columns.open,
            columns.high,
            columns.low,
            columns.close,
            columns.volume,
            strict=True,
        ):
            assert kept.setdefault(row[0], row[1:]) == row[1:]
    return found
