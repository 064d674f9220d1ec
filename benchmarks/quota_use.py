"""
Measure how much of a strict window is used, by a server with a backlog.

Server, simulated vendors and this caller are processes of their own, and talk as
they would with a real vendor. The simulator counts what it refuses, and tells when
the last call came; so the run is as long as its clock says, from the first call to
the last.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.programs import serving, settle, simulating
from benchmarks.results import Results, at_least_of, at_most
from ingestion_server.client import Client

CALLS: Final = 600
LIMIT: Final = 60
SECONDS: Final = 5
PLAN: Final = f"{LIMIT}per{SECONDS}s"
IN_FLIGHT: Final = 150
"""Two windows and a half, so that somebody waits whenever a call may leave."""
LEAST: Final = 0.97
_WAIT_SECONDS: Final = 60.0


class Count(NamedTuple):
    """Be what the simulator counted."""

    calls: int
    violations: int
    last_seconds: float
    """When the last call came, by its clock."""


def measured() -> Results:
    """Measure one run."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "kept")
        with serving(cache):
            settle(cache)
        options = ("--state", str(Path(folder, "state")))
        with (
            simulating(cache, "--alpha-vantage-plan", PLAN) as url,
            serving(
                cache,
                *("--sandbox-url", url),
                *options,
                # The server has to be told what its key was sold for.
                settings={"INGESTION_SANDBOX__ALPHA_VANTAGE_PLAN": PLAN},
            ) as server,
        ):
            return asyncio.run(_measured(server.door, url))


async def _measured(door: str, url: str) -> Results:
    symbols = (f"SBX{number:04}" for number in range(1, CALLS + 2))
    async with Client(door, timeout_seconds=_WAIT_SECONDS) as client:
        # Both ends do some work only once; then the window has to be empty again.
        await _fetch(client, next(symbols))
        await asyncio.sleep(SECONDS + 1)
        warmed = await asyncio.to_thread(_counted, url)
        # The first call by itself: when it came is told only until the next one does.
        await _fetch(client, next(symbols))
        first = await asyncio.to_thread(_counted, url)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(_fetch_each(client, symbols))
        last = await asyncio.to_thread(_counted, url)
    calls = last.calls - warmed.calls
    refused = last.violations - warmed.violations
    allowed = allowed_calls(last.last_seconds - first.last_seconds)
    return {
        "quota_use": at_least_of(calls - refused, "calls", allowed, LEAST),
        "quota_use_violations": at_most(refused, "calls", calls, 0),
    }


def allowed_calls(seconds: float) -> float:
    """
    Return how many calls a window lets through from the first to the last.

    The whole window at once, and from then on as many as it holds for as long as it is,
    counted by the moment. A strict window can never let more through than that, and as
    many only where a run ends just as the window opens; so nothing that is lost by
    coming late is hidden, as it would be if whole windows were counted.
    """
    return LIMIT * (1 + seconds / SECONDS)


async def _fetch_each(client: Client, symbols: Iterator[str]) -> None:
    for symbol in symbols:
        await _fetch(client, symbol)


async def _fetch(client: Client, symbol: str) -> None:
    # Raw prices need no other call, and a few bars no other page.
    bars = await client.fetch(
        symbol, limit=5, adjustment="raw", providers="alpha_vantage"
    )
    if not len(bars):
        raise RuntimeError(f"no bars of {symbol}: {bars!r}")


def _counted(url: str) -> Count:
    # No proxy of the user's stands between processes of one machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/control/stats", timeout=10) as reply:
        told: dict[str, Any] = json.load(reply)["alpha_vantage"]
    return Count(told["calls"], told["violations"], told["last_call_time"] or 0.0)
