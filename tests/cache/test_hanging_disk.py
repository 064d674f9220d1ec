"""A disk that hangs holds up nobody, not even the end of the process."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Iterator
from pathlib import Path

import msgspec
import pytest

from ingestion_server.cache import disk_thread, write_behind
from ingestion_server.cache.segment_file import SegmentFile
from ingestion_server.cache.segments import Segments
from ingestion_server.cache.series import SeriesKey
from tests.cache import deliveries as of
from tests.cache.test_segment_file import OTHER, opened, until
from tests.clocks import ManualClock

AGES_SECONDS = 60.0
"""Longer than any test takes."""


class Disk:
    """Hang whenever a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads: list[SeriesKey] = []
        self.hanging = threading.Event()
        self._works = threading.Event()
        self._works.set()
        load, save, open_ = SegmentFile.load, SegmentFile.save, SegmentFile.open

        def slow_load(file: SegmentFile, key: SeriesKey, *, most_bytes: int) -> object:
            self.reads.append(key)
            self._wait()
            return load(file, key, most_bytes=most_bytes)

        def slow_save(file: SegmentFile, *what: object) -> object:
            self._wait()
            return save(file, *what)

        def slow_open(file: SegmentFile) -> None:
            self._wait()
            open_(file)

        monkeypatch.setattr(SegmentFile, "load", slow_load)
        monkeypatch.setattr(SegmentFile, "save", slow_save)
        monkeypatch.setattr(SegmentFile, "open", slow_open)

    def hang(self) -> None:
        """Answer nobody from now on."""
        self.hanging.clear()
        self._works.clear()

    def work(self) -> None:
        """Go on."""
        self._works.set()

    def _wait(self) -> None:
        if not self._works.is_set():
            self.hanging.set()
            self._works.wait()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Have a disk, which works at first and in the end."""
    disk = Disk(monkeypatch)
    yield disk
    disk.work()


@pytest.fixture
async def kept(tmp_path: Path, clock: ManualClock) -> Path:
    """Have a file with a few series."""
    async with opened(tmp_path, clock) as memory:
        for key in (of.KEY, OTHER, numbered(1), numbered(2)):
            memory.keep(key, of.delivery(of.span(0, 2), {0: 100.0}))
    return tmp_path


def numbered(number: int) -> SeriesKey:
    return msgspec.structs.replace(of.KEY, provider=f"acme{number}")


def knows(memory: Segments, key: SeriesKey) -> bool:
    return of.look(memory, of.span(0, 2), key=key) is not None


def problem(memory: Segments) -> str:
    return memory.use(of.NOW_NS).file_problem


async def in_turn(memory: Segments, times: int) -> None:
    """Want some series, one after the other."""
    for number in range(times):
        await memory.ready(numbered(number))


async def seconds(work: Awaitable[object]) -> float:
    """Return how long something takes."""
    now = asyncio.get_running_loop().time
    began = now()
    await work
    return now() - began


async def test_one_waits_for_a_disk_that_hangs_and_only_for_a_moment(
    kept: Path, clock: ManualClock, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "_READ_SECONDS", AGES_SECONDS)
    async with opened(kept, clock) as memory:
        disk.hang()
        first = await seconds(memory.ready(of.KEY))
        others = await seconds(in_turn(memory, 100))

        assert first < AGES_SECONDS / 2
        assert others < 100 * disk_thread.OVERDUE_SECONDS / 2
        assert disk.reads == [of.KEY]
        assert not knows(memory, of.KEY)
        await until(lambda: "the disk hangs" in problem(memory))
        assert str(kept) in problem(memory)
        memory.keep(OTHER, of.delivery(of.span(0, 2), {0: 200.0}))
        assert knows(memory, OTHER)

        disk.work()
        await until(lambda: knows(memory, of.KEY))
        await until(lambda: not problem(memory))


async def test_who_asks_while_a_write_hangs_gets_it_later(
    kept: Path, clock: ManualClock, disk: Disk
) -> None:
    async with opened(kept, clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {0: 200.0}))
        disk.hang()
        await clock.advance(1.0)
        await until(disk.hanging.is_set)
        await memory.ready(OTHER)
        assert not knows(memory, OTHER)
        disk.work()
        async with asyncio.timeout(AGES_SECONDS):
            while not knows(memory, OTHER):
                await memory.ready(OTHER)
                await asyncio.sleep(0.005)  # the disk has to get on first
    async with opened(kept, clock) as memory:
        await memory.ready(of.KEY)
        assert of.closes(of.look(memory, of.span(0, 2))) == {0: 200.0}


async def test_a_disk_that_gets_on_is_waited_for_though_many_want_it(
    kept: Path, clock: ManualClock, disk: Disk
) -> None:
    keys = (of.KEY, OTHER, numbered(1), numbered(2))
    async with opened(kept, clock) as memory:
        await asyncio.gather(*(memory.ready(key) for key in keys for _ in range(100)))

        assert all(knows(memory, key) for key in keys)
    assert sorted(key.provider for key in disk.reads) == [
        "acme",
        "acme1",
        "acme2",
        "other",
    ]


async def test_there_is_an_end_to_how_many_wait(
    kept: Path, clock: ManualClock, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "_MOST_READS", 1)
    async with opened(kept, clock) as memory:
        disk.hang()
        patient = asyncio.create_task(memory.ready(of.KEY))
        await until(disk.hanging.is_set)
        await memory.ready(OTHER)
        disk.work()
        await patient
        await until(lambda: knows(memory, of.KEY))

    assert disk.reads == [of.KEY]


async def test_a_server_starts_though_the_disk_hangs(
    kept: Path, clock: ManualClock, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "_OPENING_SECONDS", 0.05)
    disk.hang()
    async with opened(kept, clock) as memory:
        await memory.ready(of.KEY)
        memory.keep(OTHER, of.delivery(of.span(0, 2), {0: 200.0}))
        await clock.advance(1.0)
        assert knows(memory, OTHER)
        assert not knows(memory, of.KEY)

        disk.work()
        await until(lambda: memory.use(of.NOW_NS).file_bytes > 0)
        await memory.ready(of.KEY)
        assert knows(memory, of.KEY)
    async with opened(kept, clock) as memory:
        await memory.ready(OTHER)
        assert of.closes(of.look(memory, of.span(0, 2), key=OTHER)) == {0: 200.0}


@pytest.mark.parametrize("hangs", ["load", "save", "close"])
async def test_a_disk_that_hangs_does_not_hold_up_the_end_of_the_process(
    hangs: str, tmp_path: Path
) -> None:
    program = f"""
import asyncio, pathlib, threading
from ingestion_server.cache.segment_file import SegmentFile
from tests.cache import deliveries as of
from tests.cache.test_segment_file import OTHER, opened
from tests.clocks import ManualClock

hanging = threading.Event()

def hang(*_, **__):
    hanging.set()
    threading.Event().wait()

async def run():
    clock = ManualClock(runs=False)
    async with opened(pathlib.Path({str(tmp_path)!r}), clock) as memory:
        memory.keep(of.KEY, of.delivery(of.span(0, 2), {{0: 1.0}}))
        setattr(SegmentFile, {hangs!r}, hang)
        await clock.advance(1.0)
        await memory.ready(OTHER)
    assert hanging.is_set()

asyncio.run(run())
print("done")
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await asyncio.wait_for(process.communicate(), 15.0)

    assert (process.returncode, told) == (0, b"done\n")
