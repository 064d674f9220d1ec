"""
Measure how long a server takes to serve, and what memory it holds when idle.

Each round runs, one after the other: the reference, a bare `import grpc.aio`; a start
whose calendars are computed already; one with simulated vendors; and one without any
calendar. So all of them meet the same machine. A start is timed from before the
process is made until the SERVING line is read. Memory is the resident set, read once
the calendar is there; what the server's short-lived child needs is not its own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.programs import serving, settle
from benchmarks.results import Results, at_most

ROUNDS: Final = 5
FETCHES: Final = 100
MOST_SECONDS: Final = 2.0
MOST_MEGABYTES: Final = 150.0
# Symbols differ, so that what is remembered per instrument counts.
SYMBOLS: Final = ("AAPL", "MSFT", "NVDA", "EUR/USD", "BTC/USD", "^GSPC")


def reference() -> float:
    """Time a process that imports the asynchronous gRPC and nothing else."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import grpc.aio"], check=True)
    return time.perf_counter() - began


def bare_megabytes() -> float:
    """Return what such a process holds."""
    show = "import grpc.aio; print(open('/proc/self/status').read())"
    told = subprocess.run(
        [sys.executable, "-c", show], check=True, capture_output=True, text=True
    )
    return _resident(told.stdout)


def megabytes(process: int) -> float:
    """Return what a process holds."""
    return _resident(Path(f"/proc/{process}/status").read_text())


def _resident(status: str) -> float:
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def fetch(door: str, times: int) -> None:
    """Fetch from another process, one after the other."""
    # A benchmark of the server shall not carry the client's imports around.
    script = (
        "import sys\n"
        "from ingestion_server.client import SyncClient\n"
        "door, times, *symbols = sys.argv[1:]\n"
        "with SyncClient(door, timeout_seconds=60) as client:\n"
        "    for turn in range(int(times)):\n"
        "        client.fetch(symbols[turn % len(symbols)], limit=250)\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, door, str(times), *SYMBOLS], check=True
    )


def measured() -> Results:
    """Measure everything in turn, and judge it."""
    starts: dict[str, list[float]] = {
        "reference": [],
        "warm": [],
        "sandbox": [],
        "cold": [],
    }
    idle: dict[str, list[float]] = {"warm": [], "sandbox": [], "fetched": []}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "kept")
        with serving(cache):
            settle(cache)
        for number in range(ROUNDS):
            starts["reference"].append(reference())
            with serving(cache) as server:
                starts["warm"].append(server.seconds)
                settle(cache)
                idle["warm"].append(megabytes(server.process))
            with serving(cache, "--sandbox") as server:
                starts["sandbox"].append(server.seconds)
                settle(cache)
                idle["sandbox"].append(megabytes(server.process))
                if number == 0:
                    fetch(server.door, FETCHES)
                    idle["fetched"].append(megabytes(server.process))
            with serving(Path(folder, f"new-{number}")) as server:
                starts["cold"].append(server.seconds)
    seconds = {name: statistics.median(values) for name, values in starts.items()}
    held = {name: statistics.median(values) for name, values in idle.items()}
    bare = bare_megabytes()
    # Under the two names that count stands the worst of what was measured.
    slowest = max(seconds["warm"], seconds["sandbox"], seconds["cold"])
    return {
        "startup": at_most(slowest, "s", seconds["reference"], MOST_SECONDS),
        "startup_warm": at_most(
            seconds["warm"], "s", seconds["reference"], MOST_SECONDS
        ),
        "startup_cold_calendars": at_most(
            seconds["cold"], "s", seconds["reference"], MOST_SECONDS
        ),
        "startup_sandbox": at_most(
            seconds["sandbox"], "s", seconds["reference"], MOST_SECONDS
        ),
        "memory": at_most(max(held.values()), "MB", bare, MOST_MEGABYTES),
        "memory_idle": at_most(held["warm"], "MB", bare, MOST_MEGABYTES),
        "memory_idle_sandbox": at_most(held["sandbox"], "MB", bare, MOST_MEGABYTES),
        f"memory_sandbox_after_{FETCHES}_fetches": at_most(
            held["fetched"], "MB", bare, MOST_MEGABYTES
        ),
    }
