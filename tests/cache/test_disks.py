"""A disk that is full, read-only or shared costs no more than what it cannot keep."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from ingestion_server.cache.segment_file import FILE_NAME
from ingestion_server.cache.segments import Segments
from tests.cache import deliveries as of
from tests.cache.test_segment_file import OTHER, aside, count, opened, until
from tests.clocks import ManualClock

MANY = dict.fromkeys(range(5000), 100.0)


@contextmanager
def mounted(folder: Path, *, size: str) -> Iterator[Callable[[str], None]]:
    """Have a file system of one's own, and something that mounts it otherwise."""

    def mount(*arguments: str) -> int:
        return subprocess.run(  # noqa: S603 - our own words
            [str(tool), *arguments, str(folder)], check=False, capture_output=True
        ).returncode

    def again(options: str) -> None:
        assert mount("-o", f"remount,{options}") == 0

    tool = shutil.which("mount")
    if tool is None or mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        pytest.skip("only a user who may mount can fill a file system or close it")
    try:
        yield again
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607


def problem(memory: Segments) -> str:
    return memory.use(of.NOW_NS).file_problem


async def closes(folder: Path, clock: ManualClock) -> dict[int, float]:
    """Return what a server knows that starts now."""
    async with opened(folder, clock) as memory:
        await memory.ready(of.KEY)
        known = of.look(memory, of.span(0, 5000))
    return {} if known is None else of.closes(known)


async def test_a_disk_that_fills_up_keeps_what_it_has_and_is_used_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    with mounted(tmp_path, size="400k"):
        async with opened(tmp_path, clock) as memory:
            memory.keep(of.KEY, of.delivery(of.span(0, 5), {0: 100.0}))
            await clock.advance(1.0)
            await until(lambda: count(tmp_path, "series") == 1)
            ballast = tmp_path / "ballast"
            with pytest.raises(OSError, match="No space left"):
                ballast.write_bytes(bytes(1 << 20))
            memory.keep(of.KEY, of.delivery(of.span(0, 5000), MANY))
            await clock.advance(1.0)
            await until(lambda: "full" in problem(memory))
            assert of.closes(of.look(memory, of.span(0, 5000))) == MANY

        ballast.unlink()
        assert await closes(tmp_path, clock) == {0: 100.0}
        async with opened(tmp_path, clock) as memory:
            bars = dict.fromkeys(range(2000), 100.0)
            memory.keep(of.KEY, of.delivery(of.span(0, 2000), bars))
        assert await closes(tmp_path, clock) == bars


async def test_a_folder_that_becomes_read_only_is_told_and_costs_nothing_else(
    tmp_path: Path, clock: ManualClock
) -> None:
    with mounted(tmp_path, size="8m") as remount:
        async with opened(tmp_path, clock) as memory:
            memory.keep(of.KEY, of.delivery(of.span(0, 5), {0: 100.0}))
        remount("ro")
        async with opened(tmp_path, clock) as memory:
            assert str(tmp_path) in problem(memory)
            await memory.ready(of.KEY)
            memory.keep(OTHER, of.delivery(of.span(0, 5), {0: 200.0}))
            known = of.look(memory, of.span(0, 5), key=OTHER)
            assert of.closes(known) == {0: 200.0}

            remount("rw")
            await clock.advance(60.0)
            await until(lambda: not problem(memory))
            await memory.ready(of.KEY)
            assert of.closes(of.look(memory, of.span(0, 5))) == {0: 100.0}
        assert not aside(tmp_path)


async def test_two_servers_that_write_into_one_file_break_nothing(
    tmp_path: Path, clock: ManualClock
) -> None:
    program = f"""
import asyncio, pathlib, sys, msgspec
from tests.cache import deliveries as of
from tests.cache.test_segment_file import opened, until
from tests.clocks import ManualClock

async def run():
    clock = ManualClock(runs=False)
    own = msgspec.structs.replace(of.KEY, provider=sys.argv[1])
    async with opened(pathlib.Path({str(tmp_path)!r}), clock) as memory:
        print("ready", flush=True)
        sys.stdin.readline()
        for minute in range(300):
            for key in (own, of.KEY):
                span = of.span(minute, minute + 1)
                memory.keep(key, of.delivery(span, {{minute: 1.0}}))
            await clock.advance(1.0)
        await clock.advance(60.0)
        await until(lambda: not memory.use(of.NOW_NS).file_problem)

asyncio.run(run())
"""
    names = ("first", "second")
    servers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for name in names
    ]
    for server in servers:
        assert server.stdout is not None
        assert await server.stdout.readline() == b"ready\n"
    ended = await asyncio.gather(*(each.communicate(b"\n") for each in servers))

    assert [each.returncode for each in servers] == [0, 0], ended
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    expected = dict.fromkeys(range(300), 1.0)
    async with opened(tmp_path, clock) as memory:
        for name in names:
            own = msgspec.structs.replace(of.KEY, provider=name)
            await memory.ready(own)
            assert of.closes(of.look(memory, of.span(0, 300), key=own)) == expected
        await memory.ready(of.KEY)
        assert of.closes(of.look(memory, of.span(0, 300))) == expected
    assert not aside(tmp_path)
