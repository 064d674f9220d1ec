"""JobService on a real port, before a desk that does what it is told."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator

import grpc
import grpc.aio
import msgspec
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from marketdata.ingestion.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc

from ingestion_server.domain.errors import (
    InvalidQueryError,
    JobStateConflictError,
    StateUnavailableError,
    Violation,
)
from ingestion_server.domain.jobs import JobState, UnitState
from ingestion_server.ports.jobs import Cursor, JobNews, JobView, Result, Submitted
from ingestion_server.service.admission import Door
from ingestion_server.service.jobs import JobServicer
from ingestion_server.service.server import GrpcServer, bound_server
from tests.clocks import SECOND_NS
from tests.service.job_desks import (
    JOB,
    PLAN,
    PROGRESS,
    START_NS,
    FakeJobs,
    result,
    unit,
)
from tests.service.refusals import fields, reason, refused

Stub = job_service_pb2_grpc.JobServiceStub
SPEC = job_pb2.JobSpec(symbols=["AAPL"], start=Timestamp(seconds=START_NS // SECOND_NS))
NEWS = JobNews(JobView(JOB, PROGRESS), [unit(1, state=UnitState.LANDED)])
Create = job_service_pb2.CreateJobRequest
Get = job_service_pb2.GetJobRequest
List = job_service_pb2.ListJobsRequest
Watch = job_service_pb2.WatchJobRequest
Read = job_service_pb2.ReadResultsRequest
ABOUT_ONE = {
    "GetJob": Get,
    "PauseJob": job_service_pb2.PauseJobRequest,
    "ResumeJob": job_service_pb2.ResumeJobRequest,
    "CancelJob": job_service_pb2.CancelJobRequest,
    "RetryFailed": job_service_pb2.RetryFailedRequest,
    "DeleteJob": job_service_pb2.DeleteJobRequest,
    "WatchJob": Watch,
    "ReadResults": Read,
}
STREAMS = {"WatchJob", "ReadResults"}
EVERY_STREAM = pytest.mark.parametrize("method", sorted(STREAMS))


@pytest.fixture
async def jobs() -> FakeJobs:
    """Know one job."""
    return FakeJobs()


@pytest.fixture
async def bound(jobs: FakeJobs, door: Door) -> AsyncIterator[GrpcServer]:
    """Serve on a free port."""
    bound = bound_server([JobServicer(jobs, door)], "127.0.0.1:0", None)
    await bound.server.start()
    yield bound
    await bound.server.stop(0)


@pytest.fixture
async def stub(bound: GrpcServer) -> AsyncIterator[Stub]:
    """Ask for jobs."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as connected:
        yield Stub(connected)


def called(stub: Stub, method: str, job_id: str = JOB.job_id):
    """Call a method about one job; of a stream, what comes first."""
    call = getattr(stub, method)(ABOUT_ONE[method](job_id=job_id))
    return anext(aiter(call)) if method in STREAMS else call


async def test_a_job_is_created_with_its_plan(stub: Stub, jobs: FakeJobs) -> None:
    request = Create(client_key="nightly", name="five hundred", spec=SPEC)

    answer = await stub.CreateJob(request)

    ((_, spec, *said),) = jobs.asked
    assert spec.symbols == ("AAPL",)
    assert said == ["nightly", "five hundred", False]
    assert answer.created
    assert answer.job.job_id == JOB.job_id
    assert answer.job.progress.units == 15
    assert (answer.plan.units, answer.plan.calls, answer.plan.cost_usd) == (3, 4, 0.25)


async def test_a_dry_run_tells_the_plan_only(stub: Stub, jobs: FakeJobs) -> None:
    jobs.submitted = Submitted(None, PLAN, created=False)

    answer = await stub.CreateJob(Create(spec=SPEC, dry_run=True))

    assert not answer.HasField("job")
    assert not answer.created
    assert answer.plan.units == 3


async def test_a_job_that_was_there_has_no_plan(stub: Stub, jobs: FakeJobs) -> None:
    jobs.submitted = Submitted(JOB, None, created=False, progress=PROGRESS)

    answer = await stub.CreateJob(Create(spec=SPEC, client_key="nightly"))

    assert not answer.HasField("plan")
    assert not answer.created
    assert answer.job.client_key == "nightly"


async def test_ten_thousand_symbols_fit_a_request_and_come_back(
    stub: Stub, jobs: FakeJobs
) -> None:
    symbols = [f"SYMBOL{number}" for number in range(10_000)]
    spec = msgspec.structs.replace(JOB.spec, symbols=tuple(symbols))
    jobs.submitted = Submitted(
        msgspec.structs.replace(JOB, spec=spec), PLAN, created=True
    )

    answer = await stub.CreateJob(
        Create(spec=job_pb2.JobSpec(symbols=symbols, start=SPEC.start))
    )

    assert list(answer.job.spec.symbols) == symbols


async def test_wrong_fields_are_named_before_anything_is_done(
    stub: Stub, jobs: FakeJobs
) -> None:
    failed = await refused(stub.CreateJob(Create()))

    assert failed.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert {name for name, _ in fields(failed)} == {"spec.symbols", "spec.start"}
    assert not jobs.asked


async def test_what_the_desk_finds_wrong_is_named_within_the_spec(
    stub: Stub, jobs: FakeJobs
) -> None:
    jobs.fails = InvalidQueryError([Violation("schedule.cron", "never fires")])

    failed = await refused(stub.CreateJob(Create(spec=SPEC)))

    assert fields(failed) == [("spec.schedule.cron", "never fires")]


async def test_a_disk_that_is_full_is_told(stub: Stub, jobs: FakeJobs) -> None:
    jobs.fails = StateUnavailableError("no space left on jobs.sqlite")

    failed = await refused(stub.CreateJob(Create(spec=SPEC)))

    assert failed.code() is grpc.StatusCode.UNAVAILABLE
    assert reason(failed) == "STATE_UNAVAILABLE"
    assert failed.details() == "no space left on jobs.sqlite"


async def test_a_job_is_told_with_its_symbols_and_without_units(
    stub: Stub, jobs: FakeJobs
) -> None:
    jobs.kept = [unit(1)]

    answer = await stub.GetJob(Get(job_id=JOB.job_id))

    assert len(answer.job.spec.symbols) == 4
    assert not answer.units
    assert jobs.asked == [("get", JOB.job_id)]


async def test_units_come_in_pages(stub: Stub, jobs: FakeJobs) -> None:
    jobs.kept = [unit(number, state=UnitState.FAILED) for number in range(1, 6)]
    request = Get(
        job_id=JOB.job_id, unit_states=[job_pb2.UNIT_STATE_FAILED], page_size=2
    )
    pages = []

    while not pages or request.page_token:
        answer = await stub.GetJob(request)
        pages.append([one.number for one in answer.units])
        request.page_token = answer.next_page_token

    assert pages == [[1, 2], [3, 4], [5]]


async def test_a_page_that_holds_the_rest_has_no_next_one(
    stub: Stub, jobs: FakeJobs
) -> None:
    jobs.kept = [unit(1), unit(2), unit(3, state=UnitState.LANDED)]
    request = Get(
        job_id=JOB.job_id, unit_states=[job_pb2.UNIT_STATE_PENDING], page_size=2
    )

    answer = await stub.GetJob(request)

    assert [one.number for one in answer.units] == [1, 2]
    assert not answer.next_page_token


@pytest.mark.parametrize(("asked", "limit"), [(0, 101), (7, 8), (5_000, 1_001)])
async def test_a_page_has_a_bound(
    stub: Stub, jobs: FakeJobs, asked: int, limit: int
) -> None:
    await stub.ListJobs(List(page_size=asked))

    assert jobs.asked == [("list", frozenset(), "", None, limit)]


async def test_jobs_come_in_pages_the_latest_first_without_symbols(
    stub: Stub, jobs: FakeJobs
) -> None:
    for number in range(4):
        job = msgspec.structs.replace(
            JOB, job_id=f"job{number}", created_ns=JOB.created_ns + number // 2
        )
        jobs.views[job.job_id] = JobView(job, PROGRESS)
    request = List(states=[job_pb2.JOB_STATE_RUNNING], name_prefix="five", page_size=2)
    pages = []

    while not pages or request.page_token:
        answer = await stub.ListJobs(request)
        pages.append([one.job_id for one in answer.jobs])
        assert not any(one.spec.symbols for one in answer.jobs)
        request.page_token = answer.next_page_token

    assert pages == [["job3", "job2"], ["job1", "job0"], [JOB.job_id]]
    assert jobs.asked[-1][1:3] == ({JobState.RUNNING}, "five")


async def test_filters_and_pages_that_are_wrong_are_named(
    stub: Stub, jobs: FakeJobs
) -> None:
    listing = List(states=[0, 99], name_prefix="\x00", page_size=-1, page_token="x")
    getting = Get(unit_states=[99], page_size=-1, page_token="x")

    listed, got = (
        await refused(stub.ListJobs(listing)),
        await refused(stub.GetJob(getting)),
    )

    assert [name for name, _ in fields(listed)] == [
        "states[0]",
        "states[1]",
        "name_prefix",
        "page_size",
        "page_token",
    ]
    assert [name for name, _ in fields(got)] == [
        "job_id",
        "unit_states[0]",
        "page_size",
        "page_token",
    ]
    assert not jobs.asked


async def test_a_page_of_another_question_is_refused(
    stub: Stub, jobs: FakeJobs
) -> None:
    jobs.kept = [unit(number) for number in range(1, 4)]
    request = Get(
        job_id=JOB.job_id, unit_states=[job_pb2.UNIT_STATE_PENDING], page_size=1
    )
    request.page_token = (await stub.GetJob(request)).next_page_token
    request.unit_states[0] = job_pb2.UNIT_STATE_FAILED

    failed = await refused(stub.GetJob(request))

    ((field, told),) = fields(failed)
    assert field == "page_token"
    assert "for the same job_id and unit_states" in told


@pytest.mark.parametrize(
    ("method", "state"),
    [
        ("PauseJob", job_pb2.JOB_STATE_PAUSED),
        ("ResumeJob", job_pb2.JOB_STATE_RUNNING),
        ("CancelJob", job_pb2.JOB_STATE_CANCELLED),
        ("RetryFailed", job_pb2.JOB_STATE_RUNNING),
    ],
)
async def test_a_job_is_turned_and_told_as_it_is_then(
    stub: Stub, method: str, state: job_pb2.JobState
) -> None:
    answer = await called(stub, method)

    assert answer.job.state == state
    assert answer.job.progress.units == 15


async def test_how_many_units_are_tried_again_is_told(stub: Stub) -> None:
    answer = await called(stub, "RetryFailed")

    assert answer.units == 2


async def test_a_job_is_forgotten(stub: Stub) -> None:
    await called(stub, "DeleteJob")

    failed = await refused(called(stub, "GetJob"))
    assert reason(failed) == "JOB_UNKNOWN"


@pytest.mark.parametrize("method", ABOUT_ONE)
async def test_a_job_that_is_not_there_is_told_so(stub: Stub, method: str) -> None:
    failed = await refused(called(stub, method, "0000"))

    assert failed.code() is grpc.StatusCode.NOT_FOUND
    assert reason(failed) == "JOB_UNKNOWN"
    assert "there is no job '0000'" in (failed.details() or "")


@pytest.mark.parametrize("method", ABOUT_ONE)
@pytest.mark.parametrize("job_id", ["a\x00b", "a" * 500_000])
async def test_what_is_no_id_is_not_looked_up(
    stub: Stub, jobs: FakeJobs, method: str, job_id: str
) -> None:
    failed = await refused(called(stub, method, job_id))

    assert reason(failed) == "JOB_UNKNOWN"
    assert not jobs.asked


@pytest.mark.parametrize("method", ABOUT_ONE)
async def test_an_id_is_required(stub: Stub, jobs: FakeJobs, method: str) -> None:
    failed = await refused(called(stub, method, ""))

    assert fields(failed) == [("job_id", "is required")]
    assert not jobs.asked


@pytest.mark.parametrize(
    "method", ["PauseJob", "ResumeJob", "CancelJob", "RetryFailed", "DeleteJob"]
)
async def test_a_state_that_does_not_allow_it_is_told(
    stub: Stub, jobs: FakeJobs, method: str
) -> None:
    jobs.fails = JobStateConflictError(
        "it is running; pause it first", job_id=JOB.job_id, state="running"
    )

    failed = await refused(called(stub, method))

    assert failed.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason(failed) == "JOB_STATE_CONFLICT"
    assert failed.details() == "it is running; pause it first"


async def test_changes_are_told_until_the_job_has_ended(
    stub: Stub, jobs: FakeJobs
) -> None:
    ended = msgspec.structs.replace(JOB, state=JobState.COMPLETED)
    for one in (NEWS, JobNews(JobView(ended, PROGRESS), ()), None):
        jobs.news.put_nowait(one)

    first, last = [one async for one in stub.WatchJob(Watch(job_id=JOB.job_id))]

    assert not first.job.spec.symbols
    assert first.job.progress.finishes_at.seconds > 0
    assert [(one.number, one.state) for one in first.units] == [
        (1, job_pb2.UNIT_STATE_LANDED)
    ]
    assert last.job.state == job_pb2.JOB_STATE_COMPLETED
    await jobs.until_open(0)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (None, 1.0),
        (Duration(), 0.05),
        (Duration(seconds=2, nanos=500_000_000), 2.5),
        (Duration(seconds=7_200), 3_600),
    ],
)
async def test_the_time_between_two_messages_has_bounds(
    stub: Stub, jobs: FakeJobs, asked: Duration | None, seconds: float
) -> None:
    jobs.news.put_nowait(None)

    call = stub.WatchJob(Watch(job_id=JOB.job_id, min_interval=asked))
    assert [one async for one in call] == []

    assert jobs.asked == [("watch", JOB.job_id, seconds)]


async def test_a_time_between_messages_that_is_none_is_named(stub: Stub) -> None:
    request = Watch(min_interval=Duration(seconds=-1))

    failed = await refused(anext(aiter(stub.WatchJob(request))))

    assert [name for name, _ in fields(failed)] == ["job_id", "min_interval"]


async def results(*told: Result) -> AsyncGenerator[Result, None]:
    """Tell some results."""
    for one in told:
        yield one


async def test_results_are_told_with_cursors(stub: Stub, jobs: FakeJobs) -> None:
    jobs.landed = results(result(1, count=3), result(2))

    told = [one async for one in stub.ReadResults(Read(job_id=JOB.job_id))]

    assert [len(one.series.columns.close) for one in told] == [3, 2]
    assert [one.unit.number for one in told] == [1, 2]
    assert jobs.asked[-1] == ("results", JOB.job_id, "", None, None, False)


async def test_a_cursor_goes_on_and_acknowledges(stub: Stub, jobs: FakeJobs) -> None:
    jobs.landed = results(result(1), result(2, 3))
    first, second = [one async for one in stub.ReadResults(Read(job_id=JOB.job_id))]
    jobs.landed = results()

    request = Read(
        job_id=JOB.job_id,
        consumer="warehouse",
        acknowledged_cursor=first.cursor,
        after_cursor=second.cursor,
        follow=True,
    )
    assert [one async for one in stub.ReadResults(request)] == []

    assert jobs.asked[-1] == (
        *("results", JOB.job_id, "warehouse"),
        *(Cursor(1, 1), Cursor(2, 3), True),
    )


async def test_cursors_that_are_none_of_the_job_s_are_refused(
    stub: Stub, jobs: FakeJobs
) -> None:
    jobs.landed = results(result(1))
    told = await anext(aiter(stub.ReadResults(Read(job_id=JOB.job_id))))
    await jobs.until_open(0)
    jobs.asked.clear()
    request = Read(
        job_id="another",
        consumer="c" * 65,
        acknowledged_cursor=told.cursor,
        after_cursor="made up",
    )

    failed = await refused(anext(aiter(stub.ReadResults(request))))

    assert failed.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(failed) == [
        ("consumer", "is longer than 64 characters"),
        (
            "acknowledged_cursor",
            "is no cursor that ReadResults has answered with for this job",
        ),
        (
            "after_cursor",
            "is no cursor that ReadResults has answered with for this job",
        ),
    ]
    assert not jobs.asked


async def begun(stub: Stub, jobs: FakeJobs, method: str):
    """Watch or read what is silent, once it is open."""
    before = jobs.open
    call = getattr(stub, method)(ABOUT_ONE[method](job_id=JOB.job_id))
    await jobs.until_open(before + 1)
    return call


@EVERY_STREAM
async def test_who_leaves_is_told_no_more(
    stub: Stub, jobs: FakeJobs, method: str
) -> None:
    call = await begun(stub, jobs, method)

    call.cancel()

    await jobs.until_open(0)


@EVERY_STREAM
async def test_who_loses_its_connection_is_told_no_more(
    bound: GrpcServer, jobs: FakeJobs, method: str
) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as connected:
        call = await begun(Stub(connected), jobs, method)

    await jobs.until_open(0)
    del call


@EVERY_STREAM
async def test_a_server_that_stops_sends_everybody_away(
    stub: Stub, jobs: FakeJobs, door: Door, method: str
) -> None:
    call = await begun(stub, jobs, method)

    door.close()
    async with asyncio.timeout(20):
        await door.left()
    failed = await refused(anext(aiter(call)))

    assert failed.code() is grpc.StatusCode.UNAVAILABLE
    assert reason(failed) == "SERVER_STOPPING"
    assert jobs.open == 0


@pytest.mark.parametrize("method", ABOUT_ONE)
async def test_a_server_that_stops_lets_nobody_in(
    stub: Stub, jobs: FakeJobs, door: Door, method: str
) -> None:
    door.close()

    failed = await refused(called(stub, method))

    assert reason(failed) == "SERVER_STOPPING"
    assert not jobs.asked


@EVERY_STREAM
async def test_streams_have_places_of_their_own(
    stub: Stub, jobs: FakeJobs, method: str
) -> None:
    # Kept, since a call that nobody holds is cancelled.
    kept = [await begun(stub, jobs, method) for _ in range(2)]

    failed = await refused(called(stub, method))
    answer = await called(stub, "GetJob")

    assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason(failed) == "CALLER_THROTTLED"
    assert answer.job.job_id == JOB.job_id
    del kept


@EVERY_STREAM
async def test_a_deadline_ends_a_stream_as_any_call(
    stub: Stub, jobs: FakeJobs, method: str
) -> None:
    request = ABOUT_ONE[method](job_id=JOB.job_id)

    failed = await refused(anext(aiter(getattr(stub, method)(request, timeout=0.2))))

    assert failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await jobs.until_open(0)


@pytest.mark.parametrize("method", ABOUT_ONE)
async def test_a_defect_tells_where_to_look_it_up(
    stub: Stub, jobs: FakeJobs, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    jobs.fails = ZeroDivisionError()

    failed = await refused(called(stub, method))

    assert reason(failed) == "INTERNAL"
    assert "met a defect" in caplog.text


class Flood:
    """Tell results without end, and say when nobody takes any more."""

    def __init__(self) -> None:
        self.taken = 0

    async def results(self) -> AsyncGenerator[Result, None]:
        """Tell 5,000 bars at a time."""
        many = result(1, count=5_000)
        for self.taken in itertools.count(1):
            yield many

    async def stalled(self) -> int:
        """Wait until no more is taken, and return how much was."""
        async with asyncio.timeout(20):
            for before in iter(lambda: self.taken, None):
                # Turns of the loop in which whoever can be told more is told more.
                for _ in range(2_000):
                    await asyncio.sleep(0)
                if before == self.taken > 0:
                    break
        return self.taken


async def test_who_does_not_read_is_not_read_for(stub: Stub, jobs: FakeJobs) -> None:
    flood = Flood()
    jobs.landed = flood.results()
    call = stub.ReadResults(Read(job_id=JOB.job_id))
    await call.read()

    taken = await flood.stalled()

    assert taken * 250_000 < 16_000_000
    call.cancel()
    await jobs.until_open(0)


async def test_who_does_not_read_does_not_hold_up_the_stop(
    stub: Stub, jobs: FakeJobs, door: Door
) -> None:
    flood = Flood()
    jobs.landed = flood.results()
    call = stub.ReadResults(Read(job_id=JOB.job_id))
    await call.read()
    await flood.stalled()

    door.close()

    await jobs.until_open(0)

    failed = await refused(read_to_the_end(call))
    assert reason(failed) == "SERVER_STOPPING"


async def read_to_the_end(call: grpc.aio.UnaryStreamCall) -> None:
    """Read what is there still."""
    while await call.read() is not grpc.aio.EOF:
        pass
