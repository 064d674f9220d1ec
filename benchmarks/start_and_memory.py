"""
Measure how long a server takes to serve, and what memory it holds when idle.

Each round runs, one after the other: the reference, a bare `import grpc.aio`; a start
whose calendars are computed already; one with simulated vendors; and one without any
calendar. So all of them meet the same machine. A start is timed from before the
process is made until the SERVING line is read. Memory is the resident set, read once
the calendar is there; what the server's short-lived child needs is not its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROUNDS: Final = 5
FETCHES: Final = 100
MOST_SECONDS: Final = 2.0
MOST_MEGABYTES: Final = 150.0
CALENDAR_SECONDS: Final = 60.0
RESULTS: Final = Path(__file__).with_name("results.json")
SERVER: Final = Path(sys.executable).with_name("ingestion-server")
# Symbols differ, so that what is remembered per instrument counts.
SYMBOLS: Final = ("AAPL", "MSFT", "NVDA", "EUR/USD", "BTC/USD", "^GSPC")

Result = dict[str, object]


@contextlib.contextmanager
def serving(cache: Path, *options: str) -> Iterator[tuple[int, str, float]]:
    """Run a server; tell its process, its gRPC door, and the seconds it took."""
    # What is set for the user's own server must not count here.
    environment = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - handed on
        if not name.startswith("INGESTION_")
    } | {"XDG_CACHE_HOME": str(cache)}
    began = time.perf_counter()
    with subprocess.Popen(
        [SERVER, "serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101
            for line in process.stdout:
                if line.startswith("SERVING "):
                    took = time.perf_counter() - began
                    door = line.split()[1].removeprefix("grpc=")
                    yield process.pid, door, took
                    return
            raise RuntimeError("the server ended without serving")
        finally:
            process.terminate()


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


def settle(cache: Path) -> None:
    """Wait until the calendar is kept, and the child that computed it is gone."""
    until = time.monotonic() + CALENDAR_SECONDS
    while not list(cache.rglob("*XNYS.npz")):
        if time.monotonic() > until:
            raise TimeoutError("no calendar was computed")
        time.sleep(0.05)
    # The child that wrote the file still has to end; nobody outside hears when.
    time.sleep(0.5)


def measured() -> dict[str, Result]:
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
            with serving(cache) as (process, _, took):
                starts["warm"].append(took)
                settle(cache)
                idle["warm"].append(megabytes(process))
            with serving(cache, "--sandbox") as (process, door, took):
                starts["sandbox"].append(took)
                settle(cache)
                idle["sandbox"].append(megabytes(process))
                if number == 0:
                    fetch(door, FETCHES)
                    idle["fetched"].append(megabytes(process))
            with serving(Path(folder, f"new-{number}")) as (_, _, took):
                starts["cold"].append(took)
    seconds = {name: statistics.median(values) for name, values in starts.items()}
    held = {name: statistics.median(values) for name, values in idle.items()}
    bare = bare_megabytes()
    # Under the two names that count stands the worst of what was measured.
    slowest = max(seconds["warm"], seconds["sandbox"], seconds["cold"])
    return {
        "startup": _judged(slowest, "s", seconds["reference"], MOST_SECONDS),
        "startup_warm": _judged(
            seconds["warm"], "s", seconds["reference"], MOST_SECONDS
        ),
        "startup_cold_calendars": _judged(
            seconds["cold"], "s", seconds["reference"], MOST_SECONDS
        ),
        "startup_sandbox": _judged(
            seconds["sandbox"], "s", seconds["reference"], MOST_SECONDS
        ),
        "memory": _judged(max(held.values()), "MB", bare, MOST_MEGABYTES),
        "memory_idle": _judged(held["warm"], "MB", bare, MOST_MEGABYTES),
        "memory_idle_sandbox": _judged(held["sandbox"], "MB", bare, MOST_MEGABYTES),
        f"memory_sandbox_after_{FETCHES}_fetches": _judged(
            held["fetched"], "MB", bare, MOST_MEGABYTES
        ),
    }


def _judged(value: float, unit: str, reference: float, most: float) -> Result:
    return {
        "value": round(value, 3),
        "unit": unit,
        "reference": round(reference, 3),
        "ratio": round(value / reference, 2),
        "must": f"<= {most:g} {unit}",
        "passed": value <= most,
    }


def show(results: dict[str, Result]) -> None:
    """Print the table."""
    print(f"{'':<36}{'measured':>12}{'reference':>12}{'ratio':>8}  must")
    for name, result in results.items():
        unit = result["unit"]
        print(
            f"{name:<36}{result['value']:>9.2f} {unit:<2}"
            f"{result['reference']:>9.2f} {unit:<2}{result['ratio']:>8.1f}"
            f"  {result['must']:<10} {'passed' if result['passed'] else 'MISSED'}"
        )
    print("The reference is a process that only imports grpc.aio.")


def merge(results: dict[str, Result], file: Path) -> None:
    """Write results among those of other benchmarks."""
    known = json.loads(file.read_text()) if file.exists() else {}
    merged = dict(sorted((known | results).items()))
    file.write_text(json.dumps(merged, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, write; tell whether everything is as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    chosen = parser.parse_args(arguments)
    results = measured()
    show(results)
    merge(results, chosen.results)
    return 0 if all(result["passed"] for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
