"""
Measure what subscribers take of a server's memory, and whether they give it back.

The reference is a server that does nothing but gRPC, with as many streams.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import grpc.aio
import uvloop

from benchmarks.programs import Serving, answering, serving, settle
from benchmarks.results import Results, at_most
from benchmarks.start_and_memory import megabytes
from benchmarks.stream_echo import METHOD, ONCE, SERVICE, kept
from benchmarks.stream_load import (
    SETTINGS,
    STREAM,
    Opened,
    Subscribers,
    recorded,
    request,
    turn,
)
from benchmarks.stream_vendor import SYMBOLS

SUBSCRIBERS: Final = 1_000
CANCELLED: Final = 20_000
WARM: Final = 2_000
AT_ONCE: Final = 50
TRADES_PER_SECOND: Final = 1_000
MOST_MEGABYTES: Final = 60.0
MOST_GROWTH_MEGABYTES: Final = 10.0
_SETTLE_SECONDS: Final = 3.0


def measured() -> Results:
    """Measure the server, then the reference, and judge."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "kept")
        with (
            answering(cache, "benchmarks.stream_vendor") as vendor,
            serving(cache, "--sandbox-url", vendor, settings=SETTINGS) as server,
        ):
            settle(cache)
            ours, bare = uvloop.run(_measured(Path(folder), vendor, server))
    return {
        f"memory_{SUBSCRIBERS}_subscribers": at_most(
            ours[0], "MB", bare[0], MOST_MEGABYTES
        ),
        f"memory_after_{CANCELLED}_cancelled_streams": at_most(
            ours[1], "MB", bare[1], MOST_GROWTH_MEGABYTES
        ),
    }


async def _measured(
    folder: Path, vendor: str, server: Serving
) -> tuple[tuple[float, float], tuple[float, float]]:
    await turn(vendor, str(TRADES_PER_SECOND))
    (message,) = await recorded(server.door, request(), 1, 1)
    asked = [request([symbol]) for symbol in SYMBOLS]
    ours = await _grown(server.door, server.process, STREAM, asked)
    file = folder / "message"
    file.write_bytes(kept([message]))
    with answering(folder, "benchmarks.stream_echo", str(file)) as echo:
        door, process = echo.split()
        method = f"/{SERVICE}/{METHOD}"
        return ours, await _grown(door, int(process), method, [ONCE])


async def _grown(
    door: str, process: int, method: str, asked: Sequence[bytes]
) -> tuple[float, float]:
    """Return the growth by those who stay, and by those who came and went."""
    async with grpc.aio.insecure_channel(door) as channel:
        opened: Opened = channel.unary_stream(method)
        questions = itertools.cycle(asked)
        await _come_and_go(opened, questions, WARM)
        before = megabytes(process)
        # First, since memory that many needed at once is not given back at once.
        await _come_and_go(opened, questions, CANCELLED)
        after = megabytes(process)
        calls = [opened(next(questions)) for _ in range(SUBSCRIBERS)]
        reading = asyncio.ensure_future(Subscribers(calls).read())
        await asyncio.sleep(_SETTLE_SECONDS)
        if reading.done():
            reading.result()
        staying = megabytes(process)
        for call in calls:
            call.cancel()
        await asyncio.wait([reading])
        return staying - after, after - before


async def _come_and_go(opened: Opened, questions: Iterator[bytes], count: int) -> None:
    """Subscribe and cancel as soon as something is told, many at once."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            call = opened(next(questions))
            await call.read()
            call.cancel()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())
    await asyncio.sleep(_SETTLE_SECONDS)
