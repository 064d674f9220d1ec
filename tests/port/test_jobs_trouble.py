"""What is wrong with a file, a folder or a disk is named, and harms nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from marketdata.ingestion.v1 import job_pb2

from tests.port.house import UNMETERED, Build, House, RefusedError, pinned
from tests.port.job_desk import ENDED, JobDesk, bars_of
from tests.port.small_disks import mounted

YEAR = {
    "start": "2023-06-12T00:00:00Z",
    "end": "2024-06-12T00:00:00Z",
    "sourcePolicy": pinned("yahoo"),
}
SPRING = {**YEAR, "start": "2024-03-01T00:00:00Z"}
MANY = [f"SBX{number}" for number in range(1000, 1040)]
JOBS = Path("jobs/simulated")
LANDED = JOBS / "landed"
BROKEN = LANDED / "bars/1d/split/MSFT/2024.parquet"


@pytest.fixture
def usual(tmp_path: Path) -> Mapping[str, str]:
    """Keep everything where tests can reach it."""
    return {**UNMETERED, "STATE__FOLDER": str(tmp_path)}


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def empty(_: bytes) -> bytes:
    return b""


def text(_: bytes) -> bytes:
    return b"no Parquet at all, but longer than a footer's end"


def foreign(_: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"close": [1.0]}), sink)
    return sink.getvalue().to_pybytes()


async def settled(home: House, desk: JobDesk, job_id: str) -> job_pb2.Job:
    """Let an hour pass in which anybody who tries again and again would do so."""
    job = await desk.get(job_id)
    for _ in range(12):
        home.clock.advance(300)
        job = await desk.get(job_id)
    return job


@pytest.mark.parametrize("damage", [truncated, empty, text, foreign])
async def test_a_file_that_is_broken_fails_its_symbol_without_a_call_and_no_other(
    build: Build, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / BROKEN
    async with build() as home:
        desk = JobDesk(home)
        await desk.ended(await desk.begun("MSFT", **SPRING))
        path.write_bytes(damage(path.read_bytes()))
        before = (await home.stats("yahoo"))["by_symbol"]

        job_id = await desk.begun("AAPL", "MSFT", "TSLA", **YEAR)
        job = await desk.ended(job_id)
        failed = await desk.units(job_id, [job_pb2.UNIT_STATE_FAILED])
        after = (await home.stats("yahoo"))["by_symbol"]
        told = bars_of(await desk.results(job_id))
        path.rename(tmp_path / "aside.parquet")
        again = await desk.retry(job_id)
        mended = await desk.ended(job_id)
        bars = bars_of(await desk.results(job_id))["MSFT"]
        answer = await home.fetch(symbol="MSFT", **YEAR)

    assert job.state == job_pb2.JOB_STATE_INCOMPLETE
    assert {unit.symbol for unit in failed} == {"MSFT"}
    for unit in failed:
        assert unit.last_reason.startswith("STATE_UNAVAILABLE: ")
        assert str(path) in unit.last_reason
        assert "move it away" in unit.last_reason
    assert after["MSFT"] == before["MSFT"]
    assert sorted(told) == ["AAPL", "TSLA"]
    assert again.units == len(failed)
    assert mended.state == job_pb2.JOB_STATE_COMPLETED
    assert sorted(bars) == [bar.open_time.ToNanoseconds() for bar in answer.series.bars]


async def test_a_file_that_breaks_later_is_named_to_those_who_read(
    build: Build, tmp_path: Path
) -> None:
    path = tmp_path / BROKEN
    async with build() as home:
        desk = JobDesk(home)
        job_id = await desk.begun("AAPL", "MSFT", "TSLA", **SPRING)
        await desk.ended(job_id)
        whole = await desk.results(job_id)
        path.write_bytes(truncated(path.read_bytes()))

        with pytest.raises(RefusedError) as refused:
            await desk.results(job_id)
        path.unlink()
        once_more = await desk.begun("MSFT", **SPRING)
        await desk.ended(once_more)
        again = await desk.results(job_id)

    assert refused.value.reason == "STATE_UNAVAILABLE"
    assert str(path) in refused.value.message
    assert "move it away" in refused.value.message
    assert bars_of(again) == bars_of(whole)


async def test_a_full_disk_pauses_a_job_until_there_is_room(
    build: Build, tmp_path: Path
) -> None:
    landed = tmp_path / LANDED
    with mounted(landed, size="200k") as remount:
        async with build() as home:
            desk = JobDesk(home)
            job_id = await desk.begun(*MANY, **YEAR)
            job = await desk.until(job_id, job_pb2.JOB_STATE_PAUSED, *ENDED)
            calls = await home.calls("yahoo")
            still = await settled(home, desk, job_id)
            states = {unit.state for unit in await desk.units(job_id)}
            assert await home.calls("yahoo") == calls

            remount("size=64m")
            await desk.resume(job_id)
            completed = await desk.ended(job_id)
            results = bars_of(await desk.results(job_id))

    assert job.state == still.state == job_pb2.JOB_STATE_PAUSED
    assert str(landed) in job.detail
    assert "No space left on device; make room on its disk" in job.detail
    assert "ResumeJob" in job.detail
    assert states == {job_pb2.UNIT_STATE_LANDED, job_pb2.UNIT_STATE_PENDING}
    # Only what was under way was brought for nothing.
    assert calls <= still.progress.landed + 8
    assert completed.state == job_pb2.JOB_STATE_COMPLETED
    assert sorted(results) == MANY


async def test_a_folder_that_cannot_be_written_pauses_a_job(
    build: Build, tmp_path: Path
) -> None:
    landed = tmp_path / LANDED
    with mounted(landed, size="64m") as remount:
        remount("ro")
        async with build() as home:
            desk = JobDesk(home)
            job_id = await desk.begun(*MANY, **SPRING)
            job = await desk.until(job_id, job_pb2.JOB_STATE_PAUSED, *ENDED)
            calls = await home.calls("yahoo")
            still = await settled(home, desk, job_id)
            states = {unit.state for unit in await desk.units(job_id)}
            assert await home.calls("yahoo") == calls <= 8

            remount("rw")
            await desk.resume(job_id)
            completed = await desk.ended(job_id)

    assert job.state == still.state == job_pb2.JOB_STATE_PAUSED
    assert str(landed) in job.detail
    assert "choose a folder that can be written" in job.detail
    assert states == {job_pb2.UNIT_STATE_PENDING}
    assert completed.state == job_pb2.JOB_STATE_COMPLETED


async def test_a_file_in_the_place_of_the_folder_is_named_and_no_vendor_is_asked(
    build: Build, tmp_path: Path
) -> None:
    landed = tmp_path / LANDED
    landed.parent.mkdir(parents=True)
    landed.write_text("mine")
    async with build() as home:
        desk = JobDesk(home)
        job_id = await desk.begun("AAPL", "MSFT", **SPRING)
        job = await desk.ended(job_id)
        failed = await desk.units(job_id)
        calls = await home.calls("yahoo")
        landed.unlink()
        await desk.retry(job_id)
        completed = await desk.ended(job_id)

    assert job.state == job_pb2.JOB_STATE_INCOMPLETE
    for unit in failed:
        assert unit.state == job_pb2.UNIT_STATE_FAILED
        assert str(landed) in unit.last_reason
        assert "move away what is in the place of a folder" in unit.last_reason
    assert calls == 0
    assert completed.state == job_pb2.JOB_STATE_COMPLETED


async def test_a_job_that_cannot_be_kept_says_so_and_goes_on_when_it_can_be(
    build: Build, tmp_path: Path
) -> None:
    folder = tmp_path / JOBS
    ballast = folder / "ballast"
    (tmp_path / "bars").mkdir()
    with mounted(folder, size="1m"):
        # Bars are on another disk, which has room.
        (tmp_path / LANDED).symlink_to(tmp_path / "bars")
        async with build() as home:
            desk = JobDesk(home)
            job_id = await desk.begun(*MANY, **SPRING)
            with suppress(OSError):
                ballast.write_bytes(bytes(2 << 20))
            held_up = await told(home, desk, job_id, "held up")
            calls = await home.calls("yahoo")
            still = await settled(home, desk, job_id)
            with pytest.raises(RefusedError) as refused:
                await desk.begun("AAPL", **SPRING)
            assert await home.calls("yahoo") == calls

            ballast.unlink()
            home.clock.advance(60)
            completed = await desk.ended(job_id)
            results = bars_of(await desk.results(job_id))

    assert str(folder / "jobs.sqlite") in held_up.detail
    assert "the disk is full; make room" in still.detail
    assert refused.value.reason == "STATE_UNAVAILABLE"
    assert str(folder / "jobs.sqlite") in refused.value.message
    assert completed.state == job_pb2.JOB_STATE_COMPLETED
    assert not completed.detail
    assert sorted(results) == MANY


async def told(home: House, desk: JobDesk, job_id: str, detail: str) -> job_pb2.Job:
    """Wait until something is told of a job."""
    async with asyncio.timeout(60):
        while True:
            job = await desk.get(job_id)
            if detail in job.detail:
                return job
            home.clock.advance(1)
            await asyncio.sleep(0.02)


JUNK = {
    "": "an empty line",
    "   ": "blanks",
    "# symbols of the fund": "a comment",
    "AAPL,MSFT": "two in one line",
    "TSLA\n": "a line with its end",
    "\x00\x1b[31m": "control characters",
    "../../etc/passwd": "a path",
    "X" * 10_000: "a very long one",
    "\u202eLPAA": "text from right to left",
}


async def test_junk_among_symbols_is_named_as_it_was_sent_and_harms_no_other(
    build: Build, tmp_path: Path
) -> None:
    async with build() as home:
        desk = JobDesk(home)
        told = await desk.create(
            spec={"symbols": ["AAPL", *JUNK, "NVDA", "AAPL"], **SPRING}
        )
        job = await desk.ended(told.job.job_id)
        failed = await desk.units(job.job_id, [job_pb2.UNIT_STATE_FAILED])
        landed = bars_of(await desk.results(job.job_id))

    named = {unit.symbol: unit.last_reason for unit in failed}
    assert job.state == job_pb2.JOB_STATE_INCOMPLETE
    assert {"AAPL", "NVDA"} <= set(landed)
    assert all(reason.partition(": ")[2] for reason in named.values())
    assert {*named, *landed} >= {"AAPL", "NVDA", "AAPL,MSFT", "../../etc/passwd"}
    # Nothing was written elsewhere, whatever a symbol looks like.
    assert all(
        path.is_relative_to(tmp_path / LANDED / "bars/1d/split")
        for path in parquet_files(tmp_path)
    )


def parquet_files(folder: Path) -> list[Path]:
    """Find all files of bars."""
    return [each.resolve() for each in folder.rglob("*.parquet")]


async def test_a_list_that_is_nothing_but_junk_is_refused_and_named(
    build: Build,
) -> None:
    async with build() as home:
        desk = JobDesk(home)
        with pytest.raises(RefusedError) as refused:
            await desk.begun("", "🚀", "AAPL,MSFT", **SPRING)
        kept = await desk.list()

    assert refused.value.reason == "INVALID_QUERY"
    assert "spec.symbols[1]" in refused.value.fields
    assert not kept.jobs


async def test_what_had_landed_is_told_although_the_rest_cannot_be_had_any_more(
    build: Build,
) -> None:
    async with build(settings={**UNMETERED, "JOBS__ATTEMPTS": "2"}) as home:
        desk = JobDesk(home)
        await home.fault("yahoo", "partial")
        job_id = await desk.begun("AAPL", **SPRING)
        await desk.ended(job_id)
        (first,) = await desk.units(job_id)
        before = bars_of(await desk.results(job_id))
        await home.mend("yahoo")
        await home.fault("yahoo", "status_500")
        await desk.retry(job_id)
        async with asyncio.timeout(60):
            while (job := await desk.get(job_id)).state not in ENDED:
                home.clock.advance(10)
                await asyncio.sleep(0.02)
        (unit,) = await desk.units(job_id)
        results = await desk.results(job_id)

    assert first.state == unit.state == job_pb2.UNIT_STATE_PARTIAL
    assert job.state == job_pb2.JOB_STATE_INCOMPLETE
    assert unit.bars == first.bars > 0
    assert [(m.start, m.end) for m in unit.missing] == [
        (m.start, m.end) for m in first.missing
    ]
    assert unit.last_reason.startswith("PINNED_PROVIDER_FAILED: ")
    assert results[-1].unit.attempts == 2
    assert bars_of(results) == before
