"""Jobs bring histories, and say exactly what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from marketdata.ingestion.v1 import job_pb2

from tests.port.house import UNMETERED, Build, House, RefusedError, pinned
from tests.port.job_desk import ENDED, JobDesk, bars_of

YEARS = {"start": "2019-06-12T00:00:00Z", "end": "2024-06-12T00:00:00Z"}
MANY = [f"SBX{number}" for number in range(1000, 1030)]
YEAR = {"start": "2023-06-12T00:00:00Z", "end": "2024-06-12T00:00:00Z"}


@pytest.fixture
def desk(quick: House) -> JobDesk:
    """Ask a house for jobs."""
    return JobDesk(quick)


async def test_a_job_brings_what_fetch_would(quick: House, desk: JobDesk) -> None:
    job_id = await desk.begun("AAPL", "MSFT", "TSLA", **YEARS)

    job = await desk.ended(job_id)
    results = await desk.results(job_id)

    assert job.state == job_pb2.JOB_STATE_COMPLETED
    assert job.progress.landed == job.progress.units > 0
    bars = bars_of(results)
    for symbol in ("AAPL", "MSFT", "TSLA"):
        answer = await quick.fetch(symbol=symbol, **YEARS)
        fetched = {
            bar.open_time.ToNanoseconds(): (
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.volume,
            )
            for bar in answer.series.bars
        }
        assert bars[symbol] == fetched
    assert job.progress.bars == sum(len(each) for each in bars.values())


async def test_the_plan_is_told_before_anything_is_done(
    quick: House, desk: JobDesk
) -> None:
    told = await desk.create(
        spec={"symbols": ["AAPL", "MSFT"], "sourcePolicy": pinned("yahoo"), **YEARS},
        dryRun=True,
    )

    assert not told.created
    assert not told.HasField("job")
    (yahoo,) = told.plan.providers
    assert (yahoo.provider, told.plan.units) == ("yahoo", yahoo.units)
    assert told.plan.calls >= told.plan.units == 2
    assert await quick.calls("yahoo") == 0
    assert not (await desk.list()).jobs


async def test_the_same_key_means_the_same_job(desk: JobDesk) -> None:
    spec = {"symbols": ["AAPL"], **YEAR}
    first = await desk.create(clientKey="nightly", spec=spec)
    again = await desk.create(clientKey="nightly", spec=spec)
    with pytest.raises(RefusedError) as refused:
        await desk.create(clientKey="nightly", spec={**spec, "symbols": ["MSFT"]})

    assert (first.created, again.created) == (True, False)
    assert again.job.job_id == first.job.job_id
    assert refused.value.reason == "INVALID_QUERY"
    assert refused.value.fields == {"client_key"}


async def test_what_has_landed_is_not_asked_for_again(
    quick: House, desk: JobDesk
) -> None:
    one = await desk.begun("AAPL", **YEAR)
    await desk.ended(one)
    calls = await quick.calls("yahoo") + await quick.calls("alpha_vantage")

    other = await desk.begun("AAPL", **YEAR)
    await desk.ended(other)

    assert await quick.calls("yahoo") + await quick.calls("alpha_vantage") == calls
    (unit,) = await desk.units(other)
    assert unit.already_landed
    assert bars_of(await desk.results(other)) == bars_of(await desk.results(one))


async def test_junk_in_the_list_is_named_and_the_rest_is_brought(
    desk: JobDesk,
) -> None:
    job_id = await desk.begun("AAPL", "no/such/thing", "🚀", "NOSUCHXYZ", **YEAR)

    job = await desk.ended(job_id)

    failed = await desk.units(job_id, [job_pb2.UNIT_STATE_FAILED])
    reasons = {unit.symbol: unit.last_reason.partition(":")[0] for unit in failed}
    assert job.state == job_pb2.JOB_STATE_INCOMPLETE
    assert reasons == {
        "no/such/thing": "INVALID_QUERY",
        "🚀": "INVALID_QUERY",
        "NOSUCHXYZ": "SYMBOL_UNKNOWN",
    }
    assert list(bars_of(await desk.results(job_id))) == ["AAPL"]


async def test_what_is_acknowledged_is_not_told_again(desk: JobDesk) -> None:
    job_id = await desk.begun("AAPL", "MSFT", "TSLA", **YEAR)
    await desk.ended(job_id)

    first, *others = await desk.results(job_id, consumer="desk")
    again = await desk.results(job_id, consumer="desk")
    rest = await desk.results(job_id, consumer="desk", acknowledgedCursor=first.cursor)
    later = await desk.results(job_id, consumer="desk")
    someone_else = await desk.results(job_id, consumer="risk")

    assert again == [first, *others]
    assert rest == later == others
    assert someone_else == [first, *others]


async def test_results_are_followed_until_the_job_ends(desk: JobDesk) -> None:
    job_id = await desk.begun("AAPL", "MSFT", "TSLA", **YEARS)

    followed = await desk.results(job_id, follow=True)

    assert (await desk.get(job_id)).state in ENDED
    assert followed == await desk.results(job_id)


async def test_a_paused_job_does_nothing_until_it_is_resumed(
    quick: House, desk: JobDesk
) -> None:
    await quick.fault("yahoo", "hang", count=100)
    await quick.fault("alpha_vantage", "hang", count=100)
    await quick.fault("finnhub", "hang", count=100)
    job_id = await desk.begun(*MANY, **YEAR)
    paused = await desk.pause(job_id)
    for vendor in ("yahoo", "alpha_vantage", "finnhub"):
        await quick.mend(vendor)

    still = await desk.get(job_id)
    await desk.resume(job_id)
    job = await desk.ended(job_id)

    assert paused.state == still.state == job_pb2.JOB_STATE_PAUSED
    assert job.state == job_pb2.JOB_STATE_COMPLETED
    assert job.progress.landed == 30


async def test_a_cancelled_job_begins_nothing_more(quick: House, desk: JobDesk) -> None:
    await quick.fault("yahoo", "hang", count=100)
    job_id = await desk.begun(
        *MANY,
        sourcePolicy=pinned("yahoo"),
        **YEAR,
    )
    await quick.until_called("yahoo")

    job = await desk.cancel(job_id)
    with pytest.raises(RefusedError) as refused:
        await desk.resume(job_id)

    assert job.state == job_pb2.JOB_STATE_CANCELLED
    assert refused.value.reason == "JOB_STATE_CONFLICT"
    assert {unit.state for unit in await desk.units(job_id)} == {
        job_pb2.UNIT_STATE_CANCELLED
    }


async def test_what_failed_is_tried_again_when_that_is_asked_for(
    build: Build,
) -> None:
    settings = {**UNMETERED, "JOBS__ATTEMPTS": "1"}
    async with build(settings=settings) as home:
        desk = JobDesk(home)
        await home.fault("yahoo", "status_500", symbols=["MSFT"], count=50)
        job_id = await desk.begun("AAPL", "MSFT", sourcePolicy=pinned("yahoo"), **YEAR)
        incomplete = await desk.ended(job_id)
        await home.mend("yahoo")
        home.clock.advance(60)

        again = await desk.retry(job_id)
        completed = await desk.ended(job_id)

    assert incomplete.state == job_pb2.JOB_STATE_INCOMPLETE
    assert (incomplete.progress.landed, incomplete.progress.failed) == (1, 1)
    assert again.units == 1
    assert completed.state == job_pb2.JOB_STATE_COMPLETED


async def test_a_job_goes_on_after_a_restart(build: Build, tmp_path: Path) -> None:
    settings = {**UNMETERED, "STATE__FOLDER": str(tmp_path)}
    async with build(settings=settings) as home:
        desk = JobDesk(home)
        await home.fault("yahoo", "hang", symbols=MANY[10:], count=1000)
        job_id = await desk.begun(*MANY, sourcePolicy=pinned("yahoo"), **YEAR)
        await home.until_called("yahoo", 12)

    async with build(settings=settings) as home:
        desk = JobDesk(home)
        job = await desk.ended(job_id)
        results = await desk.results(job_id)

    assert job.state == job_pb2.JOB_STATE_COMPLETED
    assert sorted(bars_of(results)) == MANY


async def test_a_job_that_has_ended_can_be_deleted(desk: JobDesk) -> None:
    job_id = await desk.begun("AAPL", **YEAR)
    await desk.ended(job_id)

    await desk.delete(job_id)
    with pytest.raises(RefusedError) as refused:
        await desk.get(job_id)

    assert refused.value.reason == "JOB_UNKNOWN"
    assert refused.value.facts == {"job_id": job_id}


async def test_jobs_are_listed_with_the_latest_first(desk: JobDesk) -> None:
    ids = []
    for name in ("daily-a", "daily-b", "weekly"):
        told = await desk.create(name=name, spec={"symbols": ["AAPL"], **YEAR})
        ids.append(told.job.job_id)
        await desk.ended(told.job.job_id)

    first = await desk.list(namePrefix="daily", pageSize=1)
    second = await desk.list(
        namePrefix="daily", pageSize=1, pageToken=first.next_page_token
    )
    running = await desk.list(states=["JOB_STATE_RUNNING"])

    assert [job.job_id for job in (*first.jobs, *second.jobs)] == [ids[1], ids[0]]
    assert not running.jobs


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        ({"cron": "0 0 30 2 *"}, "spec.schedule.cron"),
        ({"cron": "every day"}, "spec.schedule.cron"),
        ({"cron": "0 0 * * *", "timeZone": "Mars/Olympus"}, "spec.schedule.time_zone"),
        ({"afterClose": {"exchange": "XXXX"}}, "spec.schedule.after_close.exchange"),
    ],
)
async def test_a_schedule_that_never_fires_is_refused(
    desk: JobDesk, schedule: dict[str, object], field: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        await desk.begun("AAPL", start=YEAR["start"], schedule=schedule)

    assert refused.value.reason == "INVALID_QUERY"
    assert refused.value.fields == {field}


async def test_what_lies_in_the_future_is_refused(desk: JobDesk) -> None:
    with pytest.raises(RefusedError) as refused:
        await desk.begun(
            "AAPL", start="2030-01-01T00:00:00Z", end="2031-01-01T00:00:00Z"
        )

    assert refused.value.reason == "INVALID_QUERY"
    assert refused.value.fields == {"spec.start", "spec.end"}
