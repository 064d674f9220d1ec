"""Jobs, as a fake service tells of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

import grpc
from google.protobuf.message import Message
from marketdata.ingestion.v1 import (
    bar_pb2,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    provenance_pb2,
)

from tests.client.telling import DAY, FIRST, Refusal, stamp

JOB = "0198f3c2a7e1"
Told = Message | Refusal | Callable[[], object]
Result = job_service_pb2.ReadResultsResponse


class FakeJobs(job_service_pb2_grpc.JobServiceServicer):
    """Answer as told; each watch and each reading is the next of the scripts."""

    def __init__(self) -> None:
        self.refusal: Refusal | None = None
        self.created = job_service_pb2.CreateJobResponse(
            job=job(), plan=plan(), created=True
        )
        self.job = job()
        self.units = [unit(1), failed(2)]
        self.listed: list[job_pb2.Job] = [job()]
        self.watches: list[Iterable[Told]] = []
        self.readings: list[Iterable[Told]] = []
        self.requests: list[Message] = []
        self.readers: list[job_service_pb2.ReadResultsRequest] = []
        self.reading = threading.Event()
        self.ended = threading.Event()

    def CreateJob(  # noqa: N802 - named by the contract
        self,
        request: job_service_pb2.CreateJobRequest,
        context: grpc.ServicerContext,
    ) -> job_service_pb2.CreateJobResponse:
        """Answer as told; to a dry run without the job."""
        self._hear(request, context)
        if request.dry_run:
            return job_service_pb2.CreateJobResponse(plan=self.created.plan)
        return self.created

    def GetJob(  # noqa: N802 - named by the contract
        self, request: job_service_pb2.GetJobRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.GetJobResponse:
        """Answer with the job, and with its units, page by page."""
        self._hear(request, context)
        if request.job_id != self.job.job_id:
            unknown().raise_in(context)
        found = [each for each in self.units if each.state in request.unit_states]
        first = int(request.page_token or 0)
        rest = found[first + request.page_size :] if request.page_size else []
        return job_service_pb2.GetJobResponse(
            job=self.job,
            units=found[first : first + request.page_size],
            next_page_token=str(first + request.page_size) if rest else "",
        )

    def ListJobs(  # noqa: N802 - named by the contract
        self, request: job_service_pb2.ListJobsRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.ListJobsResponse:
        """Answer with the jobs, page by page."""
        self._hear(request, context)
        found = [
            each for each in self.listed if each.name.startswith(request.name_prefix)
        ]
        first = int(request.page_token or 0)
        last = first + request.page_size
        return job_service_pb2.ListJobsResponse(
            jobs=found[first:last],
            next_page_token=str(last) if found[last:] else "",
        )

    def WatchJob(  # noqa: N802 - named by the contract
        self, request: job_service_pb2.WatchJobRequest, context: grpc.ServicerContext
    ) -> Iterator[Message]:
        """Stream as told."""
        self._hear(request, context)
        context.add_callback(self.ended.set)
        return _played(self.watches, context)

    def PauseJob(  # noqa: N802 - named by the contract
        self, request: job_service_pb2.PauseJobRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.PauseJobResponse:
        """Answer with the job."""
        self._hear(request, context)
        return job_service_pb2.PauseJobResponse(job=job("PAUSED", detail="by request"))

    def ResumeJob(  # noqa: N802 - named by the contract
        self, request: job_service_pb2.ResumeJobRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.ResumeJobResponse:
        """Answer with the job."""
        self._hear(request, context)
        return job_service_pb2.ResumeJobResponse(job=job())

    def CancelJob(  # noqa: N802 - named by the contract
        self, request: job_service_pb2.CancelJobRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.CancelJobResponse:
        """Answer with the job."""
        self._hear(request, context)
        return job_service_pb2.CancelJobResponse(job=job("CANCELLED"))

    def RetryFailed(  # noqa: N802 - named by the contract
        self, request: job_service_pb2.RetryFailedRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.RetryFailedResponse:
        """Answer with the job and a number of units."""
        self._hear(request, context)
        return job_service_pb2.RetryFailedResponse(job=job(), units=len(self.units))

    def DeleteJob(  # noqa: N802 - named by the contract
        self, request: job_service_pb2.DeleteJobRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.DeleteJobResponse:
        """Answer with nothing."""
        self._hear(request, context)
        return job_service_pb2.DeleteJobResponse()

    def ReadResults(  # noqa: N802 - named by the contract
        self,
        request: job_service_pb2.ReadResultsRequest,
        context: grpc.ServicerContext,
    ) -> Iterator[Message]:
        """Stream as told."""
        self.readers.append(request)
        context.add_callback(self.ended.set)
        self.reading.set()
        if self.refusal is not None:
            self.refusal.raise_in(context)
        return _played(self.readings, context)

    def _hear(self, request: Message, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        if self.refusal is not None:
            self.refusal.raise_in(context)


def _played(
    scripts: list[Iterable[Told]], context: grpc.ServicerContext
) -> Iterator[Message]:
    for told in scripts.pop(0) if scripts else ():
        if isinstance(told, Refusal):
            told.raise_in(context)
        if isinstance(told, Message):
            yield told
        elif callable(told):
            told()


def unknown() -> Refusal:
    """Say that there is no such job."""
    return Refusal(grpc.StatusCode.NOT_FOUND, "JOB_UNKNOWN", "there is no such job")


def spec(**more: object) -> job_pb2.JobSpec:
    """Want two years of two stocks."""
    return job_pb2.JobSpec(
        **{
            "symbols": ["AAPL", "MSFT"],
            "interval": bar_pb2.INTERVAL_1_DAY,
            "adjustment": bar_pb2.ADJUSTMENT_SPLIT,
            "start": stamp(FIRST - 700 * DAY),
        }
        | more
    )


def progress(landed: int = 1, **more: object) -> job_pb2.JobProgress:
    """Tell of four units, of which one or more have landed."""
    return job_pb2.JobProgress(
        **{
            "units": 4,
            "landed": landed,
            "failed": 1,
            "pending": 3 - landed,
            "bars": 250 * landed,
            "calls": 3,
            "cost_usd": 0.25,
            "units_per_second": 0.5,
        }
        | more
    )


def job(state: str = "RUNNING", **more: object) -> job_pb2.Job:
    """Tell of a job."""
    return job_pb2.Job(
        **{
            "job_id": JOB,
            "name": "stocks",
            "spec": spec(),
            "state": job_pb2.JobState.Value(f"JOB_STATE_{state}"),
            "created_at": stamp(FIRST),
            "updated_at": stamp(FIRST),
            "run": 1,
            "run_started_at": stamp(FIRST),
            "progress": progress(),
        }
        | more
    )


def plan() -> job_pb2.JobPlan:
    """Tell of a plan for two vendors, which leaves one symbol out."""
    finishes = stamp(datetime(2100, 1, 1, tzinfo=FIRST.tzinfo))
    return job_pb2.JobPlan(
        units=4,
        units_landed=2,
        calls=7,
        cost_usd=0.5,
        finishes_at=finishes,
        providers=[
            job_pb2.ProviderPlan(
                provider="yahoo", units=3, calls=3, finishes_at=finishes
            ),
            job_pb2.ProviderPlan(
                provider="alpha_vantage", units=1, calls=4, cost_usd=0.5
            ),
        ],
        failures=[
            job_pb2.PlanFailure(symbol="A B", reason="INVALID_QUERY: no symbol has it")
        ],
    )


def unit(number: int, symbol: str = "AAPL", **more: object) -> job_pb2.JobUnit:
    """Tell of a unit that has landed."""
    start = FIRST + (number - 1) * 100 * DAY
    return job_pb2.JobUnit(
        **{
            "number": number,
            "run": 1,
            "symbol": symbol,
            "start": stamp(start),
            "end": stamp(start + 100 * DAY),
            "state": job_pb2.UNIT_STATE_LANDED,
            "attempts": 1,
            "bars": 3,
            "providers": ["yahoo"],
            "landed_at": stamp(FIRST),
        }
        | more
    )


def failed(
    number: int, symbol: str = "MSFT", reason: str = "ALL_PROVIDERS_FAILED: yahoo: 503"
) -> job_pb2.JobUnit:
    """Tell of a unit of which nothing could be had."""
    return unit(
        number,
        symbol,
        state=job_pb2.UNIT_STATE_FAILED,
        last_reason=reason,
        bars=0,
        providers=[],
        landed_at=None,
    )


def partial(number: int, symbol: str = "TSLA") -> job_pb2.JobUnit:
    """Tell of a unit that lacks a day."""
    start = FIRST + (number - 1) * 100 * DAY
    return unit(
        number,
        symbol,
        state=job_pb2.UNIT_STATE_PARTIAL,
        missing=[
            provenance_pb2.MissingInterval(
                start=stamp(start), end=stamp(start + DAY), reason="yahoo has no row"
            )
        ],
    )


def news(
    state: str = "RUNNING", *units: job_pb2.JobUnit, **more: object
) -> job_service_pb2.WatchJobResponse:
    """Tell that a job has changed."""
    return job_service_pb2.WatchJobResponse(job=job(state, **more), units=units)


def result(
    number: int,
    symbol: str = "AAPL",
    *,
    first: datetime = FIRST,
    close: float = 101.5,
    of: job_pb2.JobUnit | None = None,
    interval: int = bar_pb2.INTERVAL_1_DAY,
) -> Result:
    """Tell of a message with three daily bars of a unit; its cursor is its number."""
    day_ns = 86_400 * 10**9
    first_ns = int(first.timestamp()) * 10**9
    return Result(
        cursor=f"c{number}",
        unit=of or unit(number, symbol),
        series=bar_pb2.BarSeries(
            symbol=symbol,
            interval=interval,
            adjustment=bar_pb2.ADJUSTMENT_SPLIT,
            currency="USD",
            time_zone="America/New_York",
            exchange="XNYS",
            columns=bar_pb2.BarColumns(
                open_time_ns=[first_ns + day_ns * n for n in range(3)],
                open=[100.5] * 3,
                high=[102.25] * 3,
                low=[99.0] * 3,
                close=[close + n for n in range(3)],
                volume=[1000.0] * 3,
                state=[1] * 3,
            ),
        ),
        sources=[
            job_service_pb2.ResultSource(
                provider="yahoo",
                start=stamp(first),
                end=stamp(first + timedelta(days=3)),
                received_at=stamp(FIRST),
                derived=True,
            )
        ],
    )
