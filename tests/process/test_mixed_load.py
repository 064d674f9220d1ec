"""A minute of everything at once, from vendors that fail: nothing leaks or stalls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import grpc.aio
import pytest

from tests.process.load import VENDORS, Load
from tests.process.programs import ANY_PORTS, SANDBOX, Ended, Program, post
from tests.process.watched import Sight, Watched

AT_ONCE: Final = 32
SECONDS: Final = 60.0
WARM_SECONDS: Final = 30.0
"""Until then caches fill, which are small here so that they do, and make room."""
MOST_GROWTH: Final = 1.20
"""
How much more memory may be in use at the end than when it was warm, at the least.

The largest answers take tens of megabytes while they are read, and the allocator gives
them back as it likes: the most swings by a third, the least by less than a tenth. A
server that leaked 20 KB a call, half an answer of 1,000 bars, would be caught.
"""
LONGEST_STALL_SECONDS: Final = 0.1
SETTINGS: Final = {
    "INGESTION_PROVIDERS__ALPHA_VANTAGE__API_KEY": "load-1200",
    "INGESTION_PROVIDERS__ALPHA_VANTAGE__PLAN": "1200",
    "INGESTION_PROVIDERS__YAHOO__PLAN": "unmetered",
    "INGESTION_CACHE__MEMORY_BYTES": "8000000",
    "INGESTION_CACHE__ENCODED_BYTES": "8000000",
}
FAULTS: Final = (
    {"fault": "latency", "probability": 0.2, "seconds": 0.1},
    {"fault": "hang", "probability": 0.02},
    {"fault": "status_500", "probability": 0.05},
    {"fault": "status_429", "probability": 0.01, "retry_after": 1},
    {"fault": "malformed", "probability": 0.03},
    {"fault": "truncated", "probability": 0.03},
    {"fault": "bad_row", "probability": 0.05},
    {"fault": "partial", "probability": 0.05},
)


async def loaded(grpc_door: str, http_door: str) -> tuple[Load, Sequence[Sight]]:
    """Put load on a server, and look at it until all is quiet again."""
    watched = Watched(http_door)
    async with grpc.aio.insecure_channel(grpc_door) as channel:
        load = Load(channel)
        watching = asyncio.create_task(watched.watch())
        await load.run(AT_ONCE, SECONDS)
        watching.cancel()
        await asyncio.wait((watching,))
    await watched.look()
    return load, watched.sights


async def all_of_it(
    environment: dict[str, str], state: Path
) -> tuple[Load, Sequence[Sight], Ended]:
    """Start vendors and a server, put load on it, and stop it."""
    # Measured as it is delivered, and not while each of its lines is counted.
    plain = {
        name: value
        for name, value in environment.items()
        if not name.startswith("COVERAGE")
    }
    settings = {**SETTINGS, "INGESTION_STATE__FOLDER": str(state)}
    vendors = ["sandbox", "--port", "0", "--yahoo-per-second", "100000"]
    with Program(vendors, plain) as sandbox:
        place = sandbox.line(SANDBOX)[1]
        serve = ["serve", *ANY_PORTS, "--sandbox-url", f"http://{place}"]
        with Program(serve, plain | settings) as server:
            doors = server.addresses()
            for vendor in VENDORS:
                for fault in FAULTS:
                    post(f"http://{place}/control/{vendor}", json.dumps(fault))
            load, sights = await loaded(*doors)
            return load, sights, await asyncio.to_thread(server.stopped)


@pytest.mark.timeout(180)
async def test_a_minute_of_everything_at_once_leaks_nothing_and_stalls_nobody(
    environment: dict[str, str], tmp_path: Path
) -> None:
    load, sights, ended = await all_of_it(environment, tmp_path)

    assert load.defects == []
    assert load.statuses["OK"] > AT_ONCE * 10
    last = sights[-1]
    told = [
        line
        for line in ended.complaints.splitlines()
        if "ingestion_server.loop" in line
    ]
    assert last.task_errors == 0, told
    # A test has fewer processors than there are processes that want one, and this one
    # is of them. While the kernel lets others run, the loop is late and can do nothing
    # about it; how long that was, the kernel says. What remains is the server's own.
    assert last.longest_own_stall_seconds <= LONGEST_STALL_SECONDS, last
    warm = sights[round(len(sights) * WARM_SECONDS / SECONDS) :]
    third = len(warm) // 3
    memory = [sight.resident_bytes for sight in warm]
    assert min(memory[-third:]) <= min(memory[:third]) * MOST_GROWTH, memory
    assert ended.status == 0
    assert "Traceback" not in ended.complaints
    assert "never retrieved" not in ended.complaints
