"""
Measure how many trades subscribers are told, beside a server that only speaks gRPC.

Vendor, server, reference and these subscribers are processes of their own, and so is
the collector that the server sends its traces and metrics to. The vendor sends as fast
as the server reads. The reference streams messages that our server told one of as many
subscribers before, as fast as they are read, so both send the same.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path
from typing import Final

import grpc.aio
import uvloop

from benchmarks.collector import settings as sent_to
from benchmarks.programs import answering, serving
from benchmarks.results import Result, Results, at_least_of
from benchmarks.stream_echo import METHOD, SERVICE, kept
from benchmarks.stream_load import (
    SETTINGS,
    STREAM,
    Opened,
    continuous,
    recorded,
    request,
    trades_per_second,
    turn,
)
from benchmarks.stream_vendor import MOST

ROUNDS: Final = 5
PROMISED: Final = 20
LEAST: Final = {1: 0.05, PROMISED: 0.5, 100: 0.5}
"""Of the reference, by the number of subscribers; one pays for reading alone."""
MESSAGES: Final = 200
"""How many messages the reference repeats."""
_PAUSE_SECONDS: Final = 0.5


def measured() -> Results:
    """Measure in turn, and judge."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "kept")
        with (
            answering(cache, "benchmarks.stream_vendor") as vendor,
            answering(
                cache, "benchmarks.collector", str(Path(folder, "spans"))
            ) as collector,
            serving(
                cache,
                "--sandbox-url",
                vendor,
                settings={**SETTINGS, **sent_to(collector)},
            ) as server,
        ):
            found = uvloop.run(_measured(Path(folder), vendor, server.door))
    return {"stream_fan_out": found[PROMISED]} | {
        f"stream_fan_out_{count}": each
        for count, each in found.items()
        if count != PROMISED
    }


async def _measured(folder: Path, vendor: str, door: str) -> dict[int, Result]:
    found = {}
    for count in LEAST:
        await turn(vendor, MOST)
        messages = await recorded(door, request(), count, MESSAGES)
        continuous(messages)
        file = folder / f"messages-{count}"
        file.write_bytes(kept(messages))
        with answering(folder, "benchmarks.stream_echo", str(file)) as echo:
            found[count] = await _in_turn(vendor, door, echo.split()[0], count)
    return found


async def _in_turn(vendor: str, door: str, echo: str, count: int) -> Result:
    rates: tuple[list[float], list[float]] = [], []
    async with (
        grpc.aio.insecure_channel(door) as channel,
        grpc.aio.insecure_channel(echo) as reference,
    ):
        ours: Opened = channel.unary_stream(STREAM)
        bare: Opened = reference.unary_stream(f"/{SERVICE}/{METHOD}")
        for _ in range(ROUNDS):
            await turn(vendor, MOST)
            rates[0].append(await trades_per_second(ours, request(), count))
            await turn(vendor, "0")
            # What was under way is over, so that the reference is alone.
            await asyncio.sleep(_PAUSE_SECONDS)
            rates[1].append(await trades_per_second(bare, b"", count))
    told, raw = (statistics.median(each) for each in rates)
    return at_least_of(told, "trades/s", raw, LEAST[count])
